"""A spec as written: every word with its place. Shapes and durations are right, names are not looked up yet."""

from dataclasses import dataclass, field
from typing import Literal

from choreo.saga.clauses import Nested
from choreo.saga.problems import Place
from choreo.saga.yaml import Text


@dataclass(frozen=True)
class Limit:
    """A duration that was written down, in microseconds; None for `none`."""

    micros: int | None


@dataclass(frozen=True)
class RawEmission:
    """An event's name and the mappings of its `with:`."""

    event: Text
    mappings: tuple[tuple[Text, Text], ...] = ()


RawTellings = tuple[tuple[str, RawEmission], ...]
"""Moments, and what is emitted then."""


@dataclass(frozen=True)
class RawCompensation:
    """A `compensate:` block; what it leaves out takes the default."""

    emit: RawEmission
    done_on: tuple[Text, ...]
    fails_on: tuple[Text, ...] = ()
    within: Limit | None = None
    attempts: int = 3
    wait: Limit | None = None
    backoff: int = 1
    longest: Limit | None = None
    after: tuple[Text, ...] | None = None


@dataclass(frozen=True)
class RawTimeout:
    """What a timeout means. `wait` passes before the next request, or is how long an answer to `ask` may take."""

    kind: Literal["fail", "retry", "escalate", "ask"] = "fail"
    attempts: int = 1
    wait: Limit | None = None
    ask: RawEmission | None = None
    backoff: int = 1
    longest: Limit | None = None


@dataclass(frozen=True)
class RawFanOut:
    """What a step says of its items. `complete` is all of them, a number, or a share in percent."""

    items: Text
    key: Text
    adds_on: tuple[Text, ...] = ()
    at_least: int | None = None
    percent: int = 100
    rest: Literal["leave", "wait", "undo"] = "leave"


@dataclass(frozen=True)
class RawRepetition:
    """A `repeat:` block."""

    until: Text
    at_most: int


@dataclass(frozen=True)
class RawIsolation:
    """An `isolate_on:`: the field, and what its table says besides."""

    by: Text
    scope: Text | None = None
    within: Limit | None = None
    expires: Limit | None = None


@dataclass(frozen=True)
class RawReminder:
    """A `remind:` block."""

    emit: RawEmission
    every: Limit
    at_most: int


@dataclass(frozen=True)
class RawHuman:
    """A `human:` block."""

    role: Text
    asks: Text
    escalate_to: Text | None = None


@dataclass(frozen=True)
class RawCalendar:
    """One of `calendars:`."""

    name: Text
    zone: Text
    open: tuple[Text, ...]
    closed: tuple[Text, ...] = ()


@dataclass(frozen=True)
class RawPolicy:
    """One entry of `events:`; `place` is that of what is done."""

    event: Text
    timing: str
    does: str
    keep: Limit | None
    place: Place


@dataclass(frozen=True)
class RawOrder:
    """An `after:`: how many of these are enough; None for all of them."""

    steps: tuple[Text, ...] = ()
    enough: int | None = None


@dataclass(frozen=True, kw_only=True)
class RawStep:
    """A step. `compensate` is None where `none` was written, and where nothing was: `says_compensate` tells which.

    `hands` are the mappings of its own `with:`; `nested`, and what follows from it, is filled in by `nesting.py`.
    """

    name: Text
    after: RawOrder = RawOrder()
    when: Text | None = None
    during: Text | None = None
    excludes: tuple[Text, ...] = ()
    otherwise: tuple[Text, ...] = ()
    for_each: RawFanOut | None = None
    emit: RawEmission | None = None
    human: RawHuman | None = None
    saga: Text | None = None
    hands: tuple[tuple[Text, Text], ...] = ()
    nested: Nested | None = None
    completes_on: tuple[Text, ...] = ()
    fails_on: tuple[Text, ...] = ()
    unknown_on: tuple[Text, ...] = ()
    skips_on: tuple[Text, ...] = ()
    reopens_on: tuple[Text, ...] = ()
    repeat: RawRepetition | None = None
    not_before: Limit | Text | None = None
    within: Limit | Text | None = None
    deadline: Limit | Text | None = None
    calendar: Text | None = None
    on_timeout: RawTimeout = RawTimeout()
    remind: RawReminder | None = None
    compensate: RawCompensation | None = None
    says_compensate: bool = False
    pivot: bool = False
    tells: RawTellings = ()

    @property
    def events(self) -> tuple[Text, ...]:
        """Every event that the step handles or emits, as written."""
        undo, emitted = self.compensate, [self.emit, *(emission for _, emission in self.tells)]
        emitted += [self.on_timeout.ask, self.remind.emit if self.remind else None, undo.emit if undo else None]
        handled = (*self.completes_on, *self.fails_on, *self.unknown_on, *self.skips_on, *self.reopens_on)
        answers = (*undo.done_on, *undo.fails_on) if undo else ()
        added = self.for_each.adds_on if self.for_each else ()
        return (*handled, *(emission.event for emission in emitted if emission), *answers, *added)


@dataclass(frozen=True, kw_only=True)
class RawSpec:
    """A spec. `correlate_by` is one field for all events (under "") or a field by event.

    `refused` answers where it is too late to cancel, `kept` where it is too late to compensate.
    """

    name: Text
    version: int = 1
    namespace: str = ""
    starts_on: Text
    correlate_by: tuple[tuple[Text, Text], ...] = ()
    isolate_on: RawIsolation | None = None
    remember: tuple[Text, ...] = ()
    within: Limit | None = None
    deadline: Limit | Text | None = None
    calendars: tuple[RawCalendar, ...] = ()
    calendar: Text | None = None
    cancels_on: Text | None = None
    refused: RawEmission | None = None
    compensates_on: Text | None = None
    kept: RawEmission | None = None
    cancellable_until: Text | None = None
    tells: RawTellings = ()
    policies: tuple[RawPolicy, ...] = ()
    keep_early: Limit | None = None
    keep_ended: Limit | None = None
    refuse_again: Limit | None = None
    steps: tuple[RawStep, ...] = ()
    place: Place = field(default=Place(1, 1))

    @property
    def events(self) -> tuple[Text, ...]:
        """Every event that the spec handles or emits, as written."""
        handled = (one for one in (self.starts_on, self.cancels_on, self.compensates_on) if one)
        emitted = (self.refused, self.kept, *(emission for _, emission in self.tells))
        told = tuple(emission.event for emission in emitted if emission)
        return (*handled, *told, *(event for step in self.steps for event in step.events))
