"""The intake: from a record or a due timer to the methods that answer it. The decode door is here."""

import struct
from collections.abc import Callable
from typing import NamedTuple

from choreo.errors import DecodeError, PublishError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id
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


class Input(NamedTuple):
    """One record or due timer, ready to be handled."""

    key: bytes
    ids: Ids
    arguments: tuple[object, ...]
    invocations: tuple[Invocation, ...]
    waiting: Waiting
    plain: bool
    """Whether none of the methods is asynchronous."""


class Way(NamedTuple):
    """How the events of one class from one topic are answered."""

    invocations: tuple[Invocation, ...]
    plain: bool
    key: Callable[[Event], bytes | None] | None
    """What the record's key must be; None where any will do."""


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
        ids = self._codec.ids(record)
        if ids[9] is not None and not ids[9].meant_for(self._plan.service.name):
            return None
        invocations, plain, key = ways[kind]
        if key is not None and (its := key(event)) != record.key:
            raise _found_elsewhere(record, event, its)
        return of_fields(Input, (record.key or b"", ids, (event,), invocations, waiting, plain))

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
        plain = not invocation.method.asynchronous
        return Input(codec.first_part_text(key), ids, (key,), (invocation,), waiting, plain)

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
