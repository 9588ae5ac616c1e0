"""A spec without its data, once for each thing that data may come to: conditions, lists. What is counted is counted as
far as a rule needs to come out in each of its ways.
"""

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

ITEMS = ("1", "2", "3", "4", "5")
"""The keys of items, in the order in which they are listed."""
ALL, ANY, SOME = 2, 3, 4
"""Items for a rule that wants all, any, or some. Of all one may fail while another is done. With any, and with some,
too, one may fail and enough are left, and of a rest of two one may come to an end before the other."""
ENOUGH = 2
"""Of `SOME`, however many a rule wants."""
LEAST_PERCENT, MOST_PERCENT, HALF = 34, 66, 50
"""Shares that are 2 of 3, and the most that is 2 of 4."""
MOST = 3
"""How often a step is repeated at most: the first time, one between, the last."""
UNTIL, CLAIM = "~until", "claim"
"""Fields of completing events: whether the condition of a `repeat` holds now; which grant of a lock it is."""

Lists = Mapping[Reference, tuple[str, ...]]
"""The keys of the items of each list."""


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
    lists: Lists


def variants(spec: Spec) -> Iterator[Variant]:
    """The spec without its data, once for each outcome of its conditions on data, and for each length of its lists."""
    asked = {step.when.text: step.when for step in spec.steps if step.when is not None and _is_data(step.when)}
    lists = _lists(spec)
    for outcomes in product((True, False), repeat=len(asked)):
        guesses = {
            text: Guessed(text, when.kind, {}, None, outcome)
            for (text, when), outcome in zip(asked.items(), outcomes, strict=True)
        }
        for lengths in product(*lists.values()):
            said = [text if guess.outcome else f"not ({text})" for text, guess in guesses.items()]
            held = dict(zip(lists, lengths, strict=True))
            said += [_short(source, length) for source, length in held.items() if length < lists[source][0]]
            items = {source: ITEMS[:length] for source, length in held.items()}
            yield Variant(", ".join(said), _without_data(spec, guesses, items), items)


def _lists(spec: Spec) -> dict[Reference, range]:
    """How many items each list may have before one is added: up to as many as the rules need that go by it."""
    found: dict[Reference, range] = {}
    for step in spec.steps:
        rule = step.for_each
        if rule is not None:
            most = _needed(rule) - bool(rule.adds_on)
            found[rule.items] = range(max(most, *found.get(rule.items, (0,))), -1, -1)
    return found


def _needed(rule: FanOut) -> int:
    """How many items show each way in which a rule may come out."""
    if _wants_some(rule):
        return SOME
    return ALL if rule.at_least is None else ANY


def _wants_some(rule: FanOut) -> bool:
    """Neither all of them nor any one."""
    return rule.percent < 100 if rule.at_least is None else rule.at_least > 1


def _short(source: Reference, length: int) -> str:
    return f"{('no items', 'one item')[length] if length < 2 else f'{length} items'} in {_name(source)}"


def _name(source: Reference) -> str:
    return f"saga.{source.field}" if source.step is None else f"steps.{source.step}.{source.field}"


def laid_out(spec: Spec, lists: Lists) -> Spec:
    """The spec with a step for each item that there may ever be."""

    def known(rule: FanOut) -> tuple[str, ...]:
        return (*lists[rule.items], ITEMS[len(lists[rule.items])]) if rule.adds_on else lists[rule.items]

    fans = {step.name: known(step.for_each) for step in spec.steps if step.for_each}
    return with_items(spec, {name: StepRecord(items=dict.fromkeys(keys)) for name, keys in fans.items()})


def left_out(spec: Spec) -> tuple[str, ...]:
    """What of a spec no run of an exploration has: counts beyond those that its rules need."""
    fans = [(step.name, step.for_each) for step in spec.steps if step.for_each]
    found = [f"more than {_needed(rule)} items of {name}{_stands_for(rule)}" for name, rule in fans]
    often = [step.name for step in spec.steps if step.repeat and step.repeat.at_most > MOST]
    return (*found, *(f"more than {MOST} repetitions of {name}" for name in often))


def _stands_for(rule: FanOut) -> str:
    """What is tried instead of the number that a rule wants, in words."""
    if not _wants_some(rule) or rule.enough(SOME) == ENOUGH:
        return ""
    return f" ({ENOUGH} of {SOME} stand for {f'{rule.percent}%' if rule.at_least is None else rule.at_least})"


def _without_data(spec: Spec, guesses: Mapping[str, Guessed], lists: Lists) -> Spec:
    steps = tuple(_of_few(_without_fields(_always_open(step), guesses), lists) for step in spec.steps)
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


def _of_few(step: Step, lists: Lists) -> Step:
    """The step with a rule for as few items as there may be now."""
    rule = step.for_each
    if rule is None:
        return step
    least, percent = rule.at_least, rule.percent
    if _wants_some(rule):
        most = HALF if len(lists[rule.items]) + bool(rule.adds_on) >= SOME else MOST_PERCENT
        least, percent = least and min(least, ENOUGH), min(max(percent, LEAST_PERCENT), most)
    return replace(step, for_each=replace(rule, at_least=least, percent=percent, keeps=()))


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
