"""decide: steps that are done for each item, beside one another and in every state: what the step itself keeps."""

import pytest

from choreo.events.event import Event
from choreo.saga.decision import Resolve, Retry, Skip
from choreo.saga.instance import StepState
from choreo.saga.spec import parse_spec
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


REST = (*EACH, "emit: AskA", "complete: 2", "rest: undo", "reopens_on: Told1")


def test_an_item_that_comes_late_takes_the_place_of_one_that_was_taken_back() -> None:
    """It is not undone then, though it had been called off; what was asked for in its place is."""
    story = Story(flow(step("a", *REST))).when("Started", items=list("xyz"))
    story.when("ADone", item="x").when("ADone", item="y").when("AUndone", item="z").then(*["AskA"] * 3, "UndoA")
    story.after("1s").when("Told1", item="x").then("AskA").after("1s").when("ADone", item="z").then("UndoA")
    assert story.last.emits[0].fields["item"] == "x"
    story.when("AUndone", item="x").stands("completed")
    assert items(story) == {"a[x]": "compensated", "a[y]": "done", "a[z]": "done"}
    story.after("1s").when("ADone", item="x").then("UndoA").stands("waiting", "AUndone")
    assert story.last.emits[0].fields["item"] == "x"


def test_an_item_that_is_taken_back_while_it_is_undone_needs_no_other_answer() -> None:
    """As with a step of a saga that goes back as a whole."""
    story = Story(flow(step("a", *REST))).when("Started", items=list("xyz")).when("ADone", item="x")
    story.when("ADone", item="y").then(*["AskA"] * 3, "UndoA").stands("waiting", "AUndone")
    story.when("Told1", item="z").stands("completed")
    assert items(story)["a[z]"] == "compensated"


def test_an_item_that_was_called_off_before_it_began_counts_for_nothing() -> None:
    """Where another is taken back, that one has to be done again."""
    spec = flow(step("a", *REST, "not_before: 1h"))
    story = Story(spec).when("Started", items=list("xyz")).when("ADone", item="x").when("ADone", item="y")
    story.after("1h").then()
    assert "a[z]: idle -> skipped (not needed any more)" in story.last.changes
    assert items(story) == {"a[x]": "done", "a[y]": "done", "a[z]": "skipped"}
    story.stands("completed").after("1s").when("Told1", item="x").stands("waiting")
    story.after("1h").then("AskA").when("ADone", item="x").stands("completed")


def test_an_operator_retries_an_item_of_a_step_that_had_failed() -> None:
    """Beyond the pivot: the step waits once more, of nothing that went wrong, and is done with its items."""
    spec = flow(step("c", "pivot: true", undone=False), step("a", *EACH, "after: c", "emit: AskA"))
    story = Story(spec).when("Started", items=["x", "y"]).when("CDone").then("AskA", "AskA")
    story.when("AFailed", item="x").stands("stuck", "ADone")
    story.orders(Retry("a[x]")).then("AskA").stands("waiting", "ADone")
    assert story.instance is not None
    assert "a: failed -> waiting (0 of 2)" in story.last.changes
    record = story.instance.steps["a"]
    assert (record.state, record.by, record.problem) == (StepState.WAITING, "", "")
    story.when("AFailed", item="x").when("ADone", item="y").stands("stuck", "ADone")
    story.orders(Resolve("a[x]", "done")).stands("completed")
    assert story.state("a") == "done"


@pytest.mark.parametrize(
    ("keys", "status", "waits"),
    [
        (("complete: 1", "adds_on: Told1"), "compensated", ()),
        (("adds_on: Told1",), "compensated", ()),
        (("complete: 2", "adds_on: Told1"), "waiting", ("Told1",)),
    ],
)
def test_items_to_come_are_waited_for_where_those_that_are_known_were_too_few(
    keys: tuple[str, ...], status: str, waits: tuple[str, ...]
) -> None:
    """Else the step fails with the items that it has, though another might be added."""
    story = Story(flow(step("a", *EACH, *keys))).when("Started", items=["x"]).when("AFailed", item="x")
    story.stands(status, *waits)


def test_a_list_that_is_too_short_fails_the_step() -> None:
    """Where three are wanted of two and none can be added."""
    story = Story(flow(step("a", *EACH, "complete: 3"))).when("Started", items=["x", "y"])
    assert story.instance is not None
    record = story.instance.steps["a"]
    assert (record.state, record.by) == (StepState.FAILED, "items")
    story.tells("compensated: a failed (0 of 2 done, 3 wanted)")


class DeepEvent(Event, namespace="deep.flow", topic="deep.work", key="case", abstract=True):
    """A flow whose namespace has two parts."""

    case: str
    items: tuple[str, ...] = ()
    item: str = ""


class Started(DeepEvent): ...


class ADone(DeepEvent): ...


class AFailed(DeepEvent): ...


DEEP = """\
saga: deep
version: 1
namespace: deep.flow
starts_on: Started
correlate_by: case
within: none
steps:
  - {name: a, for_each: saga.items, item_key: item, completes_on: ADone, fails_on: AFailed, compensate: none}
"""


def test_what_an_item_came_to_is_told_without_its_namespace() -> None:
    """However many parts that has."""
    catalogue = {event.contract.full_name: event for event in (Started, ADone, AFailed)}
    story = Story(parse_spec(DEEP, "deep.yaml", catalogue)).when("Started", items=["x"]).when("AFailed", item="x")
    story.tells("compensated: a failed (0 of 1 done, 1 wanted, a[x] failed (AFailed))")
