"""When to leave a downstream alone: the circuit breaker (M. Nygard, Release It!). Pure: time is an input."""

from collections import deque
from dataclasses import dataclass

from choreo.errors import DeclarationError


@dataclass(frozen=True, kw_only=True)
class Breaker:
    """Open for `open_s` after `failures` failures within `within_s`; an open breaker parks instead of failing.

    A failure is a call that raised one of `on`, or took too long. After `open_s` one call is let through: where it
    ends well the breaker closes, else it is open for as long again.
    """

    failures: int = 5
    within_s: float = 30
    open_s: float = 30
    on: type[Exception] | tuple[type[Exception], ...] = Exception

    def __post_init__(self) -> None:
        if self.failures < 1 or self.within_s <= 0 or self.open_s <= 0:
            raise DeclarationError(f"{self!r} can never work", hint="failures of 1 or more, times above 0")


class Circuit:
    """One breaker at work. Times are microseconds.

    Calls that began before it last opened or closed say nothing about the downstream of now: what they report under
    their `period` is passed over.
    """

    def __init__(self, breaker: Breaker) -> None:
        self.period = 0
        """Counts how often it opened and closed."""
        self._breaker = breaker
        self._within = round(breaker.within_s * 1_000_000)
        self._open = round(breaker.open_s * 1_000_000)
        self._failed_at: deque[int] = deque(maxlen=breaker.failures)
        self._until: int | None = None
        self._trying = False

    def wait(self, now: int) -> int:
        """0 where a call may begin now, and must be reported; else how long to leave the downstream alone."""
        if self._until is None:
            return 0
        if now < self._until:
            return self._until - now
        if self._trying:
            return max(self._open // 10, 1)
        self._trying = True
        return 0

    def ended(self, period: int, now: int, error: Exception | None) -> None:
        """A call that began in `period` ended, well where `error` is None or is not one of the breaker's."""
        if period != self.period:
            return
        failed = isinstance(error, self._breaker.on)
        if self._until is not None:
            self._turn(now + self._open if failed else None)
        elif failed:
            self._failed_at.append(now)
            if len(self._failed_at) == self._breaker.failures and now - self._failed_at[0] <= self._within:
                self._turn(now + self._open)

    def _turn(self, until: int | None) -> None:
        self.period += 1
        self._until = until
        self._trying = False
        self._failed_at.clear()
