"""The journal: what a task did in each checkpoint, in order, so that a replay can do the same.

One record a checkpoint and task (several parts where it is larger than 512 KiB): version byte 1, then the Avro body of
`SCHEMA`. `steps` are in the order in which the task took them:

    Reading(now)                        ctx.now is this from here on (microseconds)
    Inputs(topic, first, last, taken)   `taken` records of topics[topic], offsets first..last, this task's partition
    Fired(timer, due)                   a timer's turn (its key bytes)
    Called(name, use, failed, result)   a recorded call that the step before it made
    Answered(key, name, use, failed, result)   a call ended that the input of this key waited for, and it went on
    Refused(error)                      what the next input wanted published can't be: it became a dead letter instead

Pages are numbered without a gap. The number of the last one is an entry of the task's store, on the changelog like any
other, so that a store that was restored goes on counting: version byte 1, then the number (8 bytes, big endian).
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from choreo.errors import DecodeError, because
from choreo.events.body_reader import reader_of
from choreo.events.body_writer import writer_of
from choreo.events.varint import LAST, long_bits
from choreo.record import NewRecord, Record, of_fields
from choreo.runtime.calls import Recorded
from choreo.state.backend import Backend
from choreo.state.keys import key_codec

VERSION = 1
MAX_PART_BYTES = 512 * 1024
LAST_PAGE = key_codec("~journal", str).encode("last")
"""The key of the entry that says how many pages of a task there are."""


def _record(record: str, /, **fields: str) -> dict[str, Any]:
    return {"type": "record", "name": record, "fields": [{"name": f, "type": kind} for f, kind in fields.items()]}


SCHEMA: Any = {
    "type": "record",
    "name": "choreo.Journal",
    "fields": [
        {"name": "build", "type": "string"},
        {"name": "specs", "type": {"type": "array", "items": "string"}},
        {"name": "epoch", "type": "long"},
        {"name": "checkpoint", "type": "long"},
        {"name": "part", "type": "int"},
        {"name": "parts", "type": "int"},
        {"name": "topics", "type": {"type": "array", "items": "string"}},
        {
            "name": "steps",
            "type": {
                "type": "array",
                "items": [
                    _record("Reading", now="long"),
                    _record("Inputs", topic="int", first="long", last="long", taken="long"),
                    _record("Fired", timer="bytes", due="long"),
                    _record("Called", name="string", use="int", failed="boolean", result="bytes"),
                    _record("Answered", key="bytes", name="string", use="int", failed="boolean", result="bytes"),
                    _record("Refused", error="string"),
                ],
            },
        },
    ],
}


def _writer(*names: str, prefix: bytes = b"") -> Callable[[dict[str, Any]], bytes]:
    """Of some fields of a page: a record in Avro is its fields, one after the other."""
    fields = [field for field in SCHEMA["fields"] if field["name"] in names]
    return writer_of(SCHEMA | {"fields": fields}, None, prefix)


_STEP: Any = SCHEMA["fields"][-1]["type"]["items"]
_write_head = _writer("build", "specs", "epoch", prefix=bytes([VERSION]))
_write_topics = _writer("topics")
_write_step = writer_of(SCHEMA | {"fields": [{"name": "step", "type": _STEP}]}, None)
_read = reader_of(SCHEMA)


# Most pages hold a step or two, and what never changes in a run would be the larger part of the work.
@lru_cache(maxsize=256)
def _head(build: str, specs: tuple[str, ...], epoch: int) -> bytes:
    return _write_head({"build": build, "specs": specs, "epoch": epoch})


@lru_cache(maxsize=256)
def _topics(topics: tuple[str, ...]) -> bytes:
    return _write_topics({"topics": topics})


class Reading(NamedTuple):
    now: int


class Inputs(NamedTuple):
    topic: int
    first: int
    last: int
    taken: int


class Fired(NamedTuple):
    timer: bytes
    due: int


class Answered(NamedTuple):
    key: bytes
    name: str
    use: int
    failed: bool
    result: bytes

    @property
    def recorded(self) -> Recorded:
        return Recorded(self.name, self.use, self.failed, self.result)


class Refused(NamedTuple):
    error: str


Step = Reading | Inputs | Fired | Recorded | Answered | Refused
_KINDS: dict[str, Any] = {
    "choreo.Reading": Reading,
    "choreo.Inputs": Inputs,
    "choreo.Fired": Fired,
    "choreo.Called": Recorded,
    "choreo.Answered": Answered,
    "choreo.Refused": Refused,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Page(NamedTuple):
    """One checkpoint of one task."""

    build: str
    specs: tuple[str, ...]
    epoch: int
    checkpoint: int
    topics: tuple[str, ...]
    steps: list[Step]

    def records(self, topic: str, partition: int) -> list[NewRecord]:
        """The page as records of the journal topic."""
        build, specs, epoch, checkpoint, topics, all_steps = self
        parts = _split(all_steps)
        head, its_topics = _head(build, specs, epoch), _topics(topics)
        records = []
        for part, steps in enumerate(parts):
            number = _long(checkpoint) + _long(part) + _long(len(parts))
            value = b"".join((head, number, its_topics, _in_avro(steps)))
            records.append(of_fields(NewRecord, (topic, None, value, (), partition)))
        return records


class PageWriter:
    """Gathers the steps of the checkpoint at hand; neighbouring inputs of a topic become one run."""

    def __init__(self, topics: tuple[str, ...]) -> None:
        self.topics = topics
        self._numbers = {topic: number for number, topic in enumerate(topics)}
        self._steps: list[Step] = []
        self._now = -1
        self._topic = ""
        """Of the run of inputs that goes on; empty where none does."""
        self._first = self._last = self._taken = 0

    def __bool__(self) -> bool:
        """Whether anything was taken down."""
        return bool(self._topic or self._steps)

    def reading(self, now: int) -> None:
        if now != self._now:
            self._end_run()
            self._now = now
            self._steps.append(Reading(now))

    def took(self, topic: str, offset: int) -> None:
        if topic == self._topic:
            self._last = offset
            self._taken += 1
            return
        self._end_run()
        self._topic, self._first, self._last, self._taken = topic, offset, offset, 1

    def fired(self, timer: bytes, due: int) -> None:
        self._note(Fired(timer, due))

    def called(self, calls: Iterable[Recorded]) -> None:
        for call in calls:
            self._note(call)

    def answered(self, key: bytes, recorded: Recorded) -> None:
        self._note(of_fields(Answered, (key, *recorded)))

    def refused(self, error: str) -> None:
        self._note(Refused(error))

    def take(self) -> list[Step]:
        """The steps since the last take."""
        self._end_run()
        steps, self._steps, self._now = self._steps, [], -1
        return steps

    def forget(self) -> None:
        """As if nothing had been taken down."""
        self.take()

    def _note(self, step: Step) -> None:
        self._end_run()
        self._steps.append(step)

    def _end_run(self) -> None:
        if self._topic:
            self._steps.append(Inputs(self._numbers[self._topic], self._first, self._last, self._taken))
            self._topic = ""


def last_page_entry(number: int) -> dict[bytes, bytes | None]:
    """The entry that says how many pages of a task there are."""
    return {LAST_PAGE: bytes([VERSION]) + number.to_bytes(8, "big")}


def last_page(backend: Backend) -> int:
    """How many pages of its journal a task's store knows; 0 for a new one. Raises DecodeError for another version."""
    found = backend.get(LAST_PAGE)
    return 0 if found is None else page_number(found)


