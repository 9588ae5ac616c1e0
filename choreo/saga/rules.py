"""A saga spec as values: what the coordinator follows. Reading YAML is `reading.py`, looking names up `checking.py`."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, StrEnum
from functools import cached_property
from typing import Any, NamedTuple

from choreo.saga.calendars import Span
from choreo.saga.clauses import (
    FAIL,
    Cancellation,
    Compensation,
    Emission,
    FanOut,
    Human,
    Nested,
    OnTimeout,
    Reminder,
    Repetition,
    Telling,
)
from choreo.saga.conditions import Expression
from choreo.saga.policies import Policy, Timing


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. Event names are full names; times are microseconds, None for no limit.

    `within_us` counts from the moment when the step begins to wait, `deadline_us` from the start of the saga,
    `not_before_us` from the step's turn; an expression gives the point in time itself, a calendar counts open time.
    Of `after`, `enough` must be done; None: all of them, or skipped. `otherwise` are those that must have been skipped.
    It begins only while `during` is under way, and while none of those that it `excludes` is.
    `keeps` are the fields of the completing event that expressions and mappings read. `lost_on` marks the wait for a
    lock: the event takes it away again, and without it no other step begins.
    """

    name: str
    after: tuple[str, ...] = ()
    enough: int | None = None
    when: Expression | None = None
    during: str | None = None
    excludes: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()
    emit: Emission | None = None
    completes_on: tuple[str, ...] = ()
    fails_on: tuple[str, ...] = ()
    unknown_on: tuple[str, ...] = ()
    within_us: Span | Expression | None = None
    deadline_us: Span | Expression | None = None
    on_timeout: OnTimeout = FAIL
    compensate: Compensation | None = None
    pivot: bool = False
    keeps: tuple[str, ...] = ()
    tells: tuple[Telling, ...] = ()
    remind: Reminder | None = None
    human: Human | None = None
    skips_on: tuple[str, ...] = ()
    reopens_on: tuple[str, ...] = ()
    lost_on: tuple[str, ...] = ()
    repeat: Repetition | None = None
    not_before_us: Span | Expression | None = None
    nested: Nested | None = None
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
            return dict.fromkeys((*self.completes_on, *self.lost_on), self.keeps)
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

    @property
    def spans(self) -> tuple[Span, ...]:
        """Every duration that it says, points in time aside."""
        undo, remind = self.compensate, self.remind
        found = [self.within_us, self.deadline_us, self.not_before_us, self.on_timeout.wait_us]
        found += [undo.within_us if undo else None, remind.every_us if remind else None]
        return tuple(one for one in found if one is not None and not isinstance(one, Expression))


class Role(StrEnum):
    """What an event means to a spec."""

    STARTS = "starts"
    COMPLETES = "completes"
    FAILS = "fails"
    UNKNOWN = "unknown"
    UNDONE = "undone"
    UNDO_FAILS = "undo fails"
    CANCELS = "cancels"
    COMPENSATES = "compensates"
    REOPENS = "reopens"
    ADDS = "adds"
    LOSES = "loses"
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
    events: tuple[Policy, ...] = ()
    keep_early_us: int | None = 86_400_000_000
    keep_ended_us: int | None = 30 * 86_400_000_000
    refuse_again_us: int | None = 365 * 86_400_000_000
    tells: tuple[Telling, ...] = ()
    lock_scope: str | None = None
    """Among which sagas the lock excludes that its first step waits for; None where it isolates nothing."""
    cancellable_until: str | None = None
    """The step that must not be done yet when a cancellation comes."""
    compensates_on: Cancellation | None = None
    """What takes it back while it goes on and once it is complete; only a pivot refuses that."""

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
    def fans_out(self) -> bool:
        """Whether any step is done for each item of a list."""
        return any(step.for_each for step in self.steps)

    @cached_property
    def laid_out(self) -> dict[tuple[tuple[str, ...], ...], "Spec"]:
        """Where `items.with_items` keeps what it made of this spec, by the keys of the items."""
        return {}

    @cached_property
    def pivots(self) -> tuple[Step, ...]:
        """The steps from which on there is only forward."""
        return tuple(step for step in self.steps if step.pivot)

    @cached_property
    def locks(self) -> tuple[Step, ...]:
        """The steps that wait for a lock which may be lost again."""
        return tuple(step for step in self.steps if step.lost_on)

    @cached_property
    def parts(self) -> Mapping[str, tuple[Part, ...]]:
        """What each event that the spec names means to it."""
        found: dict[str, list[Part]] = {self.starts_on: [Part(Role.STARTS, "")]}
        if self.cancels_on:
            found.setdefault(self.cancels_on.event, []).append(Part(Role.CANCELS, ""))
        if self.compensates_on:
            found.setdefault(self.compensates_on.event, []).append(Part(Role.COMPENSATES, ""))
        for step in self.steps:
            undo = step.compensate
            for role, events in (
                (Role.COMPLETES, step.completes_on),
                (Role.FAILS, step.fails_on),
                (Role.UNKNOWN, step.unknown_on),
                (Role.UNDONE, undo.done_on if undo else ()),
                (Role.UNDO_FAILS, undo.fails_on if undo else ()),
                (Role.REOPENS, step.reopens_on),
                (Role.LOSES, step.lost_on),
                (Role.SKIPS, step.skips_on),
                (Role.ADDS, step.for_each.adds_on if step.for_each else ()),
            ):
                for event in events:
                    found.setdefault(event, []).append(Part(role, step.name))
        return {event: tuple(parts) for event, parts in found.items()}

    @cached_property
    def policies(self) -> Mapping[str, Mapping[Timing, Policy]]:
        """What is done with events that come at no good time, by event; what is not there is taken as ever."""
        found: dict[str, dict[Timing, Policy]] = {}
        for policy in self.events:
            found.setdefault(policy.event, {})[policy.timing] = policy
        return found

    @property
    def emissions(self) -> tuple[Emission, ...]:
        """Everything that the saga may emit for itself; its steps have more."""
        asked = (self.cancels_on, self.compensates_on)
        told = tuple(telling.emission for telling in self.tells)
        return (*(one.refused for one in asked if one and one.refused), *told)

    @property
    def triggers(self) -> tuple[str, ...]:
        """The events by which others start the saga and take it back, in their own time."""
        asked = (self.cancels_on, self.compensates_on)
        return (self.starts_on, *(one.event for one in asked if one))

    @cached_property
    def emits(self) -> tuple[str, ...]:
        """The full names of the events that this saga may emit, each once."""
        of_steps = (emission for step in self.steps for emission in step.emissions)
        return tuple(dict.fromkeys(emission.event for emission in (*self.emissions, *of_steps)))

    @cached_property
    def asks(self) -> tuple[str, ...]:
        """Those of `emits` that want somebody who acts: what only tells and reminds is for whom it may concern."""
        told = [*self.emissions, *(telling.emission for step in self.steps for telling in step.tells)]
        told += [step.remind.emission for step in self.steps if step.remind]
        every = (emission for step in self.steps for emission in step.emissions)
        return tuple(dict.fromkeys(one.event for one in every if not any(one is telling for telling in told)))

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
