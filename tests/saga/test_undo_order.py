"""`compensate: {after: ...}`: in which order is undone, where it is not the reversed order of doing."""

from tests.saga.flow import flow
from tests.saga.story import Story


def step(name: str, after: str, undo_after: str) -> str:
    """A step that is undone after others; "" says nothing of it."""
    upper = name.upper()
    order = f", after: {undo_after}" if undo_after else ""
    undo = f"{{emit: Undo{upper}, done_on: {upper}Undone{order}}}"
    return f"{{name: {name}, completes_on: {upper}Done, compensate: {undo}{after}}}"


def test_an_undo_may_wait_for_what_was_done_before_it() -> None:
    """a, then b, then c; a is undone before b, because both say so, and c waits for neither."""
    spec = flow(step("a", "", "[]"), step("b", ", after: a", "a"), step("c", ", after: b", "[]"))
    story = Story(spec).when("Started", "ADone", "BDone", "Cancelled").then("UndoA", "UndoC")
    story.when("CUndone").then().when("AUndone").then("UndoB").when("BUndone").stands("cancelled")


def test_an_undo_that_waits_for_nobody_is_asked_for_at_once() -> None:
    """after: [] undoes at once, whatever came later."""
    story = Story(flow(step("a", "", "[]"), step("b", ", after: a", ""), step("c", ", after: b", "")))
    story.when("Started", "ADone", "BDone", "Cancelled").then("UndoA", "UndoC")


def test_what_it_waits_for_may_not_be_done_at_all() -> None:
    """An undo waits only for undos that there are."""
    story = Story(flow(step("a", "", "b"), step("b", "", ""))).when("Started", "ADone")
    story.when("Cancelled").then("UndoB").when("BUndone").then("UndoA")
