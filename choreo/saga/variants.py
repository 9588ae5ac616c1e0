"""A spec without its data, once for each thing that data may come to: conditions, lists. What counts, counts to two."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, NamedTuple

from choreo.saga.calendars import OpenTime, Span
from choreo.saga.clauses import Cancellation, Emission, FanOut, Reference, Repetition
from choreo.saga.conditions import Answer, Expression
from choreo.saga.instance import StepRecord
from choreo.saga.items import with_items
from choreo.saga.kinds import Kind, any_of
from choreo.saga.rules import Spec, Step

ITEMS = ("1", "2")
"""The keys of the items of every list that is not empty."""
MOST = 2
"""How often a step is repeated at most."""
UNTIL, CLAIM = "~until", "claim"
"""Fields of completing events: whether the condition of a `repeat` holds now; which grant of a lock it is."""


@dataclass(frozen=True)
class Guessed(Expression):
    """A condition whose outcome is one of the things that may be met."""

    outcome: bool = True

    def evaluate(self, values: Mapping[str, Any]) -> Answer:
        return Answer(self.outcome)


@dataclass(frozen=True)
class Reported(Expression):
    """A condition whose outcome the completing event brings with it: another one each time."""

    def evaluate(self, values: Mapping[str, Any]) -> Answer:
        return Answer(next(iter(values.values())))


class Variant(NamedTuple):
    """One way in which the data may come out, in words; the spec as `decide` gets it, and the lists that it reads."""

    said: str
    spec: Spec
    lists: Mapping[Reference, tuple[str, ...]]


def variants(spec: Spec) -> Iterator[Variant]:
    """The spec without its data, once for each outcome of its conditions on data, and of whether lists are empty."""
    asked = {step.when.text: step.when for step in spec.steps if step.when is not None and _is_data(step.when)}
    lists = _lists(spec)
    for outcomes in product((True, False), repeat=len(asked) + len(lists)):
        guesses = {
            text: Guessed(text, when.kind, {}, None, outcome)
            for (text, when), outcome in zip(asked.items(), outcomes, strict=False)
        }
        filled = dict(zip(lists, outcomes[len(asked) :], strict=True))
        said = [text if guess.outcome else f"not ({text})" for text, guess in guesses.items()]
        said += [f"no items in {_name(source)}" for source, full in filled.items() if not full]
        yield Variant(
            ", ".join(said),
            _without_data(spec, guesses),
            {source: keys if filled[source] else () for source, keys in lists.items()},
        )


def _lists(spec: Spec) -> dict[Reference, tuple[str, ...]]:
    """The items of each list: both, or the first where the second one is added by an event."""
    found: dict[Reference, tuple[str, ...]] = {}
    for step in spec.steps:
        if step.for_each is not None:
            keys = ITEMS[:1] if step.for_each.adds_on else ITEMS
            found[step.for_each.items] = min(keys, found.get(step.for_each.items, keys), key=len)
    return found


def _name(source: Reference) -> str:
    return f"saga.{source.field}" if source.step is None else f"steps.{source.step}.{source.field}"


def laid_out(spec: Spec, lists: Mapping[Reference, tuple[str, ...]]) -> Spec:
    """The spec with a step for each item that there may ever be."""

    def known(rule: FanOut) -> tuple[str, ...]:
        return (*lists[rule.items], ITEMS[len(lists[rule.items])]) if rule.adds_on else lists[rule.items]

    fans = {step.name: known(step.for_each) for step in spec.steps if step.for_each}
    return with_items(spec, {name: StepRecord(items=dict.fromkeys(keys)) for name, keys in fans.items()})


def left_out(spec: Spec) -> tuple[str, ...]:
    """What of a spec no run of an exploration has: counts beyond two."""
    found = [f"more than {len(ITEMS)} items of {step.name}" for step in spec.steps if step.for_each]
    often = [step.name for step in spec.steps if step.repeat and step.repeat.at_most > MOST]
    return (*found, *(f"more than {MOST} repetitions of {name}" for name in often))


def _without_data(spec: Spec, guesses: Mapping[str, Guessed]) -> Spec:
    steps = tuple(_without_fields(_always_open(step), guesses) for step in spec.steps)
    sources = dict.fromkeys(step.for_each.items for step in spec.steps if step.for_each)
    steps = tuple(_with_kept(step, [one.field for one in sources if one.step == step.name]) for step in steps)
    cancels, undo = _unmapped(spec.cancels_on), _unmapped(spec.compensates_on)
    remembers = tuple(one.field for one in sources if one.step is None)
    return replace(spec, steps=steps, remembers=remembers, tells=(), cancels_on=cancels, compensates_on=undo)


def _with_kept(step: Step, lists: list[str]) -> Step:
    """The step with those fields that matter: lists, what its condition comes to, which lock it has."""
    until = [UNTIL] if step.repeat is not None and isinstance(step.repeat.until, Reported) else []
    return replace(step, keeps=(*lists, *until, *([CLAIM] if step.lost_on else [])))


def _unmapped(asked: Cancellation | None) -> Cancellation | None:
    return asked and replace(asked, refused=Emission(asked.refused.event) if asked.refused else None)


def _is_data(when: Expression) -> bool:
    """Whether a condition reads more than where steps stand."""
    return any(name.startswith("saga.") or not name.endswith(".status") for name in when.reads) or not when.reads


def _without_fields(step: Step, guesses: Mapping[str, Guessed]) -> Step:
    undo, ask, remind = step.compensate, step.on_timeout.ask, step.remind
    return replace(
        step,
        tells=(),
        repeat=_counted(step),
        for_each=_of_few(step.for_each) if step.for_each else None,
        human=None,
        on_timeout=replace(step.on_timeout, ask=Emission(ask.event) if ask else None),
        remind=replace(remind, emission=Emission(remind.emission.event)) if remind else None,
        not_before_us=_elastic(step.not_before_us),
        within_us=_elastic(step.within_us),
        deadline_us=_elastic(step.deadline_us),
        when=guesses.get(step.when.text, step.when) if step.when is not None else None,
        emit=Emission(step.emit.event) if step.emit else None,
        compensate=replace(undo, emit=Emission(undo.emit.event)) if undo else None,
    )


def _counted(step: Step) -> Repetition | None:
    rule = step.repeat
    if rule is None:
        return None
    until = rule.until
    if _is_data(until):
        until = Reported(until.text, until.kind, {f"steps.{step.name}.{UNTIL}": any_of(Kind.BOOL)}, None)
    return Repetition(until, min(rule.at_most, MOST))


def _of_few(rule: FanOut) -> FanOut:
    least = None if rule.at_least is None else min(rule.at_least, len(ITEMS))
    return replace(rule, at_least=least, keeps=())


def _always_open(step: Step) -> Step:
    """The step without a calendar in what it asks for again."""
    undo, remind, rule = step.compensate, step.remind, step.on_timeout
    return replace(
        step,
        on_timeout=replace(rule, wait_us=_elastic(rule.wait_us) or 0),
        remind=replace(remind, every_us=_elastic(remind.every_us) or 0) if remind else None,
        compensate=replace(undo, within_us=_elastic(undo.within_us)) if undo else None,
    )


def _elastic(limit: Span | Expression | None) -> int | None:
    """A point in time that an event would name comes some time: how late says nothing. Calendars are always open."""
    if isinstance(limit, OpenTime):
        return limit.micros
    return limit if limit is None or isinstance(limit, int) else 1
