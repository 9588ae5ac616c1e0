"""What the language says of order, choices and repetition stands in the picture."""

from choreo.diagram.drawing import graph_of_spec
from tests.saga.flow import flow, step


def test_joins_choices_and_repetition_are_drawn() -> None:
    """`any`, `else`, `skips_on`, `reopens_on` and `repeat` are told where they hold."""
    again = step("d", "after: c", "reopens_on: Told1", "skips_on: Told2", "repeat: {until: steps.d.n > 1, at_most: 3}")
    ways = (step("a", "when: saga.n > 5"), step("b", "else: a", "when: saga.n > 1"))
    graph = graph_of_spec(flow(*ways, step("c", "after: {any: [a, b]}"), again))
    boxes = {box.name: box.lines for box in graph.boxes}
    assert "once 1 of 2 are done" in boxes["step c"]
    assert {"taken out on Told2", "taken back on Told1", "again until steps.d.n > 1"} <= set(boxes["step d"])
    says = {(arrow.source, arrow.to): arrow.lines for arrow in graph.arrows}
    assert says["start", "step b"] == ("else a", "when saga.n > 1")
