"""How long a saga can be cancelled."""

import pytest

from choreo.errors import SpecError
from tests.saga.flow import flow, step
from tests.saga.story import Story


def test_a_cancellation_is_refused_from_a_step_on() -> None:
    """Before that step is done everything is undone; afterwards the cancellation is answered, and the saga goes on."""
    spec = flow(step("a"), step("b", "after: a"), step("c", "after: b"), cancellable_until="b")
    Story(spec).when("Started", "ADone").when("Cancelled").then("UndoB")
    late = Story(spec).when("Started", "ADone", "BDone").when("Cancelled").then("Refused").stands("waiting", "CDone")
    late.when("CFailed").then("UndoB").when("BUndone").then("UndoA").when("AUndone").stands("compensated")


def test_a_pivot_refuses_earlier() -> None:
    """Whichever of the two is done first refuses."""
    spec = flow(step("a", "pivot: true"), step("b", "after: a"), cancellable_until="b")
    Story(spec).when("Started", "ADone").when("Cancelled").then("Refused")


MISTAKES = [
    ({"cancellable_until": "z"}, "there is no step z"),
    ({"cancellable_until": "[a]"}, "cancellable_until takes a single value here"),
]


@pytest.mark.parametrize(("keys", "said"), MISTAKES)
def test_a_mistake_is_said_where_it_stands(keys: dict[str, str], said: str) -> None:
    """It names a step of the spec."""
    with pytest.raises(SpecError, match=r"flow\.yaml:8:20") as raised:
        flow(step("a"), **keys)
    assert said in str(raised.value)