def page_number(value: bytes) -> int:
    """What the entry of the last page says. Raises DecodeError for another version."""
    if value[:1] != bytes([VERSION]):
        raise DecodeError(
            f"the last page of a journal is noted in version {value[:1].hex()}", hint="run a newer Choreo"
        )
    return int.from_bytes(value[1:], "big")


def read_pages(records: Iterable[Record]) -> Iterator[Page]:
    """Pages from the records of one journal partition, in order; parts are joined. Raises DecodeError.

    Parts whose first one is not among them are left out.
    """
    steps: list[Step] = []
    expected = 0
    for record in records:
        value = record.value or b""
        if value[:1] != bytes([VERSION]):
            raise DecodeError(
                f"a journal record of version {value[:1].hex()}", at=record.position, hint="run a newer Choreo"
            )
        try:
            fields: Any = _read(value, 1)
        except ValueError as error:
            raise because(DecodeError("a journal record is damaged", at=record.position, why=str(error)), error)
        if fields["part"] != expected:
            steps, expected = [], 0
            if fields["part"]:
                continue
        steps += [_KINDS[name](**step) for name, step in fields["steps"]]
        expected += 1
        if expected == fields["parts"]:
            yield Page(
                fields["build"],
                tuple(fields["specs"]),
                fields["epoch"],
                fields["checkpoint"],
                tuple(fields["topics"]),
                steps,
            )
            steps, expected = [], 0


def _in_avro(steps: list[Step]) -> bytes:
    """`steps` of SCHEMA. Nearly all are readings and inputs: which branch it is, and numbers one after the other."""
    written = [_long(len(steps))] if steps else []
    for step in steps:
        if isinstance(step, Reading):
            written.append(LAST[0] + _long(step.now))
        elif isinstance(step, Inputs):
            topic, first, last, taken = step
            written.append(LAST[2] + _long(topic) + _long(first) + _long(last) + _long(taken))
        else:
            written.append(_write_step({"step": (_NAMES[type(step)], step._asdict())}))
    written.append(LAST[0])
    return b"".join(written)


def _long(value: int) -> bytes:
    bits = value << 1 ^ value >> 63
    return LAST[bits] if bits < 128 else long_bits(bits)


def _bytes_of(step: Step) -> int:
    if isinstance(step, (Recorded, Answered)):
        return len(step.result)
    return len(step.timer) if isinstance(step, Fired) else 0


def _split(steps: list[Step]) -> list[list[Step]]:
    """Steps in parts that fit: a call's result is what is large."""
    parts: list[list[Step]] = [[]]
    size = 0
    for step in steps:
        its = 32 + _bytes_of(step)
        size += its
        if size > MAX_PART_BYTES and parts[-1]:
            parts.append([])
            size = its
        parts[-1].append(step)
    return parts
