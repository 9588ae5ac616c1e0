"""A saga spec as values: what the coordinator follows. Reading YAML is `reading.py`, looking names up `checking.py`."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from enum import Enum, StrEnum
from functools import cached_property
from typing import Any, Literal, NamedTuple

from choreo.saga.conditions import Expression


@dataclass(frozen=True)
class SagaKey:
    """The value of `correlate_by`."""


@dataclass(frozen=True)
class Reference:
    """A remembered field, taken over exactly: `step` is None for `saga.FIELD`."""

    step: str | None
    field: str


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
    wait_us: int = 0
    ask: Emission | None = None
    backoff: int = 1
    longest_us: int | None = None

    def wait_after(self, attempt: int) -> int:
        """Microseconds from a request that was not answered until the next one."""
        return grown(self.wait_us, self.backoff, self.longest_us, attempt)


FAIL = OnTimeout()


@dataclass(frozen=True)
class Reminder:
    """What is emitted again and again while a step waits: after `every_us` microseconds each, `at_most` times."""

    emission: Emission
    every_us: int
    at_most: int


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
    within_us: int | None = None
    attempts: int = 3
    wait_us: int = 30_000_000
    after: tuple[str, ...] | None = None
    backoff: int = 1
    longest_us: int | None = None

    def wait_after(self, attempt: int) -> int:
        """Microseconds from an undo that failed until the next one."""
        return grown(self.wait_us, self.backoff, self.longest_us, attempt)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. Event names are full names; times are microseconds, None for no limit.

    `within_us` counts from the moment when the step begins to wait, `deadline_us` from the start of the saga,
    `not_before_us` from the step's turn; an expression gives the point in time itself.
    Of `after`, `enough` must be done; None: all of them, or skipped. `otherwise` are those that must have been skipped.
    `keeps` are the fields of the completing event that expressions and mappings read.
    """

    name: str
    after: tuple[str, ...] = ()
    enough: int | None = None
    when: Expression | None = None
    otherwise: tuple[str, ...] = ()
    emit: Emission | None = None
    completes_on: tuple[str, ...] = ()
    fails_on: tuple[str, ...] = ()
    unknown_on: tuple[str, ...] = ()
    within_us: int | Expression | None = None
    deadline_us: int | Expression | None = None
    on_timeout: OnTimeout = FAIL
    compensate: Compensation | None = None
    pivot: bool = False
    keeps: tuple[str, ...] = ()
    tells: tuple[Telling, ...] = ()
    remind: Reminder | None = None
    skips_on: tuple[str, ...] = ()
    reopens_on: tuple[str, ...] = ()
    repeat: Repetition | None = None
    not_before_us: int | Expression | None = None
    for_each: FanOut | None = None
    item_of: str = ""
    """Of a step for one item: the step that is done for each."""

    @property
    def fans_out(self) -> bool:
        """Whether it is done for each item of a list."""
        return self.for_each is not None and not self.item_of

    @property
    def whole(self) -> str:
        """The step of the spec that this is, or is an item of."""
        return self.item_of or self.name

    @property
    def reads(self) -> Mapping[str, tuple[str, ...]]:
        """The fields that are read of the events that concern the step."""
        rule, undo = self.for_each, self.compensate
        if rule is None:
            return dict.fromkeys(self.completes_on, self.keeps)
        ends = (*self.completes_on, *self.fails_on, *self.unknown_on, *self.skips_on, *self.reopens_on)
        answers = (*undo.done_on, *undo.fails_on) if undo else ()
        return dict.fromkeys((*ends, *answers), (rule.key,)) | dict.fromkeys(rule.adds_on, (rule.key, *rule.keeps))

    @property
    def emissions(self) -> tuple[Emission, ...]:
        """Everything that the saga may emit for this step."""
        undo, remind = self.compensate, self.remind
        found = [self.emit, undo.emit if undo else None, *(telling.emission for telling in self.tells)]
        found += [self.on_timeout.ask, remind.emission if remind else None]
        return tuple(emission for emission in found if emission)


@dataclass(frozen=True)
class Cancellation:
    """Which event cancels, and what is emitted where that is refused."""

    event: str
    refused: Emission | None = None


class Role(StrEnum):
    """What an event means to a spec."""

    STARTS = "starts"
    COMPLETES = "completes"
    FAILS = "fails"
    UNKNOWN = "unknown"
    UNDONE = "undone"
    UNDO_FAILS = "undo fails"
    CANCELS = "cancels"
    REOPENS = "reopens"
    ADDS = "adds"
    SKIPS = "skips"


class Part(NamedTuple):
    """One role of an event; `step` is "" where it concerns the whole saga."""

    role: Role
    step: str


