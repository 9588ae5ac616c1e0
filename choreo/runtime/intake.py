"""The intake: from a record or a due timer to the methods that answer it. The decode door is here."""

import struct
from collections.abc import Callable
from typing import NamedTuple

from choreo.clock import NEVER
from choreo.errors import DecodeError, PublishError
from choreo.events.codec import Codec
from choreo.events.envelope import Again, Ids, derive_id
from choreo.events.event import Event, key_reader, key_text
from choreo.record import Record, of_fields
from choreo.runtime.entries import Entries
from choreo.runtime.parking import RAW, Waiting
from choreo.runtime.plan import Invocation, Plan
from choreo.service.timer import timer_name
from choreo.state.keys import KeyCodec, key_codec

STORY = key_codec("~story", bytes)
"""Which story a timer belongs to, by the timer's key: version byte 1, then event_id (16 bytes) and time (8 bytes) of
the event in whose handling it was set, then the correlation id.
"""
_STORY = struct.Struct(">B16sq")


class Way(NamedTuple):
    """How the events of one class from one topic are answered, or a timer."""

    invocations: tuple[Invocation, ...]
    plain: bool
    key: Callable[[Event], bytes | None] | None
    """What the record's key must be; None where any will do."""


class Input:
    """One record or due timer, ready to be handled.

    `said` are the ids that it bears. Those of a record that bears none follow from its place: they are worked out by
    `codec` where somebody asks for them.
    """

    __slots__ = ("_codec", "_said", "again", "arguments", "invocations", "key", "plain", "waiting")

    def __init__(
        self, key: bytes, said: Ids | None, arguments: tuple[object, ...], way: Way, waiting: Waiting, codec: Codec
    ) -> None:
        self.key, self.arguments, self.waiting = key, arguments, waiting
        self.invocations, self.plain, _ = way
        """`plain`: whether none of the methods is asynchronous."""
        self.again: Again | None = None if said is None else said[9]
        """The mark of an operator."""
        self._said, self._codec = said, codec

    @property
    def ids(self) -> Ids:
        said = self._said
        if said is None:
            assert self.waiting.record is not None, "a timer bears its own"
            said = self._said = self._codec.ids(self.waiting.record)
        return said

    def origin(self) -> Ids | Record:
        """What its ids are, or follow from: its place on the log, without key and value, which may be large."""
        said = self._said
        if said is None:
            record = self.waiting.record
            assert record is not None, "a timer bears its own"
            return of_fields(Record, (record[0], record[1], record[2], record[3], None, None, ()))
        return said

    @property
    def endless(self) -> bool:
        """Whether it says that it was emitted at the end of time: nothing can be emitted behind it."""
        return self._said is not None and self._said.at >= NEVER


class Intake:
    """Reads what comes to one task."""

    def __init__(self, plan: Plan, entries: Entries, codec: Codec) -> None:
        self._plan = plan
        self._entries = entries
        self._codec = codec
        self._ways = {topic: self._ways_of(topic) for topic in plan.topics}
        self._timers: dict[str, tuple[Invocation, KeyCodec]] = {}
        """What answers a timer, and how its key is read: by its name, as far as one has come."""

    def ready(self, waiting: Waiting) -> Input | None:
        """What to run for it; None where nothing answers it, or where an operator meant another service.

        Raises DecodeError for a record that is no event, or another's; PublishError where the event's own key is none.
        """
        if waiting.record is None:
            return self._timer(waiting)
        record = waiting.record
        ways = self._ways[record.topic]
        kind, event = self._codec.event_among(record, ways)
        if kind is None or event is None:
            return None
        said = self._codec.said_ids(record)
        if said is not None and said[9] is not None and not said[9].meant_for(self._plan.service.name):
            return None
        way = ways[kind]
        if way[2] is not None and (its := way[2](event)) != record.key:
            raise _found_elsewhere(record, event, its)
        return Input(record.key or b"", said, (event,), way, waiting, self._codec)

    def seen(self, waiting: Waiting) -> Input | None:
        """What it is, for somebody who only looks; None where it can't be read."""
        try:
            return self.ready(waiting)
        except (DecodeError, PublishError):
            return None

    def concerned(self, record: Record) -> bool:
        """Whether a record that is no event is this service's affair: not where an operator meant it for another, nor
        where it only moves what waits.
        """
        try:
            again = self._codec.ids(record).again
        except DecodeError:
            return True
        return again is None or (again.meant_for(self._plan.service.name) and not again.only_moves)

    def answers(self, record: Record) -> bool:
        """Whether anybody answers it; a record that is no event is answered by a dead letter."""
        try:
            return self._codec.event_class(record) in self._ways[record.topic]
        except DecodeError:
            return True

    def _ways_of(self, topic: str) -> dict[type[Event], Way]:
        """An event is found again by its key: that of the record must be its own. A stranger's may be any."""
        ways = {}
        rekeyed = self._plan.rekeyed.get(topic)
        for kind, invocations in self._plan.routes[topic].items():
            if rekeyed is not None:
                key: Callable[[Event], bytes | None] | None = _text_reader(rekeyed.field)
            else:
                key = None if kind.contract.external else key_reader(kind)
            ways[kind] = Way(invocations, all(not each.method.asynchronous for each in invocations), key)
        return ways

    def _timer(self, waiting: Waiting) -> Input | None:
        name = timer_name(waiting.timer)
        known = self._timers.get(name) or self._timer_named(name)
        if known is None:
            return None
        invocation, codec = known
        key = codec.decode(waiting.timer)
        causation_id, set_at, correlation_id = read_story(self._entries.read(STORY.encode(waiting.timer), RAW))
        service = self._plan.service.name
        ids = Ids(
            event_id=due_id(service, waiting.timer, waiting.due),
            correlation_id=correlation_id,
            causation_id=causation_id,
            request_id=None,
            attempt=1,
            at=max(waiting.due, set_at),
            cancelled=False,
            saga=None,
            key_id=None,
            again=None,
        )
        way = Way((invocation,), not invocation.method.asynchronous, None)
        return Input(codec.first_part_text(key), ids, (key,), way, waiting, self._codec)

    def _timer_named(self, name: str) -> tuple[Invocation, KeyCodec] | None:
        invocation = self._plan.by_timer.get(name)
        if invocation is None:
            return None
        timer = next(timer for timer in invocation.signature.timers.values() if timer.name == name)
        self._timers[name] = known = (invocation, timer.codec())
        return known


def _text_reader(field: str) -> Callable[[Event], bytes]:
    return lambda event: key_text(getattr(event, field))


def _found_elsewhere(record: Record, event: Event, key: bytes | None) -> DecodeError:
    return DecodeError(
        f"the record's key {record.key!r} is not the key of its {type(event).__name__}, {key!r}",
        at=record.position,
        why="an event is found again by its key",
        hint=f"publish it with the text of {', '.join(event.contract.key)} as the record's key",
    )


def due_id(service: str, timer: bytes, due: int) -> bytes:
    """The event_id of a timer's turn: what it brings about has it as its cause."""
    return derive_id(derive_id(b"", service, timer.hex(), 0), "", "due", due)


def story_of(ids: Ids) -> bytes:
    """The story of a timer that was set while an event with these ids was handled."""
    return _STORY.pack(1, ids.event_id, ids.at) + ids.correlation_id.encode()


def read_story(story: bytes) -> tuple[bytes, int, str]:
    """Causation id, when that was emitted (microseconds), and correlation id."""
    _, causation_id, at = _STORY.unpack_from(story)
    return causation_id, at, story[_STORY.size :].decode()
