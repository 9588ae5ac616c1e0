"""What an exploration forgets as moot changes nothing of what it finds: held against exploring without forgetting."""

import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest

from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Input, Received
from choreo.saga.explore import Bounds, Node, Run, explore
from choreo.saga.instance import Instance, StepRecord, StepState
from choreo.saga.items import whole_in
from choreo.saga.moot import UNHEARD, Decide, Matters
from choreo.saga.rules import Spec
from choreo.saga.variants import variants
from tests.saga import mall
from tests.saga.flow import CATALOGUE, flow, step
from tests.saga.test_explore_policies import with_policy

ONE_TOPIC = dict.fromkeys(CATALOGUE, "flow.work")
MOST = 3_000


class Seen(NamedTuple):
    """All that an exploration comes to: the states, what is broken, and how sagas stand when nothing can follow."""

    states: int
    broken: set[tuple[str, str]]
    ends: set[tuple[str, ...]]


def everything(
    spec: Spec, lanes: Mapping[str, str] | None, bounds: Bounds, decide: Decide = decide, *, forgets: bool
) -> Seen:
    """Every state there is, and behind no broken one; not just up to the first broken promise."""
    seen = Seen(0, set(), set())
    for variant in variants(spec):
        run = Run(variant, lanes, decide, forgets=forgets)
        first = run.first(bounds)
        ahead, met = [first], {run.state(first)}
        while ahead:
            node = ahead.pop()
            resting: dict[str, int] = {}
            broken = node.broken or run.resting(node, resting)
            if broken is not None:
                seen.broken.add((broken.promise, broken.says))
                continue
            if resting:
                seen.ends.add(_standing(node))
            for _, new in run.following(node):
                state = run.state(new)
                if state not in met:
                    met.add(state)
                    ahead.append(new)
                    assert len(met) < MOST, "a smaller saga is enough"
        seen = seen._replace(states=seen.states + len(met))
    return seen


def _standing(node: Node) -> tuple[str, ...]:
    """How a saga and its steps stand; items are alike."""
    instance, world = node.world.instance, node.world
    if instance is None:
        return ("not started",)
    steps = sorted(f"{whole_in(name)}: {record.state}" for name, record in instance.steps.items())
    return (instance.status, *steps, *sorted(world.deeds))


def some_saga(seed: int) -> tuple[Spec, Mapping[str, str] | None, Bounds]:
    """A small saga, the same one for each seed, with topics and with what may befall it."""
    draw = random.Random(seed)
    steps: list[str] = []
    for number, name in enumerate("ab"):
        upper = name.upper()
        more = ["after: a"] if number and draw.random() < 0.7 else []
        more += [f"emit: Ask{upper}"] if draw.random() < 0.7 else []
        more += ["within: 1h"] if draw.random() < 0.3 else []
        more += draw.choice(([], [], [f"unknown_on: Told{number + 1}"], [f"skips_on: Told{number + 1}"]))
        more += ["pivot: true"] if number and draw.random() < 0.15 else []
        asks = f"{{emit: Undo{upper}, done_on: {upper}Undone"
        twice = (f"{asks}, within: 1h, attempts: 2}}", f"{asks}, fails_on: Told{number + 4}, attempts: 2, wait: 1m}}")
        undo = draw.choice(("none", f"{asks}}}", *twice))
        steps.append(step(name, *more).replace(f"{asks}}}", undo))
    back = {"compensates_on": "{event: Told3, refused: Refused}"} if draw.random() < 0.3 else {}
    lanes = draw.choice((None, ONE_TOPIC, {name: name[-4:] for name in CATALOGUE}))
    return flow(*steps, **back), lanes, Bounds(cancels=draw.choice((0, 1)), duplicates=draw.choice((0, 1)))


SEEDS = (1, 2, 5, 8, 9, 10, 11, 13, 16, 19, 20, 22, 23, 26, 28, 31, 42, 46)
"""Of sagas that have no more than some thousand states."""
ITEMS = ("emit: AskA", "for_each: saga.items", "item_key: item")
B = step("b", "after: a", "emit: AskB", undone=False)
PLAIN, UNCANCELLED, QUIET = Bounds(), Bounds(cancels=0), Bounds(cancels=0, duplicates=0)
TWICE = step("a", *ITEMS, "within: 1h").replace("done_on: AUndone", "done_on: AUndone, within: 1h, attempts: 2")
SAGAS: dict[str, tuple[Spec, Mapping[str, str] | None, Bounds]] = {
    "items": (flow(step("a", *ITEMS), B), ONE_TOPIC, PLAIN),
    "items, on topics of their own": (flow(step("a", *ITEMS)), None, QUIET),
    "items that time out, undone twice": (flow(TWICE), ONE_TOPIC, QUIET),
    "any item": (flow(step("a", *ITEMS, "complete: any", "rest: undo"), B), ONE_TOPIC, QUIET),
    "added": (flow(step("a", *ITEMS, "adds_on: Told1"), B), ONE_TOPIC, UNCANCELLED),
    "repeated": (flow(step("a", "emit: AskA", "repeat: {until: steps.a.n > 1, at_most: 2}"), B), ONE_TOPIC, PLAIN),
    "taken back": (flow(step("a", "emit: AskA", "reopens_on: Told1"), B), ONE_TOPIC, PLAIN),
    "locked": (flow(step("a", "emit: AskA"), isolate_on="{by: n, expires: 10m}"), ONE_TOPIC, PLAIN),
    "kept for its turn": (with_policy("{early: keep}"), ONE_TOPIC, PLAIN),
    "ignored when late": (with_policy("{late: ignore, out_of_order: ignore}"), None, QUIET),
    "nested": (mall.load("shipping"), {name: one.contract.topic for name, one in mall.CATALOGUE.items()}, QUIET),
    "nests": (mall.load("order"), {name: one.contract.topic for name, one in mall.CATALOGUE.items()}, QUIET),
}


