"""Emissions: what a replay published, held against what stands on the log.

An event's id says who emitted it: it is derived from its cause, the service, the handler and a count. So every event of
the replay is looked for by its id; and one on the log that the replay lacks is the service's own where its id can be
derived. What is not found at once (`in_step.py`) is kept as a digest in a scratch store: a log of any length takes no
memory.

What an operator put on the log again was published by nobody; and whoever handled it again published what follows from
it again, under the same ids.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from hashlib import blake2b
from typing import Literal, NamedTuple

from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import again_in, causation_in, derive_id, event_id_in, header_in
from choreo.events.fields import ERASED
from choreo.log.interface import Log
from choreo.log.up_to import places_on, read_between
from choreo.record import Headers, NewRecord, Record, TopicPartition
from choreo.replay.in_step import InStep, Runs
from choreo.replay.likeness import covers
from choreo.resilience.dead_letter import HEADER as DEAD_LETTER
from choreo.runtime.outputs import Outputs
from choreo.service.service import Service
from choreo.state.backend import Backends
from choreo.told import Told, untold

BATCH = 5_000
LETTERS = ".dead-letters"
FOUND = b""
"""What is left of what was published once all of it was found on the log."""
MOST_MISSED = 8
"""An event is looked for among so many that a handler may have emitted, and so many more where it emitted all those."""
_NUMBER = slice(16, 20)
"""Where the number of its topic stands in a key."""
_ERASED = ERASED.encode()
_PUBLISHED = 20
"""Bytes that are kept of each record that was published: partition, checkpoint, digest."""


class Place(NamedTuple):
    """Where a replay published something."""

    partition: int
    checkpoint: int


Kind = Literal["differs", "missing", "unexpected", "twice", "erased"]
"""`erased`: it differs only in what the replay found erased."""


class Unlike(NamedTuple):
    """An event that is not on the log as the replay published it."""

    kind: Kind
    topic: str
    event_id: bytes
    live: Record | None
    """None where it is missing on the log."""
    place: Place | None
    """Where the replay published it; None where it did not."""


class Emissions:
    """All that one service published, over all its tasks; `codec` knows the service's events.

    Kept in `scratch`: what was published for as long as that lasts, what was found on the log for one comparison.
    `repeated`: whether operators have put anything on this log again, so that an id may have been published twice.
    """

    def __init__(self, service: Service, codec: Codec, scratch: Backends, log: Log, *, repeated: bool = False) -> None:
        self._log, self._repeated = log, repeated
        self.count = 0
        """How many records the replay published."""
        self.met_erased = False
        """Whether the replay of the task at hand has met anything that was erased."""
        self._service, self._codec = service, codec
        self._scratch, self._found = scratch.open("published"), scratch.open("found")
        self._values = scratch.open("erased")
        """Of what may tell of something erased, whole values, by digest."""
        self._runs = scratch.open("runs")
        """By topic and partition: what of the log was found while it was published (`in_step.py`)."""
        self._in_step: dict[str, InStep | None] = {}
        """Beside the task that is redone now, by topic; None where the log has no partition of its number."""
        self._task = -1
        self._emitted = frozenset(service.emitted)
        self._handlers = [signature.name for signature in service.signatures]
        self._topics = {event.contract.topic: None for event in service.emitted if event.contract.topic}
        self._batch: dict[bytes, bytes | None] = {}
        self._numbers: dict[str, bytes] = {}
        self._unexpected = scratch.open("unexpected")
        """Ids of this service's events that the replay did not publish."""

    @property
    def topics(self) -> list[str]:
        """Where anything was, or might have been, published."""
        return list(self._topics)

    def forget(self) -> None:
        """Whatever was kept before is of no use."""
        self._scratch.wipe()
        self._values.wipe()
        self._runs.wipe()

    def remember(self, count: int, topics: Iterable[str]) -> None:
        """So many were published there, and are kept from before."""
        self.count += count
        self._topics |= dict.fromkeys(topics)

    def published(self, place: Place, outputs: Outputs) -> None:
        """The replay published these in one checkpoint; those of one task come one after the other."""
        if place.partition != self._task:
            self._end_task()
            self._task = place.partition
        self.count += len(outputs)
        where = place.partition.to_bytes(4, "big") + place.checkpoint.to_bytes(8, "big")
        for record in outputs:
            topic, key, value, headers, _ = record
            self._topics.setdefault(topic, None)
            name = self._key(topic, key, value, headers)
            if self._meets(name, record):
                self._batch.setdefault(name, FOUND)
            else:
                self._batch[name] = self._kept(name, where, record)
        if len(self._batch) >= BATCH:
            self._write_down()

    def flush(self) -> None:
        """Keep all that was published until now: the task at hand has published everything."""
        self._end_task()
        self._write_down()

    def compare(self, told: Told = untold) -> Iterator[Unlike]:
        """Everything that is not on the log as the replay published it. What the log has deleted is not looked for.

        `told` hears how many records of how many were read.
        """
        self.flush()
        self._found.wipe()
        self._unexpected.wipe()
        log, places = self._log, places_on(self._log, self._topics)
        starts, ends = log.starts(places), log.ends(places)
        found = {place: self._runs_of(place) for place in places}
        first = {place: found[place].behind(offset) for place, offset in starts.items()}
        told(0, sum(max(ends[place] - first[place], 0) for place in places))
        for records in read_between(log, first, ends, told):
            for record in records:
                runs = found[record.topic_partition]
                unlike = None if runs.has(record.offset) else self._compared(record)
                if unlike is not None:
                    yield unlike
            self._found.write(self._batch)
            self._batch.clear()
        gone = {tp.topic for tp, offset in starts.items() if offset}
        yield from self._missing(gone)

    def _meets(self, name: bytes, record: NewRecord) -> bool:
        """Whether it is found on the log at once."""
        topic = record.topic
        try:
            beside = self._in_step[topic]
        except KeyError:
            place = TopicPartition(topic, self._task)
            known = None if self._repeated else self._log.topics().get(topic)
            beside = None
            if known is not None and self._task < known.partitions and not topic.endswith(LETTERS):
                beside = InStep(self._log, place, self._log.starts([place])[place])
            self._in_step[topic] = beside
        return beside is not None and beside.meets(name[:16], record)

    def _kept(self, name: bytes, where: bytes, record: NewRecord) -> bytes:
        """What is kept of a record that is to be looked for."""
        topic, key, value, headers, _ = record
        before = (self._batch.get(name) or self._scratch.get(name) or b"") if self._repeated else b""
        digest = _digest(topic, key, value, headers)
        if self.met_erased and value is not None and _ERASED in value:
            self._values.write({digest: value})
        return before + where + digest

    def _end_task(self) -> None:
        """Note what was found beside the task at hand."""
        runs = {_run_key(topic, self._task): one.close().packed() for topic, one in self._in_step.items() if one}
        if runs:
            self._runs.write(runs)
        self._in_step.clear()
        self._task = -1

    def _runs_of(self, place: TopicPartition) -> Runs:
        return Runs(self._runs.get(_run_key(*place)) or b"")

    def _write_down(self) -> None:
        if self._batch:
            self._scratch.write(self._batch)
            self._batch.clear()

    def _compared(self, record: Record) -> Unlike | None:
        topic, _, _, _, record_key, value, headers = record
        key = self._key(topic, record_key, value, headers)
        kept = self._left(key)
        if kept is None:
            unexpected = not _put_again(headers) and self._own(record)
            return Unlike("unexpected", topic, key[:16], record, None) if unexpected else None
        if kept == FOUND:
            return None if topic.endswith(LETTERS) else Unlike("twice", topic, key[:16], record, None)
        digest = _digest(topic, record_key, value, headers)
        each = list(_each(kept))
        # Of two that are alike the later one stands: what mended code would have done at once it did when put again.
        same = next((one for one in reversed(each) if one[12:] == digest), None)
        each.remove(same or each[0])
        self._batch[key] = b"".join(each) or FOUND
        if same:
            return None
        gone = any(self._is_erased(record, one[12:]) for one in _each(kept))
        return Unlike("erased" if gone else "differs", topic, key[:16], record, _place(kept))

    def _is_erased(self, live: Record, digest: bytes) -> bool:
        """Whether what the replay published under this digest differs only in what was erased since."""
        value = self._values.get(digest)
        if value is None or digest != _digest(live.topic, live.key, value, live.headers):
            return False
        published = live._replace(value=value)
        try:
            stood, replayed = (self._codec.event(one).model_dump(mode="json") for one in (live, published))
        except DecodeError:
            return False
        return covers(replayed, stood)

    def _missing(self, gone: Collection[str]) -> Iterator[Unlike]:
        """What the replay published and the log does not have; of topics whose beginning is gone, nobody knows."""
        names = {_number(topic): topic for topic in self._topics}
        for key, kept in self._scratch.scan():
            if kept == FOUND:
                continue
            topic = names[key[_NUMBER]]
            if topic not in gone:
                left = self._left(key) or b""
                yield from (Unlike("missing", topic, key[:16], None, _place(one)) for one in _each(left))

    def _left(self, key: bytes) -> bytes | None:
        """What was published under this key and not found yet; None where nothing was published."""
        if key in self._batch:
            return self._batch[key]
        found = self._found.get(key)
        return self._scratch.get(key) if found is None else found

    def _own(self, record: Record) -> bool:
        """Whether this service emitted it."""
        scope = self._service.scope
        if record.topic == f"{scope}{LETTERS}" or record.topic.startswith(f"{scope}.by-"):
            return True
        cause = cause_of(record)
        try:
            if cause is None or self._codec.event_class(record) not in self._emitted:
                return False
        except DecodeError:
            return False
        event_id = event_id_in(header_in(record.headers) or b"")
        return any(self._emitted_by(handler, cause, event_id) for handler in self._handlers)

    def _emitted_by(self, handler: str, cause: bytes, event_id: bytes) -> bool:
        """Whether it is one that this handler would emit upon this cause, behind those of the replay."""
        count, until = 0, MOST_MISSED
        while count < until:
            derived = derive_id(cause, self._service.name, handler, count)
            if derived == event_id:
                self._unexpected.write({event_id: b""})
                return True
            count += 1
            if count == until and self._known(derived):
                until += MOST_MISSED
        return False

    def _known(self, event_id: bytes) -> bool:
        return self._unexpected.get(event_id) is not None or next(self._scratch.scan(event_id), None) is not None

    def _key(self, topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
        """Its event's id and the number of its topic: a relayed event has the same id on several. And its mark, where
        it was put on the log again: of such only a relay publishes any.
        """
        number = self._numbers.get(topic)
        if number is None:
            number = self._numbers[topic] = _number(topic)
        if topic.endswith(LETTERS):
            for name, packed in headers:
                if name == DEAD_LETTER:
                    return _short(_letter(key, packed)) + number
        its = _legible(headers)
        if its is not None:
            again = again_in(its)
            return event_id_in(its) + number + (b"" if again is None else _short(repr(again)))
        return _short(repr((key, value, list(headers)))) + number


def cause_of(record: Record) -> bytes | None:
    """The causation_id in the packed header of a record; None where there is none."""
    header = _legible(record.headers)
    return None if header is None else causation_in(header)


def _put_again(headers: Headers) -> bool:
    """Whether a record bears the mark of an operator, packed or in text."""
    packed = _legible(headers)
    return (packed is not None and again_in(packed) is not None) or any(name == "choreo-again" for name, _ in headers)


def _legible(headers: Headers) -> bytes | None:
    """The packed header of a record; None where there is none, or what others wrote there and nobody can read."""
    packed = header_in(headers)
    try:
        if packed is not None:
            causation_in(packed), again_in(packed)
    except DecodeError:
        return None
    return packed


def _run_key(topic: str, partition: int) -> bytes:
    return topic.encode() + b"\0%d" % partition


def _each(kept: bytes) -> Iterator[bytes]:
    """What is kept of each record that was published under one key."""
    return (kept[start : start + _PUBLISHED] for start in range(0, len(kept), _PUBLISHED))


def _number(topic: str) -> bytes:
    return blake2b(topic.encode(), digest_size=4).digest()


def _short(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def _letter(key: bytes | None, packed: bytes) -> str:
    """Which dead letter it is. What its error says may name an address in memory."""
    said = json.loads(packed[1:])
    return repr([key, *(said.get(name) for name in ("origin", "at", "door", "handler", "part"))])


def _digest(topic: str, key: bytes | None, value: bytes | None, headers: Headers) -> bytes:
    """Eight bytes that are the same for the same record."""
    parts = [
        b"%d %d" % (-1 if key is None else len(key), -1 if value is None else len(value)),
        key or b"",
        value or b"",
    ]
    letter = topic.endswith(LETTERS)
    for name, packed in headers:
        if not (letter and name == DEAD_LETTER):
            parts += (name.encode(), b"%d" % len(packed), packed)
    return blake2b(b"\0".join(parts), digest_size=8).digest()


def _place(kept: bytes) -> Place:
    return Place(int.from_bytes(kept[:4], "big"), int.from_bytes(kept[4:12], "big"))
