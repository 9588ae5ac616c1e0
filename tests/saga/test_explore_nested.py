"""Explored: a step that is a saga. It completes, fails, is taken back as its step's undo, or by others, or refuses."""

import pytest

from choreo.diagram.sequence import as_text, sequence_of
from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Input, Received
from choreo.saga.explore import Bounds, explore
from choreo.saga.instance import Instance, StepState
from choreo.saga.rules import Spec
from tests.saga.mall import CATALOGUE, load

LANES = {name: event.contract.topic for name, event in CATALOGUE.items()}
QUIET = Bounds(duplicates=0)


@pytest.mark.parametrize(("saga", "states"), [("order", 516), ("shipping", 215), ("delivery", 32)])
def test_every_run_keeps_every_promise(saga: str, states: int) -> None:
    """Of each of three sagas that nest each other, whatever becomes of the one within."""
    found = explore(load(saga), LANES, QUIET)
    assert (found.counterexample, found.bound, found.states, found.left_out) == (None, None, states, ())


def test_others_may_take_the_nested_saga_back() -> None:
    """After it has completed it may tell that it was taken back, which its step did not ask for: once."""
    met: list[bool] = []

    def watching(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        gone = isinstance(given, Received) and given.event == "mall.ShipmentDropped"
        if gone and instance is not None and instance.steps["ship"].state is StepState.DONE:
            met.append(instance.cause is None)
        return decide(spec, instance, given)

    explore(load("order"), LANES, QUIET, watching)
    assert True in met


TAKEN_BACK = """\
outside           order                ship  pay
   |--OrderPlaced-->|                    |    |
   |                |---ShipmentWanted-->|    |
   |                * waiting            |    |
   |                |<--ShipmentReady----|    |
   |                |------PaymentWanted----->|
   |                |<-ShipmentDropped---|    |
   |                |<-----PaymentTaken-------|
   |                * compensated        |    |
   |                * broken: the saga is compensated though ship completed and is not undone"""


def test_who_takes_the_end_of_a_nested_saga_for_a_failure_is_found() -> None:
    """A decide that believes a step not to have happened because it was taken back later: its undo is missing."""

    def broken(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        gone = isinstance(given, Received) and given.event == "mall.ShipmentDropped"
        ship = instance.steps.get("ship") if instance is not None else None
        if instance is not None and ship is not None and gone and ship.state is StepState.DONE:
            told = {**instance.steps, "ship": ship.model_copy(update={"state": StepState.FAILED, "done_at": None})}
            return decide(spec, instance.model_copy(update={"steps": told}), given)
        return decide(spec, instance, given)

    found = explore(load("order"), LANES, QUIET, broken).counterexample
    assert found is not None
    assert found.promise == "what completed or may have is undone exactly once"
    assert "\n".join(as_text(sequence_of(load("order"), found))) == TAKEN_BACK
