"""Folding what an instance went through once more: as it was, and as another version of the spec would have had it.

Pure: `decide` is asked again for every input, in order, each with the time at which it was handled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from choreo.saga.adopt import called, dues
from choreo.saga.decide import begin, decide
from choreo.saga.decision import REMINDS, Cancel, Command, Decision, Due, Emit, Migrate, Received
from choreo.saga.instance import Instance, StepRecord
from choreo.saga.rules import Role, Spec

Names = Mapping[str, str | None]
"""What a step is called in the other version; None where it has none in its place, its own name where it isn't here."""


class Tick(NamedTuple):
    """A timer of the instance fired, at this time (microseconds). Which one, folding tells."""

    now: int


Past = Received | Command | Tick


@dataclass(frozen=True)
class History:
    """What one instance went through, in order. `digest` is that of the spec with which it began.

    Events carry all their fields. Commands that did nothing are left out, and so are refused migrations.
    """

    digest: str
    start: Received
    early: tuple[Received, ...] = ()
    then: tuple[Past, ...] = ()


class Run:
    """An instance being folded under one spec: where it stands, its timers, and everything that it emitted."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.instance: Instance | None = None
        self.emits: list[Emit] = []
        self.timers: dict[str, int] = {}
        self._now = 0

    def begin(self, history: History, values: Mapping[str, Any]) -> None:
        """Start as the coordinator did, with those early events that were still kept then."""
        start, kept = history.start, self.spec.keep_early_us
        early = [one for one in history.early if kept is None or one.now + kept > start.now]
        told = [_filled(self.spec, one._replace(now=start.now), values) for one in early]
        self._now = start.now
        self._apply(begin(self.spec, _filled(self.spec, start, values), told))

    def take(self, given: Received | Command) -> None:
        """Decide upon an event or an order."""
        self._now = max(self._now, given.now)
        self._apply(decide(self.spec, self.instance, given))

    def fire(self, name: str, now: int) -> None:
        """Decide upon a timer."""
        del self.timers[name]
        self._now = max(self._now, now)
        self._apply(decide(self.spec, self.instance, Due(name, self._now)))

    def next_timer(self, now: int) -> tuple[str, int] | None:
        """The timer that is due first by `now`: name and due."""
        due = [(due, name) for name, due in self.timers.items() if due <= now]
        return (min(due)[1], min(due)[0]) if due else None

    def follow(self, spec: Spec, order: Migrate) -> None:
        """An earlier migration, which was carried out."""
        self.spec, self.instance, self.timers = spec, order.instance, dues(order.instance)
        renamed = ((emit, emit.step and called(emit.step, order.renamed)) for emit in self.emits)
        self.emits = [emit._replace(step=name) for emit, name in renamed if name is not None or emit.step is None]

    def _apply(self, decision: Decision) -> None:
        self.instance = decision.instance
        self.emits += decision.emits
        for name, due in decision.timers:
            self.timers.pop(name, None)
            if due is not None:
                self.timers[name] = due


def refold(history: History, specs: Mapping[str, Spec], to: Spec, names: Names, values: Mapping[str, Any]) -> list[Run]:
    """The run as it was, and as `to` would have had it.

    `specs` are those that the instance has followed, by digest. `values` (`saga.x`, `steps.a.x`) fill what its events
    have not. A timer fires where one fired then; one that only the other version has set fires when it came due, before
    the events that were emitted later. What is due by now but has not fired yet stays set.
    """
    was, new = Run(specs[history.digest]), Run(to)
    was.begin(history, {})
    new.begin(history, values)
    for past, known_as in zip(history.then, _names_then(history.then, names), strict=True):
        if isinstance(past, Tick):
            fired = was.next_timer(past.now)
            if fired is not None:
                was.fire(fired[0], past.now)
                fired = _called(fired[0], known_as), fired[1]
            _catch_up(new, past.now, _pending(was, known_as), fired)
            continue
        _catch_up(new, past.at, _pending(was, known_as), None)
        if isinstance(past, Command) and isinstance(past.order, Migrate):
            was.follow(specs[past.order.digest], past.order)
            continue
        was.take(past)
        if isinstance(past, Received):
            new.take(_filled(to, past, values))
        elif (command := _renamed(past, known_as)) is not None:
            new.take(command)
    return [was, new]


def _catch_up(run: Run, now: int, pending: set[tuple[str, int]], fired: tuple[str, int] | None) -> None:
    """Fire what is due by `now`, but for timers that were `pending` then too: they had not fired yet by that input."""
    while (timer := _ready(run, now, pending)) is not None:
        name, due = timer
        run.fire(name, now if timer == fired else due)


def _ready(run: Run, now: int, pending: set[tuple[str, int]]) -> tuple[str, int] | None:
    ready = [(due, name) for name, due in run.timers.items() if due <= now and (name, due) not in pending]
    return (min(ready)[1], min(ready)[0]) if ready else None


def _pending(run: Run, names: Names) -> set[tuple[str, int]]:
    return {(_called(name, names), due) for name, due in run.timers.items()}


def _called(timer: str, names: Names) -> str:
    """The name of a timer in the other version."""
    step = timer.removesuffix(REMINDS)
    return (called(step, names) or "") + timer[len(step) :]


def _names_then(then: Sequence[Past], names: Names) -> list[Names]:
    """For each input the names that its steps, as they were called at that time, have in the other version."""
    found: list[Names] = []
    for past in reversed(then):
        found.append(names)
        if isinstance(past, Command) and isinstance(past.order, Migrate):
            later, renamed = names, past.order.renamed
            first = {old: None if new is None else later.get(new, new) for old, new in renamed.items()}
            names = {**later, **first}
    return found[::-1]


def _renamed(command: Command, names: Names) -> Command | None:
    """An order in the words of the other version; None where it has no such step."""
    order = command.order
    if isinstance(order, Cancel | Migrate):
        return command
    name = called(order.step, names)
    return None if name is None else command._replace(order=order._replace(step=name))


def _filled(spec: Spec, given: Received, values: Mapping[str, Any]) -> Received:
    """An event with what it has not and the spec needs."""
    if not values:
        return given
    added: dict[str, Any] = {}
    for role, step in spec.parts.get(given.event, ()):
        if role in (Role.STARTS, Role.COMPLETES):
            head = "saga." if role is Role.STARTS else f"steps.{step}."
            wanted = spec.remembers if role is Role.STARTS else spec.by_name[step].keeps
            added |= {name: values[head + name] for name in wanted if head + name in values}
    return given._replace(fields={**added, **given.fields}) if added else given


def lacking(spec: Spec, instance: Instance) -> list[str]:
    """What the spec needs to remember of the events that came, and none of them had: `saga.x`, `steps.a.x`."""
    found = [f"saga.{name}" for name in spec.remembers if name not in instance.remembered]
    for step in spec.steps:
        record = instance.steps.get(step.name, StepRecord())
        if record.by in step.completes_on:
            found += [f"steps.{step.name}.{name}" for name in step.keeps if name not in record.fields]
    return found
