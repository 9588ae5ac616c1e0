"""The gate of one downstream: whether a call may begin, and when. It belongs to one worker; any thread may ask."""

from threading import Lock
from typing import NamedTuple

from choreo.clock import Clock
from choreo.errors import BreakerOpen
from choreo.resilience.breaker import Circuit
from choreo.resilience.limiter import TokenBucket
from choreo.service.calls import Downstream


class Entry(NamedTuple):
    """A call may begin in `wait` microseconds; its ending is told under `period`."""

    wait: int
    period: int


AT_ONCE = Entry(0, 0)


class Gate:
    """Breaker and rate of one downstream. How many calls at once is up to whoever makes them."""

    def __init__(self, limits: Downstream, clock: Clock) -> None:
        self.name = limits.name
        self._clock = clock
        self._circuit = None if limits.breaker is None else Circuit(limits.breaker)
        self._bucket = None if limits.rate_per_s is None else TokenBucket(limits.rate_per_s)
        self._lock = Lock()
        self._open = self._circuit is None and self._bucket is None

    def enter(self) -> Entry:
        """Begin a call. Raises BreakerOpen, before a token is taken, where the downstream is to be left alone."""
        if self._open:
            return AT_ONCE
        now = self._clock.now()
        with self._lock:
            wait = 0 if self._circuit is None else self._circuit.wait(now)
            if wait > 0:
                raise BreakerOpen(self.name, wait / 1_000_000)
            period = 0 if self._circuit is None else self._circuit.period
            return Entry(0 if self._bucket is None else self._bucket.take(now), period)

    def leave(self, entry: Entry, error: Exception | None) -> None:
        """A call ended, with this error or well."""
        if self._circuit is not None:
            with self._lock:
                self._circuit.ended(entry.period, self._clock.now(), error)


class Gates:
    """The gates of one worker, by the name of the downstream."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._gates: dict[str, Gate] = {}
        self._lock = Lock()

    def of(self, limits: Downstream) -> Gate:
        """The one gate of all handlers that name this downstream."""
        gate = self._gates.get(limits.name)
        if gate is None:
            with self._lock:
                gate = self._gates.setdefault(limits.name, Gate(limits, self._clock))
        return gate
