"""Time is an input: microseconds since 1970 (UTC) as an int, read from a clock that is passed in."""

import time
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEVER: Final = 2**63 - 1
"""Later than every due time (microseconds)."""


class Clock(Protocol):
    """Whatever tells the time."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        ...


class SystemClock:
    """The wall clock, kept from going backwards within a process."""

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> int:
        self._last = max(self._last, time.time_ns() // 1000)
        return self._last


class VirtualClock:
    """A clock that stands still until it is moved."""

    def __init__(self, start: datetime | int = 0) -> None:
        self._now = start if isinstance(start, int) else to_micros(start)

    def now(self) -> int:
        return self._now

    def move_to(self, instant: int) -> None:
        """Move forward to `instant` (microseconds); an earlier one changes nothing."""
        self._now = max(self._now, instant)


def to_micros(moment: datetime) -> int:
    """An aware datetime as microseconds since 1970, exactly."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def to_datetime(micros: int) -> datetime:
    """Microseconds since 1970 as an aware UTC datetime."""
    return EPOCH + timedelta(microseconds=micros)


def from_iso(text: str) -> int:
    """Microseconds since 1970 of an ISO 8601 time, UTC where it names no zone; a day is its first instant.

    Raises ValueError for what is none.
    """
    moment = datetime.fromisoformat(text)
    return to_micros(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def iso(moment: datetime, precision: Literal["seconds", "milliseconds", "microseconds"]) -> str:
    """ISO 8601, of a moment in UTC with a Z at its end."""
    return moment.isoformat(timespec=precision).replace("+00:00", "Z")
