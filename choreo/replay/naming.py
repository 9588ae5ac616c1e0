"""What a task acted upon, and who wrote what, by the names that people use."""

from typing import NamedTuple

from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.record import NewRecord, Record
from choreo.replay.origin import author_of, authors
from choreo.replay.rebuild import Act, Cause
from choreo.runtime.intake import STORY, due_id
from choreo.runtime.journal import Answered, Fired
from choreo.runtime.parking import PARKED, RETRY
from choreo.runtime.plan import Plan
from choreo.service.timer import timer_name
from choreo.state.keys import split_key
from choreo.state.timers import TIMER_PREFIX


class Named(NamedTuple):
    """A cause by its name: an event's full name, `timer NAME` or `retry`; with its id and where it lies."""

    name: str
    event_id: bytes | None
    key: str
    place: str


class Naming:
    """Names of one service's inputs and handlers."""

    def __init__(self, plan: Plan, codec: Codec) -> None:
        self._plan, self._codec = plan, codec
        self._authors = list(authors([plan.service]))

    def cause(self, cause: Cause) -> Named:
        """What a task acted upon."""
        if isinstance(cause, Record):
            key = (cause.key or b"").decode(errors="replace")
            try:
                kind = self._codec.event_class(cause)
                name = "a record that nothing handles" if kind is None else kind.contract.full_name
                return Named(name, self._codec.ids(cause).event_id, key, str(cause.position))
            except DecodeError:
                return Named("a record that is no event", None, key, str(cause.position))
        if isinstance(cause, Answered):
            return Named(f"the outcome of {cause.name}", None, cause.key.decode(errors="replace"), "")
        if cause.timer.startswith(RETRY.start):
            return Named("another attempt", None, RETRY.decode(cause.timer).decode(errors="replace"), "")
        _, parts = split_key(cause.timer)
        name = f"timer {timer_name(cause.timer)}"
        return Named(name, self.cause_id(cause), "/".join(map(str, parts)), "")

    def cause_id(self, cause: Cause) -> bytes | None:
        """The event_id under which what it brought about knows it; None where it has none of its own."""
        try:
            if isinstance(cause, Record):
                return self._codec.ids(cause).event_id
        except DecodeError:
            return None
        if isinstance(cause, Fired) and not cause.timer.startswith(RETRY.start):
            return due_id(self._plan.service.name, cause.timer, cause.due)
        return None

    def event(self, record: Record | NewRecord | None) -> str:
        """The full name of the event in a record."""
        if record is None:
            return "an event"
        known = record if isinstance(record, Record) else Record(record.topic, 0, -1, 0, *record[1:4])
        try:
            kind = self._codec.event_class(known)
        except DecodeError:
            kind = None
        return f"an event on {record.topic}" if kind is None else kind.contract.full_name

    def keepers(self, store: str) -> list[str]:
        """The handlers that keep a store."""
        kept = self._plan.service.signatures
        return [one.name for one in kept if store in {its.name for its in one.stores.values()}]

    def handlers(self, cause: Cause) -> list[str]:
        """The handlers that answer it."""
        if isinstance(cause, Record):
            try:
                kind = self._codec.event_class(cause)
            except DecodeError:
                return []
            routes = self._plan.routes.get(cause.topic, {})
            return [] if kind is None else [one.signature.name for one in routes.get(kind, ())]
        if isinstance(cause, Fired) and not cause.timer.startswith(RETRY.start):
            one = self._plan.by_timer.get(timer_name(cause.timer))
            return [] if one is None else [one.signature.name]
        return []

    def emitter(self, cause_id: bytes, event_id: bytes) -> str | None:
        """The handler that emitted an event upon this cause; None where none of this service did."""
        author = author_of(event_id, cause_id, self._authors)
        return None if author is None else author.handler

    def blamed(self, act: Act, store: str) -> list[str]:
        """The handlers that may have written to a store in this act."""
        keepers, answering = self.keepers(store), self.handlers(act.cause)
        return [one for one in answering if one in keepers] or answering or keepers


def entry_of(key: bytes) -> tuple[str, tuple[object, ...]]:
    """Store and parts of an entry's key; of a timer, `timer NAME` and what it is set for, of the note of its story
    likewise, and of what is parked the key of its line as text.
    """
    if key.startswith(TIMER_PREFIX):
        timer = key[len(TIMER_PREFIX) :]
        return f"timer {timer_name(timer)}", split_key(timer)[1]
    if key.startswith(STORY.start):
        timer = STORY.decode(key)
        return f"~story of timer {timer_name(timer)}", split_key(timer)[1]
    store, parts = split_key(key)
    if key.startswith(PARKED.start):
        parts = (parts[0].decode(errors="replace"), *parts[1:])
    return store, parts
