"""The wider language keeps the promises of `decide` in every run, too."""

import pytest

from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Input
from choreo.saga.explore import Bounds, explore
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec
from tests.saga.flow import flow, step

SPECS = {
    "any": (step("a"), step("b"), step("c", "after: {any: [a, b]}")),
    "at_least": (step("a"), step("b", undone=False), step("c", "after: {at_least: 2, of: [a, b]}", undone=False)),
    "choice": (step("a", "when: saga.n > 1"), step("b", "else: a"), step("c", "after: {any: [a, b]}", "emit: AskC")),
    "ask": (step("a", "within: 1h", "on_timeout: {ask: {emit: Told1, within: 1h, attempts: 2}}"), step("b")),
    "remind": (step("a", "remind: {emit: Told1, every: 1h, at_most: 2}"), step("b")),
    "held": (step("a", "emit: AskA", "not_before: 1h"), step("b", "after: a", "emit: AskB", "not_before: saga.at")),
    "tell": (step("a", "tell: {done: Told1, undone: Told2}"), step("b", "after: a")),
}


@pytest.mark.parametrize("steps", SPECS.values(), ids=SPECS.keys())
def test_every_way_of_the_language_keeps_every_promise(steps: tuple[str, ...]) -> None:
    """No run up to the bound breaks a promise, and sagas end in each way."""
    found = explore(flow(*steps), None, Bounds(states=1_500))
    assert found.counterexample is None
    assert {"completed", "compensated"} <= set(found.ends)


@pytest.mark.parametrize("keys", ["attempts: 1", "attempts: 2", "attempts: 1, within: 1h", "attempts: 2, within: 1h"])
def test_an_undo_that_fails_for_good_leaves_the_saga_visibly_stuck(keys: str) -> None:
    """Whatever crosses the undo, a late success, another answer or an answer heard twice: no run breaks a promise, and
    none is left out.
    """
    undo = f"compensate: {{emit: UndoA, done_on: AUndone, fails_on: Told1, {keys}}}"
    found = explore(flow(f"{{name: a, completes_on: ADone, fails_on: AFailed, {undo}}}"))
    assert (found.counterexample, found.bound) == (None, None)
    assert {"completed", "compensated", "cancelled", "stuck"} <= set(found.ends)


def test_who_was_never_asked_to_undo_is_not_taken_for_one_who_refused() -> None:
    """A decide that forgets the undo of a success, where the undo might have failed, is still found out."""

    def forgets(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        decision = decide(spec, instance, given)
        after = decision.instance
        if instance is None or after is None or not any(emit.kind == "undo" for emit in decision.emits):
            return decision
        stuck = after.model_copy(update={"status": "stuck", "steps": instance.steps})
        return decision._replace(emits=(), instance=stuck)

    undo = "compensate: {emit: UndoA, done_on: AUndone, fails_on: Told1, attempts: 1}"
    found = explore(flow(f"{{name: a, completes_on: ADone, {undo}}}", step("b", "after: a")), None, Bounds(), forgets)
    assert found.counterexample is not None
    assert "nobody is asked to undo a" in found.counterexample.says


def test_what_is_left_out_is_said() -> None:
    """More items than the rule needs, and what is repeated more often than three times: the answer says so."""
    items = step("a", "emit: AskA", "for_each: saga.items", "item_key: item")
    spec = flow(items, step("b", "repeat: {until: steps.b.n > 1, at_most: 4}"), step("c", "reopens_on: Told1"))
    assert explore(spec, None, Bounds(states=50)).left_out == ("more than 2 items of a", "more than 3 repetitions of b")
    assert explore(flow(step("b", "repeat: {until: steps.b.n > 1, at_most: 3}")), None, Bounds(states=9)).left_out == ()


@pytest.mark.parametrize(
    "policies",
    ["{late: fail, duplicate: fail, unexpected: fail}", "{early: fail, late: take, duplicate: dead-letter}"],
)
def test_a_saga_that_policies_fail_keeps_every_promise(policies: str) -> None:
    """Where an event fails its saga, and where a dead letter says nothing new, all is undone as ever, in every run."""
    steps = (step("a"), step("b", "after: a", "emit: AskB"))
    found = explore(flow(*steps, events=f'{{"*": {policies}}}'), None, Bounds(states=1_500))
    assert (found.counterexample, found.bound) == (None, None)
    assert {"completed", "compensated", "cancelled"} <= set(found.ends)
