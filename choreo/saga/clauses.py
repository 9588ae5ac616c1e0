"""The clauses of a spec as values: what is emitted and whence its fields come, time limits, how a step is undone."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from choreo.saga.calendars import Span
from choreo.saga.conditions import Expression


@dataclass(frozen=True)
class SagaKey:
    """The value of `correlate_by`."""


_NAMED = re.compile(r"saga\.([A-Za-z_]\w*)|steps\.([A-Za-z_]\w*)\.([A-Za-z_]\w*)")


@dataclass(frozen=True)
class Reference:
    """A remembered field, taken over exactly: `step` is None for `saga.FIELD`."""

    step: str | None
    field: str

    @classmethod
    def named(cls, text: str) -> "Reference | None":
        """What `saga.FIELD` or `steps.NAME.FIELD` names; None for any other text."""
        found = _NAMED.fullmatch(text)
        if found is None:
            return None
        return cls(None, found[1]) if found[1] else cls(found[2], found[3])


@dataclass(frozen=True)
class Computed:
    """What an expression gives; a double is rounded to `places` decimals where the field is a Decimal."""

    expression: Expression
    places: int | None = None


@dataclass(frozen=True)
class Item:
    """Of the item at hand, where a step is done for each: its key for the field "", else a field of it."""

    field: str = ""


Source = SagaKey | Reference | Computed | Item


@dataclass(frozen=True)
class Emission:
    """An event to emit: its full name, and where each field comes from. What is not named keeps the event's default.

    A source that has no value leaves its field to the default too, or to None where the field is one of `nulls`.
    """

    event: str
    fields: Mapping[str, Source] = field(default_factory=dict)
    nulls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Telling:
    """An event that tells others what became of a saga or step: `moment` is a key of the spec's `tell`."""

    moment: str
    emission: Emission


def grown(wait_us: int, backoff: int, longest_us: int | None, attempt: int) -> int:
    """A wait that is `backoff` times as long after each attempt, up to a longest one. Microseconds."""
    wait = wait_us
    for _ in range(attempt - 1):
        if backoff == 1 or (longest_us is not None and wait >= longest_us):
            break
        wait *= backoff
    return wait if longest_us is None else min(wait, longest_us)


@dataclass(frozen=True)
class OnTimeout:
    """What a timeout means. `attempts` counts requests, or questions, in all; `wait_us` microseconds pass before the
    next request, or are given to the answer to a question.
    """

    kind: Literal["fail", "retry", "escalate", "ask"] = "fail"
    attempts: int = 1
    wait_us: Span = 0
    ask: Emission | None = None
    backoff: int = 1
    longest_us: int | None = None

    def wait_after(self, attempt: int) -> int:
        """Microseconds from a request that was not answered until the next one."""
        assert isinstance(self.wait_us, int)  # only the wait for an answer goes by a calendar
        return grown(self.wait_us, self.backoff, self.longest_us, attempt)


FAIL = OnTimeout()


@dataclass(frozen=True)
class Reminder:
    """What is emitted again and again while a step waits: after `every_us` microseconds each, `at_most` times."""

    emission: Emission
    every_us: Span
    at_most: int


@dataclass(frozen=True)
class Human:
    """A person decides a step: somebody of `role`, once it is overdue of `escalate_to`.

    `asks` is the question, texts and values in turn. `decisions` are the events that decide, with what the saga fills
    in by itself: all other fields are for the person.
    """

    role: str
    asks: tuple[str | Source, ...]
    decisions: tuple[Emission, ...] = ()
    escalate_to: str | None = None

    @property
    def sources(self) -> tuple[Source, ...]:
        """All that the saga has to know for it."""
        filled = (source for decision in self.decisions for source in decision.fields.values())
        return (*(part for part in self.asks if not isinstance(part, str)), *filled)


@dataclass(frozen=True)
class Repetition:
    """A step is done again until a condition holds, `at_most` times in all; then it has failed."""

    until: Expression
    at_most: int


@dataclass(frozen=True)
class FanOut:
    """A step is done for each item of a list. Items are told apart by `key`, a field of theirs, and of the events.

    `at_least` items must be done, else `percent` of them. `keeps` are the fields of an item that are read.
    """

    items: Reference
    key: str
    adds_on: tuple[str, ...] = ()
    at_least: int | None = None
    percent: int = 100
    rest: Literal["leave", "wait", "undo"] = "leave"
    keeps: tuple[str, ...] = ()

    def enough(self, items: int) -> int:
        """How many of so many items must be done."""
        return self.at_least if self.at_least is not None else -(-items * self.percent // 100)


@dataclass(frozen=True)
class Compensation:
    """How a step is undone. A failed or silent undo is asked for `attempts` times in all, then the saga is stuck.

    `after` names what must be undone before; None: whatever came after the step.
    """

    emit: Emission
    done_on: tuple[str, ...]
    fails_on: tuple[str, ...] = ()
    within_us: Span | None = None
    attempts: int = 3
    wait_us: int = 30_000_000
    after: tuple[str, ...] | None = None
    backoff: int = 1
    longest_us: int | None = None

    def wait_after(self, attempt: int) -> int:
        """Microseconds from an undo that failed until the next one."""
        return grown(self.wait_us, self.backoff, self.longest_us, attempt)


@dataclass(frozen=True)
class Nested:
    """The saga that a step is: its name, and the field of its start event that holds its own key."""

    saga: str
    key: str


@dataclass(frozen=True)
class Cancellation:
    """Which event asks to go back, and what is emitted where that is refused."""

    event: str
    refused: Emission | None = None
