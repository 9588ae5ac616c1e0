"""Explored: steps that are taken out, taken back and repeated, and locks that are lost. Each right spec keeps every
promise, and each way to get it wrong is found and drawn.
"""

from collections.abc import Callable, Mapping

import pytest

from choreo.diagram.sequence import as_text, sequence_of
from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Due, Input, Received, TimerChange
from choreo.saga.explore import Bounds, Exploration, explore
from choreo.saga.instance import Instance, StepState
from choreo.saga.rules import Spec
from tests.saga.flow import flow, step

ONE_TOPIC = {f"flow.{name}": "flow.work" for name in ("ADone", "AFailed", "AUndone", "BDone", "BFailed", "Told1")}
NO_OTHERS = Bounds(cancels=0, duplicates=0)
B = step("b", "after: a", "emit: AskB")
SKIPS = flow(step("a", "emit: AskA", "skips_on: Told1"), B)
REOPENS = flow(step("a", "emit: AskA", "reopens_on: Told1"), B)
REPEATS = flow(step("a", "emit: AskA", "repeat: {until: steps.a.n > 1, at_most: 4}"), B)
LOCKED = flow(step("a", "emit: AskA"), B, isolate_on="{by: n, expires: 10m}")


@pytest.mark.parametrize(
    ("spec", "states", "without"),
    [
        (SKIPS, 128, ()),
        (REOPENS, 234, ()),
        (REPEATS, 127, ("more than 3 repetitions of a",)),
        (LOCKED, 153, ()),
    ],
    ids=["skips", "reopens", "repeats", "locked"],
)
def test_every_run_keeps_every_promise(spec: Spec, states: int, without: tuple[str, ...]) -> None:
    """All runs are seen, with a cancellation each, and sagas end in every way."""
    found = explore(spec, ONE_TOPIC, Bounds(duplicates=0))
    assert (found.counterexample, found.bound, found.left_out) == (None, None, without)
    assert found.states == states
    assert {"completed", "compensated", "cancelled"} <= set(found.ends)


@pytest.mark.parametrize("spec", [SKIPS, REOPENS, REPEATS, LOCKED], ids=["skips", "reopens", "repeats", "locked"])
def test_no_order_of_events_and_no_duplicate_breaks_a_promise(spec: Spec) -> None:
    """Each event may overtake any other, and come twice: every run is seen."""
    found = explore(spec)
    assert (found.counterexample, found.bound) == (None, None)


# -- each, got wrong on purpose ----------------------------------------------------------------------------------------


def is_deaf_to(event: str, when: Callable[[Instance], bool]) -> Callable[[Spec, Instance | None, Input], Decision]:
    """A decide that hears nothing of an event in some states."""

    def broken(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        deaf = isinstance(given, Received) and given.event.endswith(event)
        return Decision(instance) if deaf and instance is not None and when(instance) else decide(spec, instance, given)

    return broken


def of_a(state: StepState) -> Callable[[Instance], bool]:
    return lambda instance: instance.steps["a"].state is state


def forgets_earlier_runs(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Takes a step for what its last run came to."""
    decision = decide(spec, instance, given)
    if decision.instance is None:
        return decision
    steps = {name: one.model_copy(update={"stands": False}) for name, one in decision.instance.steps.items()}
    return Decision(
        decision.instance.model_copy(update={"steps": steps}), decision.emits, decision.timers, decision.changes
    )


def forgets_them_the_third_time(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Does well as long as a step is repeated once only."""
    third = instance is not None and instance.steps["a"].run > 2
    return (forgets_earlier_runs if third else decide)(spec, instance, given)


CASES: Mapping[str, tuple[Spec, Callable[..., Decision], str, str]] = {
    "a late success after a skip": (
        SKIPS,
        is_deaf_to("ADone", of_a(StepState.SKIPPED)),
        "what completed or may have is undone exactly once",
        "a completed and is not undone",
    ),
    "a reopening": (
        REOPENS,
        is_deaf_to("Told1", of_a(StepState.DONE)),
        "what completed or may have is undone exactly once",
        "a is undone though it did not happen",
    ),
    "earlier runs": (
        REPEATS,
        forgets_earlier_runs,
        "what completed or may have is undone exactly once",
        "the saga is compensated though a completed and is not undone",
    ),
    "earlier runs, the third time": (
        REPEATS,
        forgets_them_the_third_time,
        "what completed or may have is undone exactly once",
        "the saga is cancelled though a completed and is not undone",
    ),
    "the loss of a lock": (
        LOCKED,
        is_deaf_to("LockExpired", lambda instance: True),
        "nothing begins without the lock",
        "AskB is emitted, and the saga does not hold its lock",
    ),
}


def found_in(name: str) -> Exploration:
    """What an exploration with the broken decide finds."""
    spec, broken, _, _ = CASES[name]
    return explore(spec, ONE_TOPIC, Bounds(duplicates=0), broken)


@pytest.mark.parametrize("name", CASES)
def test_who_forgets_it_is_found_out(name: str) -> None:
    """The promise that is broken is said, and how."""
    _, _, promise, says = CASES[name]
    found = found_in(name).counterexample
    assert found is not None
    assert (found.promise, found.says.endswith(says)) == (promise, True)


FORGOTTEN = """\
outside       flow                   a
   |--Started-->|                    |
   |            |--------AskA------->|
   |            * waiting            |
   |            |<-ADone (not yet)---|
   |            |--------AskA------->|
   |            |<-----AFailed-------|
   |            * compensated        |
   |            * broken: the saga is compensated though a completed and is not undone"""


def test_a_repetition_is_drawn() -> None:
    """The run in which a repeated step fails at last, line by line: what did not suffice says so."""
    found = found_in("earlier runs").counterexample
    assert found is not None
    assert "\n".join(as_text(sequence_of(REPEATS, found))) == FORGOTTEN


# -- runs that never end -----------------------------------------------------------------------------------------------


def puts_off_for_ever(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Waits once more whenever the time is up."""
    if isinstance(given, Due) and instance is not None:
        return Decision(instance, timers=(TimerChange(given.timer, given.now + 1),), changes=("put off",))
    return decide(spec, instance, given)


ENDLESS = """\
outside       flow        a
   |--Started-->|         |
   |            |--AskA-->|
   |            * waiting |
   |            * timer a is due
   |            * broken: the last move may follow again and again, for ever"""


def test_a_run_that_goes_on_for_ever_is_found() -> None:
    """Though each state of it may lead to an end: what happens again and again is shown, and said."""
    spec = flow(step("a", "emit: AskA", "within: 1h"))
    assert explore(spec, ONE_TOPIC, NO_OTHERS).complete
    found = explore(spec, ONE_TOPIC, NO_OTHERS, puts_off_for_ever).counterexample
    assert found is not None
    assert found.promise == "every run ends or is visibly stuck"
    assert "\n".join(as_text(sequence_of(spec, found))) == ENDLESS
