"""The intake: from a record or a due timer to the methods that answer it. The decode door is here."""

import struct
from typing import NamedTuple

from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id
from choreo.events.event import Event, key_of, key_text
from choreo.record import Record
from choreo.runtime.entries import Entries
from choreo.runtime.parking import RAW, Waiting
from choreo.runtime.plan import Invocation, Plan
from choreo.service.timer import timer_name
from choreo.state.keys import key_codec

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


class Intake:
    """Reads what comes to one task."""

    def __init__(self, plan: Plan, entries: Entries, codec: Codec) -> None:
        self._plan = plan
        self._entries = entries
        self._codec = codec

    def ready(self, waiting: Waiting) -> Input | None:
        """What to run for it; None where nothing answers it.

        Raises DecodeError for a record that is no event, or another's; PublishError where the event's own key is none.
        """
        if waiting.record is None:
            return self._timer(waiting)
        record = waiting.record
        kind = self._codec.event_class(record)
        invocations = self._plan.routes[record.topic].get(kind) if kind else None
        if invocations is None:
            return None
        ids = self._codec.ids(record)
        event = self._codec.event(record)
        self._check_key(record, event)
        return Input(record.key or b"", ids, (event,), invocations, waiting)

    def _check_key(self, record: Record, event: Event) -> None:
        """An event is found again by its key: that of the record must be its own."""
        rekeyed = self._plan.rekeyed.get(record.topic)
        if event.contract.external and rekeyed is None:
            return
        key = key_of(event) if rekeyed is None else key_text(getattr(event, rekeyed.field))
        if key != record.key:
            raise DecodeError(
                f"the record's key {record.key!r} is not the key of its {type(event).__name__}, {key!r}",
                at=record.position,
                why="an event is found again by its key",
                hint=f"publish it with the text of {', '.join(event.contract.key)} as the record's key",
            )

    def _timer(self, waiting: Waiting) -> Input | None:
        name = timer_name(waiting.timer)
        invocation = self._plan.by_timer.get(name)
        if invocation is None:
            return None
        timer = next(timer for timer in invocation.signature.timers.values() if timer.name == name)
        codec = timer.codec()
        key = codec.decode(waiting.timer)
        causation_id, set_at, correlation_id = read_story(self._entries.read(STORY.encode(waiting.timer), RAW))
        service = self._plan.service.name
        ids = Ids(
            event_id=derive_id(derive_id(b"", service, waiting.timer.hex(), 0), "", "due", waiting.due),
            correlation_id=correlation_id,
            causation_id=causation_id,
            request_id=None,
            attempt=1,
            at=max(waiting.due, set_at),
            cancelled=False,
            saga=None,
            key_id=None,
        )
        return Input(codec.first_part_text(key), ids, (key,), (invocation,), waiting)


def story_of(ids: Ids) -> bytes:
    """The story of a timer that was set while an event with these ids was handled."""
    return _STORY.pack(1, ids.event_id, ids.at) + ids.correlation_id.encode()


def read_story(story: bytes) -> tuple[bytes, int, str]:
    """Causation id, when that was emitted (microseconds), and correlation id."""
    _, causation_id, at = _STORY.unpack_from(story)
    return causation_id, at, story[_STORY.size :].decode()
