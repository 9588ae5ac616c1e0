"""decide: steps that are done for each item, beside one another and in every state: what the step itself keeps."""

import pytest

from choreo.saga.decision import Skip
from choreo.saga.instance import StepState
from tests.saga.flow import flow, step
from tests.saga.story import Story

EACH = ("for_each: saga.items", "item_key: item")
LATER = ("after: c", "for_each: steps.c.items", "item_key: item", "emit: AskA")


def items(story: Story, name: str = "a") -> dict[str, str]:
    """How the items of a step stand."""
    assert story.instance is not None
    return {one: str(record.state) for one, record in story.instance.steps.items() if one.startswith(f"{name}[")}


def test_a_list_that_is_not_known_yet_holds_up_no_other() -> None:
    """Each step of items goes by its own list, whichever stands first in the file."""
    story = Story(flow(step("c"), step("a", *LATER), step("b", *EACH, "emit: AskB"))).when("Started", items=["x"])
    story.then("AskB")
    assert (items(story), items(story, "b")) == ({}, {"b[x]": "requested"})
    story.when("BDone", item="x")
    assert story.state("b") == "done"
    story.when("CDone", items=["y", "z"]).then("AskA", "AskA").when("ADone", item="z").when("ADone", item="y")
    story.stands("completed")


def test_a_list_of_no_use_holds_up_no_other() -> None:
    """Beyond a pivot its step is stuck, and the others go on."""
    pivot = step("c", "pivot: true", undone=False)
    both = (step("a", *LATER, undone=False), step("b", *EACH, "after: c", "emit: AskB"))
    story = Story(flow(pivot, *both)).when("Started", items=["x"]).when("CDone", items=["y", "y"]).then("AskB")
    assert story.instance is not None
    record = story.instance.steps["a"]
    assert (record.state, record.by, record.items) == (StepState.FAILED, "items", {})
    assert record.problem == "there are two items with the item y"
    story.when("BDone", item="x").stands("stuck")


def test_a_step_that_is_skipped_takes_its_items_with_it() -> None:
    """Those that have not begun; what may be happening is waited for."""
    story = Story(flow(step("c"), step("a", *EACH, "after: c"), step("b", "when: saga.n > 0")))
    story.when("Started", items=["x", "y"], n=0)
    assert items(story) == {"a[x]": "idle", "a[y]": "idle"}
    story.orders(Skip("a"))
    assert items(story) == {"a[x]": "skipped", "a[y]": "skipped"}
    story.when("CDone").stands("completed")


def test_a_step_of_items_whose_condition_is_false_is_skipped_with_them() -> None:
    """Nothing is asked for, and what comes after it goes on."""
    spec = flow(step("a", *EACH, "emit: AskA", "when: saga.n > 0"), step("b", "after: a", "emit: AskB"))
    story = Story(spec).when("Started", items=["x"], n=0).then("AskB")
    assert (story.state("a"), items(story)) == ("skipped", {"a[x]": "skipped"})


def test_a_step_keeps_by_what_its_items_settled_it() -> None:
    """Done: how many, and when. Failed: by which event, and the first three that came to nothing."""
    rules = flow(step("a", *EACH, "complete: 2"), step("b", "after: a"))
    story = Story(rules).when("Started", items=list("vwxyz")).after("1s").when("ADone", item="v")
    story.after("1s").when("ADone", item="w")
    assert story.instance is not None
    record = story.instance.steps["a"]
    assert (record.state, record.by, record.done_at, record.problem) == (StepState.DONE, "2 of 5", 2_000_000, "")
    bad = Story(rules).when("Started", items=list("vwxyz"))
    for item in "zyxw":
        bad.when("AFailed", item=item)
    assert bad.instance is not None
    record = bad.instance.steps["a"]
    gone = "a[w] failed (AFailed), a[x] failed (AFailed), a[y] failed (AFailed)"
    assert (record.by, record.problem) == ("flow.AFailed", f"0 of 5 done, 2 wanted, {gone}")


def test_expressions_see_how_many_items_there_are() -> None:
    """All, those that are done, and those that came to nothing, at any time."""
    tells = "emit: {event: Told, with: {m: steps.a.items * 100 + steps.a.done * 10 + steps.a.failed}}"
    story = Story(flow(step("a", *EACH, "complete: 1", "rest: wait"), step("b", "after: a", tells)))
    story.when("Started", items=["x", "y", "z"]).when("AFailed", item="x").when("ADone", item="y")
    story.when("ADone", item="z")
    assert story.last.emits[0].fields["m"] == 321


@pytest.mark.parametrize(
    ("items", "said"),
    [({}, "an item has no item"), ({"item": "x"}, None)],
)
def test_an_item_to_add_needs_its_key_and_to_be_new(items: dict[str, str], said: str | None) -> None:
    """Without a key it is a dead letter; one that is known changes nothing."""
    story = Story(flow(step("a", *EACH, "adds_on: Told1"))).when("Started", items=["x"])
    story.when("Told1", **items).then()
    assert story.last.changes == ()
    assert story.last.dead_letter == (said and f"step a takes no more items: {said}")
