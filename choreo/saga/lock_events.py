"""The events by which sagas ask for locks and are told of them.

A scope's lock service reads requests keyed by the lock; a saga reads answers keyed by its own key, on a topic of its
own that is made with its coordinator's other inputs. So each side finds its partition whatever the other one's count.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple, cast

from choreo.events.event import Event, EventType
from choreo.saga.rules import Spec


class LockEvent(Event, abstract=True):
    """What passes between sagas and locks; nobody else emits or takes it."""

    lock: str
    """The value of the field of `isolate_on`."""


class LockRequested(LockEvent, abstract=True):
    """A saga wants a lock. Each scope has a class of its own: `asking(scope)`."""

    saga: str
    saga_key: str
    expires_us: int | None = None
    """For how many microseconds it is granted at most; null: until it is released."""


class LockReleased(LockEvent, abstract=True):
    """A saga needs its lock no more, or does not wait for it any longer."""

    saga: str
    saga_key: str
    claim: str | None = None
    """Which grant is given back; null: whatever the saga has claimed, as far as it knows nothing was granted."""


class LockAnswer(LockEvent, abstract=True):
    """What becomes of a saga's wish for a lock. Each saga has classes of its own: `answering(saga)`."""

    key: str
    """The saga's key."""
    scope: str
    claim: str
    """The event_id of the request that is answered."""


class LockGranted(LockAnswer, abstract=True):
    """The saga holds the lock."""

    since: datetime
    expires: datetime | None
    """Until when at most; null: until it is released."""


class LockExpired(LockAnswer, abstract=True):
    """The saga holds the lock no more: its time is over."""


class LockRefused(LockAnswer, abstract=True):
    """Too many wait for the lock already."""


class Asking(NamedTuple):
    """What sagas say to the lock service of a scope."""

    requested: type[LockRequested]
    released: type[LockReleased]


class Answering(NamedTuple):
    """What one saga hears of locks."""

    granted: type[LockGranted]
    expired: type[LockExpired]
    refused: type[LockRefused]


@cache
def asking(scope: str) -> Asking:
    """The classes of one scope: `choreo.locks.SCOPE.LockRequested` on `choreo.locks.SCOPE.requests`, by the lock."""
    place = f"choreo.locks.{scope}"
    made = (_made(cls, place, f"{place}.requests", "lock") for cls in (LockRequested, LockReleased))
    return Asking(*cast(Any, made))


@cache
def answering(saga: str) -> Answering:
    """The classes of one saga: `choreo.saga.NAME.LockGranted` on `choreo.saga.NAME.locks`, by the saga's key."""
    place = f"choreo.saga.{saga}"
    made = (_made(cls, place, f"{place}.locks", "key") for cls in (LockGranted, LockExpired, LockRefused))
    return Answering(*cast(Any, made))


def lock_events(specs: Iterable[Spec]) -> Mapping[str, type[Event]]:
    """The classes of all locks that these specs speak of, by full name."""
    named = [(spec.name, spec.lock_scope) for spec in specs if spec.lock_scope]
    events = [event for saga, scope in named for event in (*asking(scope), *answering(saga))]
    return {event.contract.full_name: event for event in events}


def _made(cls: type[Event], namespace: str, topic: str, key: str) -> type[Event]:
    body = {"__module__": __name__, "__doc__": cls.__doc__}
    made: Any = EventType(cls.__name__, (cls,), body, namespace=namespace, topic=topic, key=key)
    return cast(type[Event], made)
