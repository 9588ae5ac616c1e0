"""Explored: what a spec says of events that come at no good time."""

from dataclasses import replace

import pytest

from choreo.diagram.sequence import as_text, sequence_of
from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Input, Received
from choreo.saga.explore import Bounds, explore
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec
from tests.saga.flow import flow, step

STEPS = (step("a"), step("b", "after: a"))
ALL = ("early", "late", "duplicate", "out_of_order", "unexpected")
POLICIES = {
    "keep": ("{early: keep}", 683),
    "keep for a time": ("{early: keep 1h}", 683),
    "ignore": (f"{{{', '.join(f'{one}: ignore' for one in ALL)}}}", 411),
    "dead letters": (f"{{{', '.join(f'{one}: dead-letter' for one in ALL)}}}", 411),
    "fail": ("{early: fail, late: fail, duplicate: fail, unexpected: fail}", 632),
    "take": ("{early: take, late: take, out_of_order: take}", 642),
}


def with_policy(policy: str, *steps: str) -> Spec:
    return flow(*(steps or STEPS), events=f'{{"*": {policy}}}')


@pytest.mark.parametrize(("policy", "states"), POLICIES.values(), ids=POLICIES.keys())
def test_policies_keep_every_promise(policy: str, states: int) -> None:
    """Whatever is done with an event that comes early, late, again or unexpected: every run is seen, and none breaks a
    promise.
    """
    found = explore(with_policy(policy))
    assert (found.counterexample, found.bound, found.states, found.left_out) == (None, None, states, ())


UNDO = "compensate: {emit: UndoB, done_on: BUndone, within: 1h, attempts: 2}"
REOPENS = (
    step("a", "emit: AskA", "reopens_on: Told1", undone=False),
    f"{{name: b, after: a, emit: AskB, completes_on: BDone, fails_on: BFailed, {UNDO}}}",
)


def test_policies_for_what_is_done_again_keep_every_promise() -> None:
    """Also where steps are taken back, so that events may speak of an older run."""
    found = explore(with_policy("{unexpected: fail, out_of_order: fail}", *REOPENS), None, Bounds(states=1_500))
    assert (found.counterexample, found.states) == (None, 1_500)


def test_a_spec_that_ignores_all_answers_to_an_undo_is_found() -> None:
    """Both answers were said before the success was heard, so both are ignored, and nobody is asked a third time."""
    found = explore(with_policy("{early: keep, out_of_order: ignore}", *REOPENS)).counterexample
    assert found is not None
    assert found.says == "the saga is stuck for ever, and nobody is asked to undo b"
    assert [turn.move.event for turn in found.turns].count("flow.BUndone") == 4  # each is said, and later heard


def test_a_spec_that_ignores_the_only_answer_to_an_undo_is_found() -> None:
    """Without a time limit nobody asks once more: what the success overtook was not undone, and never will be."""
    steps = (REOPENS[0], REOPENS[1].replace("within: 1h, attempts: 2", "within: none"))
    found = explore(with_policy("{out_of_order: ignore}", *steps)).counterexample
    assert found is not None
    assert (found.promise, found.says) == (
        "what completed or may have is undone exactly once",
        "the saga is compensating for ever, and nobody is asked to undo b",
    )


KEPT = """\
outside       flow         a  b
   |--Started-->|          |  |
   |            |---AskA-->|  |
   |            * waiting  |  |
   |            |          * ADone is on its way
   |            |<--BFailed---|
   |            |<-ADone---|  |
   |            * broken: BFailed is still kept, and the turn of b has come"""


def test_an_event_that_is_never_let_in_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decide that keeps an event and forgets it: the saga waits for what it has."""
    spec = with_policy("{early: keep}", step("a", "emit: AskA"), step("b", "after: a"))
    monkeypatch.setattr("choreo.saga.decide.let_in", lambda draft, apply: False)
    found = explore(spec).counterexample
    assert found is not None
    assert found.promise == "every run ends or is visibly stuck"
    assert "\n".join(as_text(sequence_of(spec, found))) == KEPT


@pytest.mark.parametrize("policy", ["{late: ignore}", "{early: ignore, late: dead-letter}"])
def test_an_event_that_is_taken_for_a_late_one_is_found(policy: str) -> None:
    """In its turn it counts, whatever a policy says of events at no good time: that it was late is not believed."""

    def calls_it_late(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        answer = isinstance(given, Received) and given.event == "flow.BDone" and instance and not instance.cause
        if answer and instance and instance.steps["b"].state == "requested":
            return Decision(instance, changes=("ignored: flow.BDone came late",))
        return decide(spec, instance, given)

    spec = with_policy(policy, step("a"), step("b", "after: a", "emit: AskB"))
    assert explore(spec, None, Bounds(duplicates=0)).complete
    found = explore(spec, None, Bounds(duplicates=0), calls_it_late).counterexample
    assert found is not None
    assert found.promise == "an event is taken in its turn, and before it as the spec says"
    assert found.says == "BDone came in its turn, and was set aside"


def test_an_early_event_that_is_taken_at_once_is_found() -> None:
    """Where the spec keeps it for its turn, the step that it speaks of is still to begin."""

    def forgets_the_policy(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        forgetful = isinstance(given, Received) and given.event == "flow.BFailed"
        return decide(replace(spec, events=()) if forgetful else spec, instance, given)

    found = explore(with_policy("{early: keep}"), None, Bounds(duplicates=0), forgets_the_policy).counterexample
    assert found is not None
    assert found.says == "BFailed came before its turn, and was taken"


def test_an_event_that_is_left_aside_without_a_policy_is_found() -> None:
    """Only where the spec says so may an event come to nothing."""

    def ignores(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        late = isinstance(given, Received) and given.event == "flow.ADone" and instance and instance.cause
        return Decision(instance, changes=("ignored: flow.ADone came late",)) if late else decide(spec, instance, given)

    assert explore(with_policy("{late: ignore}"), None, Bounds(duplicates=0)).counterexample is None
    assert explore(with_policy("{late: ignore}"), None, Bounds(duplicates=0), ignores).counterexample is None
    found = explore(with_policy("{early: keep}"), None, Bounds(duplicates=0), ignores).counterexample
    assert found is not None
    assert found.promise == "what completed or may have is undone exactly once"