@dataclass(frozen=True, kw_only=True)
class Spec:
    """A whole saga. `correlate_by` gives, for each event, the field that holds the saga's key.

    `remembers` are the fields of the start event that an instance keeps. Times are microseconds, None for ever.
    """

    name: str
    version: int
    starts_on: str
    correlate_by: Mapping[str, str]
    steps: tuple[Step, ...]
    remembers: tuple[str, ...] = ()
    cancels_on: Cancellation | None = None
    keep_early_us: int | None = 86_400_000_000
    keep_ended_us: int | None = 30 * 86_400_000_000
    refuse_again_us: int | None = 365 * 86_400_000_000
    tells: tuple[Telling, ...] = ()
    cancellable_until: str | None = None
    """The step that must not be done yet when a cancellation comes."""

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the normalised content: comments, layout and short names don't matter, every rule does."""
        text = json.dumps(_plain(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def by_name(self) -> Mapping[str, Step]:
        """The steps by name."""
        return {step.name: step for step in self.steps}

    @cached_property
    def parts(self) -> Mapping[str, tuple[Part, ...]]:
        """What each event that the spec names means to it."""
        found: dict[str, list[Part]] = {self.starts_on: [Part(Role.STARTS, "")]}
        if self.cancels_on:
            found.setdefault(self.cancels_on.event, []).append(Part(Role.CANCELS, ""))
        for step in self.steps:
            undo = step.compensate
            for role, events in (
                (Role.COMPLETES, step.completes_on),
                (Role.FAILS, step.fails_on),
                (Role.UNKNOWN, step.unknown_on),
                (Role.UNDONE, undo.done_on if undo else ()),
                (Role.UNDO_FAILS, undo.fails_on if undo else ()),
                (Role.REOPENS, step.reopens_on),
                (Role.SKIPS, step.skips_on),
                (Role.ADDS, step.for_each.adds_on if step.for_each else ()),
            ):
                for event in events:
                    found.setdefault(event, []).append(Part(role, step.name))
        return {event: tuple(parts) for event, parts in found.items()}

    @property
    def emissions(self) -> tuple[Emission, ...]:
        """Everything that the saga may emit for itself; its steps have more."""
        refused = self.cancels_on.refused if self.cancels_on else None
        told = tuple(telling.emission for telling in self.tells)
        return (refused, *told) if refused else told

    @cached_property
    def emits(self) -> tuple[str, ...]:
        """The full names of the events that this saga may emit, each once."""
        of_steps = (emission for step in self.steps for emission in step.emissions)
        return tuple(dict.fromkeys(emission.event for emission in (*self.emissions, *of_steps)))

    @cached_property
    def needs(self) -> Mapping[str, tuple[str, ...]]:
        """The fields of each handled event that a decision has to be given."""
        found: dict[str, dict[str, None]] = {event: {} for event in self.parts}
        found[self.starts_on].update(dict.fromkeys(self.remembers))
        for step in self.steps:
            for event, names in step.reads.items():
                found[event].update(dict.fromkeys(names))
        return {event: tuple(names) for event, names in found.items()}

    @cached_property
    def followers(self) -> Mapping[str, frozenset[str]]:
        """All steps that come after each step, at whatever distance: they are undone before it."""
        return {
            step.name: frozenset(other.name for other in self.steps if step.whole in self.before[other.whole])
            for step in self.steps
        }

    @cached_property
    def undone_first(self) -> Mapping[str, frozenset[str]]:
        """Which steps must be undone before each: what came after it, or what its compensation says."""
        found = dict(self.followers)
        for step in self.steps:
            if step.compensate and step.compensate.after is not None:
                named = step.compensate.after
                found[step.name] = frozenset(other.name for other in self.steps if other.whole in named)
        return found

    @cached_property
    def before(self) -> Mapping[str, frozenset[str]]:
        """All steps that come before each step, at whatever distance."""
        found: dict[str, frozenset[str]] = {}

        def earlier(name: str) -> frozenset[str]:
            if name not in found:
                after = self.by_name[name].after
                found[name] = frozenset(after).union(*(earlier(one) for one in after))
            return found[name]

        return {step.name: earlier(step.name) for step in self.steps}


def _plain(value: Any) -> Any:
    """Content as JSON. What stands at its default is left out: a wider language keeps the digests of old specs."""
    if isinstance(value, Expression):
        return {"cel": value.text}
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        told = [(one, getattr(value, one.name)) for one in fields(value)]
        named = {one.name: _plain(item) for one, item in told if item != one.default}
        return {"is": type(value).__name__, **named}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    return value
