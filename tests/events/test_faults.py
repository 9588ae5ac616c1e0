"""What keeps values from being an event."""

import pytest
from pydantic import ValidationError, model_validator

from choreo.events.event import Event, Value
from choreo.events.faults import faults_of


class Line(Value):
    sku: str
    count: int


class Counted(Event, namespace="faults", topic="faults", key="shelf"):
    shelf: str
    lines: tuple[Line, ...]

    @model_validator(mode="after")
    def _something(self) -> "Counted":
        if not self.lines:
            raise ValueError("nothing was counted")
        return self


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"lines": []}, "shelf: Field required"),
        (
            {"shelf": "a", "lines": [{"sku": "b"}, {"count": 1}]},
            "lines.0.count: Field required; lines.1.sku: Field required",
        ),
        ({"shelf": "a", "lines": []}, "Counted: Value error, nothing was counted"),
    ],
)
def test_each_fault_is_told_with_its_field(given: dict[str, object], told: str) -> None:
    """Every fault has the path of its field; one of the event as a whole has the event's name."""
    with pytest.raises(ValidationError) as caught:
        Counted.model_validate(given)
    assert faults_of(Counted, caught.value) == told
