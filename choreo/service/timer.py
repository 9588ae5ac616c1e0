"""Timer: something to do later, durable, declared in a handler."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, get_args

from choreo.clock import to_micros
from choreo.errors import HandlerError, StoreKeyError
from choreo.state.keys import KeyCodec, key_codec

if TYPE_CHECKING:
    from choreo.service.context import Answer, Context

K = TypeVar("K")
H = TypeVar("H")

TIMER_NAMES = "@"
"""Timer keys are store keys of the name `@NAME`: they sort and decode the same way."""


def timer_name(timer: bytes) -> str:
    """The name of the timer that a timer key belongs to."""
    return timer[2 : timer.index(0)].decode()


class TimerLane(Protocol):
    """Where a bound timer writes: the effects of the handling at hand."""

    key: bytes
    now: int

    def set_timer(self, timer: bytes, due: int) -> None: ...
    def cancel_timer(self, timer: bytes) -> None: ...
    def where(self) -> str: ...


class Timer(Generic[K]):
    """One due time a key: `promise = Timer[str]()`, set in a handler, answered by the method marked `@promise.due`.

    It fires once, at or after its time, when everything that was on the log by then has been handled.
    Its key begins with the key of the event, as a store's does.
    """

    name: str = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def codec(self) -> KeyCodec:
        """How keys of this timer become bytes. Raises HandlerError where the type is missing."""
        types = get_args(getattr(self, "__orig_class__", None))
        if len(types) != 1:
            raise HandlerError(f"timer {self.name!r} has no type", hint=f"{self.name} = Timer[KeyType]()")
        return key_codec(TIMER_NAMES + self.name, types[0])

    def set(self, key: K, *, after: timedelta | None = None, at: datetime | None = None) -> None:
        """Fire `after` from now or `at` a time; replaces an earlier setting of the same key."""
        self._unbound()

    def cancel(self, key: K) -> None:
        """Forget it; nothing happens where it is not set."""
        self._unbound()

    def _unbound(self) -> None:
        raise HandlerError(
            f"timer {self.name!r} is only a declaration here", hint="use it as self.NAME inside handle or compensate"
        )

    def due(self, method: Callable[[H, K, Context], Answer]) -> Callable[[H, K, Context], Answer]:
        """Marks the method that answers when the timer is due."""
        method.__dict__["timer"] = self
        return method


class BoundTimer(Timer[K]):
    """A timer as a handler sees it at work."""

    def __init__(self, declared: Timer[K], lane: TimerLane) -> None:
        self.name = declared.name
        self._lane = lane
        self._keys: Any = declared.codec()

    def _raw(self, key: K) -> bytes:
        if self._keys.first_part_text(key) != self._lane.key:
            raise StoreKeyError(
                f"timer {self.name}: {key!r} does not live in this partition",
                at=self._lane.where(),
                why="a timer's key begins with the key of the event, as a store's does",
                hint="begin the key with the key of the event, or set keyed_by on the handler",
            )
        raw: bytes = self._keys.encode(key)
        return raw

    def set(self, key: K, *, after: timedelta | None = None, at: datetime | None = None) -> None:
        if (after is None) == (at is None):
            raise HandlerError(f"timer {self.name}: set takes after= or at=, one of them", at=self._lane.where())
        if at is not None and at.tzinfo is None:
            raise HandlerError(f"timer {self.name}: at={at!r} has no time zone", hint="datetime(..., tzinfo=UTC)")
        due = to_micros(at) if at is not None else self._lane.now + (after or timedelta()) // timedelta(microseconds=1)
        self._lane.set_timer(self._raw(key), due)

    def cancel(self, key: K) -> None:
        self._lane.cancel_timer(self._raw(key))
