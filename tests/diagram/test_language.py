"""What the language says of order, choices, repetition, time, people and locks stands in the picture.

After a change of words, `python -m tests.diagram.test_language` writes move.mmd anew: read the difference before you
commit it.
"""

from pathlib import Path

import pytest

from choreo.diagram.drawing import graph_of_spec
from choreo.diagram.graph import Graph
from choreo.diagram.mermaid import as_flowchart
from choreo.diagram.svg import as_svg
from tests.diagram.move import MOVE, move
from tests.diagram.test_pictures import Drawn
from tests.saga.flow import flow, step

DRAWN = Path(__file__).parent / "move.mmd"


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


def test_a_spec_that_uses_all_of_it_is_drawn_word_by_word() -> None:
    """Limits and what they mean, reminders, roles, `not_before`, `excludes`, items, locks, what is too late."""
    assert as_flowchart(graph_of_spec(move())) == DRAWN.read_text(encoding="utf-8")


def test_both_pictures_say_the_same() -> None:
    """Every line of a box or on an arrow is in the SVG as it is in the Mermaid text."""
    graph = graph_of_spec(move())
    drawn = Drawn(as_svg(graph))
    assert {name: tuple(said) for name, (_, said) in drawn.boxes.items()} == {
        box.name: box.lines for box in graph.boxes
    }
    assert {ends: tuple(said) for ends, (_, said) in drawn.arrows.items()} == {
        (arrow.source, arrow.to): arrow.lines for arrow in graph.arrows
    }


def changed(*pairs: tuple[str, str]) -> Graph:
    """The picture of the move with each first of a pair replaced by the second; each must be there."""
    text = MOVE
    for old, new in pairs:
        assert old in text, f"{old!r} is not in the spec"
        text = text.replace(old, new)
    return graph_of_spec(move(text))


@pytest.mark.parametrize(
    ("old", "new", "box", "line"),
    [
        ("rest: undo", "rest: wait", "step rooms", "then the others are waited for"),
        ("rest: undo", "rest: leave", "step rooms", "then the others go on"),
        ("complete: 80%", "complete: any", "step rooms", "for each of saga.rooms: any"),
        ("complete: 80%", "complete: 3", "step rooms", "for each of saga.rooms: 3 of them"),
        ("after: [van]}", "after: []}", "undo crew", "waits for no other undo"),
        ("not_before: 2h", "not_before: opens\n    calendar: office", "step van", "not before it opens"),
        ("within: none\n    deadline: saga.until", "deadline: 3d", "step pay", "by 3d from the start"),
        (", expires: 5d", ", expires: 36h", "step lock", "held 1d12h at most"),
        ("by: customer, ", "by: boxes, ", "step lock", "one at a time for each saga.boxes in customers"),
        ("wait: 1m}", "wait: 1m, backoff: 3}", "undo van", "1m apart, times 3 each"),
        ("stuck: MoveStuck", "cancelled: MoveStuck", "cancelled", "tells MoveStuck"),
        ("stuck: MoveStuck", "compensated: MoveStuck", "compensated", "tells MoveStuck"),
    ],
)
def test_each_wording(old: str, new: str, box: str, line: str) -> None:
    """What may be said in one of several ways is drawn as it is said."""
    assert line in {one.name: one.lines for one in changed((old, new)).boxes}[box]


def test_no_rest_is_told_where_there_is_none() -> None:
    """Where all items must be done no others are left over."""
    lines = {one.name: one.lines for one in changed(("complete: 80%", "complete: all")).boxes}["step rooms"]
    assert "for each of saga.rooms: all" in lines
    assert not [line for line in lines if "the others" in line]


def test_what_is_never_too_late_has_no_limit() -> None:
    """Without a pivot, a `cancellable_until` and an answer nothing stands on the arrows."""
    graph = changed(
        ("    pivot: true\n", "    compensate: none\n"),
        ("cancellable_until: van\n", ""),
        ("{event: MoveCancelled, refused: CancelRefused}", "MoveCancelled"),
        ("{event: MoveTakenBack, refused: TakeBackRefused}", "MoveTakenBack"),
    )
    assert [arrow.lines for arrow in graph.arrows if arrow.kind == "cancel"] == [(), ()]


if __name__ == "__main__":
    DRAWN.write_text(as_flowchart(graph_of_spec(move())), encoding="utf-8")
