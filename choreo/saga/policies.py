"""What a spec says of events that come at no good time, as values. When an event does, says `arrivals.py`."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Does = Literal["take", "keep", "merge", "ignore", "dead-letter", "fail"]
"""What is done with an event that comes at no good time."""

EVERY_OTHER = "*"
"""In place of an event's name: whatever the tables of the events themselves do not say."""


class Timing(StrEnum):
    """In which way an event comes at no good time. The same event delivered again is none of them: it has one id."""

    EARLY = "early"
    """Its turn is still to come: before its saga, its step, or that which it answers or takes back."""
    LATE = "late"
    """What it speaks of was settled in another way, or the saga is over."""
    DUPLICATE = "duplicate"
    """Another event has said the same."""
    OUT_OF_ORDER = "out_of_order"
    """It was emitted before what is known by now: it belongs to an older run of its step, or to an older undo."""
    UNEXPECTED = "unexpected"
    """It means nothing as the saga stands, and nothing says that it ever will."""

    @property
    def words(self) -> str:
        """`came late`, behind the event's name."""
        return _WORDS[self]


_WORDS = {
    Timing.EARLY: "came early",
    Timing.LATE: "came late",
    Timing.DUPLICATE: "came again",
    Timing.OUT_OF_ORDER: "came out of order",
    Timing.UNEXPECTED: "was not expected",
}


@dataclass(frozen=True)
class Policy:
    """What is done with one event (full name) of one timing; `keep_us` microseconds at most, None for ever."""

    event: str
    timing: Timing
    does: Does
    keep_us: int | None = None
