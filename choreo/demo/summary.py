"""What a demo run came to: counts and times, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from typing import Any, Literal, NamedTuple, Protocol

Time = Literal["virtual time", "wall time"]
STATUSES = ("completed", "compensated", "cancelled", "waiting", "compensating", "stuck")
"""In the order in which they are shown."""


class Glimpse(NamedTuple):
    """How far a run is. `now`: its clock, microseconds; `handled`: inputs that all services handled."""

    orders: int
    now: int
    handled: int
    statuses: Mapping[str, int]


class Watch(Protocol):
    """Told now and then how far the run is."""

    def __call__(self, glimpse: Glimpse, /) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A demo run at its end. `wall_s` is what it took at the console; saga times are in the time that `time` names."""

    orders: int
    statuses: Mapping[str, int]
    """Orders by the status of their saga; an order that was not placed is in none."""
    compensations: int
    """Steps that were undone."""
    overdue: int
    """Orders whose promised date passed while they were open."""
    refused: int
    """Cancellations that came after the delivery."""
    handled: int
    """Inputs handled by all services together, timers included."""
    wall_s: float
    time: Time
    spanned_s: float
    """From the first purchase to the last thing that happened."""
    saga_p50_s: float | None
    saga_p99_s: float | None
    """From the start to the end of a saga, those that ended; None where none did."""
    examples: Mapping[str, str] = field(default_factory=dict)
    """One order for each status."""

    @property
    def events_per_s(self) -> float:
        """Inputs handled in a second of wall time."""
        return self.handled / self.wall_s if self.wall_s > 0 else 0.0

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `--json` prints them."""
        return {
            "orders": self.orders,
            "statuses": {status: self.statuses.get(status, 0) for status in STATUSES},
            "compensations": self.compensations,
            "overdue": self.overdue,
            "cancellations_refused": self.refused,
            "events_handled": self.handled,
            "wall_s": round(self.wall_s, 3),
            "events_per_s": round(self.events_per_s),
            "time": self.time,
            "spanned_s": round(self.spanned_s, 3),
            "saga_p50_s": self.saga_p50_s,
            "saga_p99_s": self.saga_p99_s,
            "examples": dict(self.examples),
        }


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value at or below which this share of the values lies (nearest rank); `ordered` is ascending."""
    return ordered[max(ceil(share * len(ordered)) - 1, 0)] if ordered else None


def readable(seconds: float) -> str:
    """A duration as people say it: 350 ms, 12.5 s, 3 h 20 min, 10 d 4 h."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = timedelta(seconds=round(seconds))
    hours, minutes = whole.seconds // 3600, whole.seconds // 60 % 60
    if whole.days:
        return f"{whole.days:,} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole.seconds % 60} s"