def same(spec: Spec, lanes: Mapping[str, str] | None, bounds: Bounds, decide: Decide = decide) -> Seen:
    """What is found, where forgetting finds the same as not forgetting."""
    whole = everything(spec, lanes, bounds, decide, forgets=False)
    found = everything(spec, lanes, bounds, decide, forgets=True)
    assert found.broken == whole.broken
    assert found.ends == whole.ends
    assert found.states <= whole.states
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_a_saga_made_by_chance_ends_in_the_same_ways(seed: int) -> None:
    """The same promises are broken, if any, and sagas, steps and services come to the same ends."""
    found = same(*some_saga(seed))
    assert found.ends


@pytest.mark.parametrize(("spec", "lanes", "bounds"), SAGAS.values(), ids=SAGAS.keys())
def test_each_part_of_the_language_ends_in_the_same_ways(
    spec: Spec, lanes: Mapping[str, str] | None, bounds: Bounds
) -> None:
    """Also where there are items, nested sagas, locks, repetitions and policies."""
    found = same(spec, lanes, bounds)
    assert found.ends


def forgets_what_it_saw(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Takes an event that comes again for another one."""
    return decide(spec, instance and instance.model_copy(update={"seen": ()}), given)


def breaks_down_at_an_answer(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Breaks down when it hears once more that a step is undone."""
    step = instance.steps["a"] if instance is not None else None
    if isinstance(given, Received) and given.event == "flow.AUndone" and step and step.state is StepState.COMPENSATED:
        raise ValueError("undone already")
    return decide(spec, instance, given)


TWO_ANSWERS = flow(step("a", "emit: AskA", "within: 1h").replace("AUndone}", "AUndone, within: 1h, attempts: 2}"))


@pytest.mark.parametrize(
    ("broken", "spec"),
    [(forgets_what_it_saw, flow(step("a", "emit: AskA"))), (breaks_down_at_an_answer, TWO_ANSWERS)],
    ids=["seen", "answered"],
)
def test_what_decide_does_not_leave_alone_is_not_forgotten(broken: Decide, spec: Spec) -> None:
    """A decide for which a duplicate or a second answer means something is found out, and nothing is forgotten then."""
    with pytest.raises(Matters):
        everything(spec, ONE_TOPIC, UNCANCELLED, broken, forgets=True)
    whole = everything(spec, ONE_TOPIC, UNCANCELLED, broken, forgets=False)
    found = explore(spec, ONE_TOPIC, UNCANCELLED, broken).counterexample
    assert (found is not None) == bool(whole.broken)
    assert found is None or (found.promise, found.says) in whole.broken


Alarm = Callable[[StepRecord, Received], bool]
ALARMS: dict[str, Alarm] = {
    "undone a second time": lambda record, given: record.round > 1,
    "a success between two requests": lambda record, given: record.late == "covered",
    "an answer from before the success": lambda record, given: (
        given.event == "flow.AUndone" and record.done_at is not None and given.at < record.done_at
    ),
    "a second answer from before the success": lambda record, given: (
        given.event == "flow.AUndone" and record.round > 1 and record.state is StepState.COMPENSATED
    ),
}


@pytest.mark.parametrize("alarm", ALARMS.values(), ids=ALARMS.keys())
def test_a_broken_promise_is_found_behind_what_is_forgotten(alarm: Alarm) -> None:
    """A decide that breaks down where events overtook each other: found by the same runs, forgetting or not."""

    def broken(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        decision = decide(spec, instance, given)
        record = decision.instance.steps["a"] if decision.instance is not None else None
        if isinstance(given, Received) and given.event_id != UNHEARD and record is not None and alarm(record, given):
            raise ValueError("alarm")
        return decision

    whole = everything(TWO_ANSWERS, None, QUIET, broken, forgets=False)
    found = explore(TWO_ANSWERS, None, QUIET, broken).counterexample
    assert whole.broken
    assert found is not None
    assert (found.promise, found.says) in whole.broken


def test_a_duplicate_that_is_not_recognised_is_heard_again() -> None:
    """What changed nothing when it was heard first is not known by its id: it may mean something the second time."""
    spec = flow(step("a", "emit: AskA", "reopens_on: Told1"), B)
    run = Run(next(variants(spec)), None, decide, forgets=True)
    ahead, kinds = [run.first(UNCANCELLED)], set[str]()
    met = {run.state(ahead[0])}
    while ahead:
        for _, new in run.following(ahead.pop()):
            if run.state(new) not in met:
                met.add(run.state(new))
                ahead.append(new)
                kinds |= {new.turn.move.kind} if new.turn else set()
    assert "again" in kinds
