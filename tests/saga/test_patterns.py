"""The original workflow control-flow patterns (van der Aalst, ter Hofstede, Kiepuszewski, Barros, 2003) as sagas: one
test each, under the number that the pattern has there. docs/patterns.md is their table.
"""

import re
from pathlib import Path

from tests.saga.flow import flow, step
from tests.saga.story import Story

PAGE = (Path(__file__).parents[2] / "docs" / "patterns.md").read_text()


def test_1_sequence() -> None:
    """A step begins when the one before it is done."""
    story = Story(flow(step("a", "emit: AskA"), step("b", "after: a", "emit: AskB"))).when("Started").then("AskA")
    story.when("ADone").then("AskB").when("BDone").stands("completed")


def test_2_parallel_split() -> None:
    """After one step, several begin at once."""
    asked = [step(name, "after: a", f"emit: Ask{name.upper()}") for name in "bc"]
    Story(flow(step("a"), *asked)).when("Started").then().when("ADone").then("AskB", "AskC")


def test_3_synchronization() -> None:
    """A step begins when all before it are done, in whatever order."""
    spec = flow(step("a"), step("b"), step("c", "after: [a, b]", "emit: AskC"))
    Story(spec).when("Started", "BDone").then().when("ADone").then("AskC")


def test_4_exclusive_choice() -> None:
    """Of two ways exactly one is taken, by the saga's data."""
    spec = flow(step("a", "when: saga.n > 5", "emit: AskA"), step("b", "else: a", "emit: AskB"))
    Story(spec).when("Started", n=9).then("AskA")
    Story(spec).when("Started", n=1).then("AskB")


def test_5_simple_merge() -> None:
    """Two ways of which one was taken lead into the same step; nothing is waited for."""
    ways = (step("a", "when: saga.n > 5"), step("b", "else: a"))
    story = Story(flow(*ways, step("c", "after: {any: [a, b]}", "emit: AskC"))).when("Started", n=1)
    story.when("BDone").then("AskC").when("CDone").stands("completed")


def test_6_multi_choice() -> None:
    """Each way has a condition of its own: none, one or several are taken."""
    spec = flow(step("a", "when: saga.n > 5", "emit: AskA"), step("b", "when: saga.n > 3", "emit: AskB"))
    Story(spec).when("Started", n=9).then("AskA", "AskB")
    Story(spec).when("Started", n=4).then("AskB")
    Story(spec).when("Started", n=1).then().stands("completed")


def test_7_synchronizing_merge() -> None:
    """What comes after several ways waits for those that were taken, and for no other."""
    ways = (step("a", "when: saga.n > 5"), step("b", "when: saga.n > 3"))
    spec = flow(*ways, step("c", "after: [a, b]", "emit: AskC"))
    Story(spec).when("Started", n=9).when("ADone").then().when("BDone").then("AskC")
    Story(spec).when("Started", n=4).when("BDone").then("AskC")


def each(name: str, *more: str) -> str:
    """A step that is done for each of the start event's items."""
    return step(name, "for_each: saga.items", "item_key: item", f"emit: Ask{name.upper()}", *more)


def items_asked(story: Story, event: str) -> list[str]:
    """The items that an event has asked for until now."""
    return [emit.fields["item"] for emit in story.emits if emit.event == f"flow.{event}"]


def test_8_multi_merge() -> None:
    """What comes after two ways is done once for each of them, as each ends."""
    merged = each("c", "after: {any: [a, b]}", "adds_on: [ADone, BDone]", "complete: 2")
    story = Story(flow(step("a"), step("b"), merged)).when("Started", items=[])
    story.when("BDone", item="of b").then("AskC").when("CDone", item="of b").when("ADone", item="of a").then("AskC")
    assert items_asked(story, "AskC") == ["of b", "of a"]
    story.stands("waiting", "CDone").when("CDone", item="of a").stands("completed")


def test_9_discriminator() -> None:
    """The first of several, or the second, lets the next begin, once; the rest is waited for and changes nothing."""
    spec = flow(step("a"), step("b"), step("c", "after: {any: [a, b]}", "emit: AskC"))
    story = Story(spec).when("Started").when("BDone").then("AskC").when("ADone").then()
    story.when("CDone").stands("completed")
    spec = flow(step("a"), step("b"), step("c"), step("d", "after: {at_least: 2, of: [a, b, c]}", "emit: AskD"))
    Story(spec).when("Started", "CDone").then().when("ADone").then("AskD").when("BDone").then()


def test_10_cycles() -> None:
    """A step is repeated until its data says enough, and an event leads back to one that was done."""
    loop = step("a", "emit: AskA", "repeat: {until: steps.a.n > 1, at_most: 5}")
    story = Story(flow(loop, step("b", "after: a", "reopens_on: Told1", "emit: AskB"))).when("Started").then("AskA")
    story.when("ADone", n=1).then("AskA").when("ADone", n=2).then("AskB")
    story.when("BDone").stands("completed").when("Told1").then("AskB").stands("waiting", "BDone")


def test_11_implicit_termination() -> None:
    """There is no end to draw: the saga is complete when nothing is left to do."""
    story = Story(flow(step("a"), step("b", "when: saga.n > 5"), step("c", "after: b"))).when("Started", n=9)
    story.when("ADone", "BDone").stands("waiting", "CDone").when("CDone").stands("completed")


def test_12_instances_without_synchronization() -> None:
    """Nothing waits for the instances but the end of the saga."""
    story = (
        Story(flow(each("a"), step("b", "emit: AskB"))).when("Started", items=["x", "y"]).then("AskA", "AskA", "AskB")
    )
    story.when("BDone").stands("waiting", "ADone").when("ADone", item="x").when("ADone", item="y").stands("completed")


def test_13_instances_of_a_known_number() -> None:
    """So many instances as the spec says must be done before the next step."""
    spec = flow(each("a", "complete: 3"), step("b", "after: a", "emit: AskB"))
    story = Story(spec).when("Started", items=["x", "y", "z"]).then("AskA", "AskA", "AskA")
    story.when("ADone", item="x").when("ADone", item="y").then().when("ADone", item="z").then("AskB")
    same = [step(name, "emit: AskA") for name in "abc"]
    story = Story(flow(*same, step("d", "after: [a, b, c]"))).when("Started").then("AskA", "AskA", "AskA")
    story.when("ADone", "BDone", "CDone").stands("waiting", "DDone")


def test_14_instances_of_a_number_known_at_run_time() -> None:
    """The list comes with an event of a step before; all of it must be done before the next step."""
    of_b = each("a", "after: b").replace("saga.items", "steps.b.items")
    story = Story(flow(step("b"), of_b, step("c", "after: a", "emit: AskC"))).when("Started").then()
    story.when("BDone", items=["x", "y"]).then("AskA", "AskA").when("ADone", item="y").then()
    story.when("ADone", item="x").then("AskC")


def test_15_instances_of_a_number_not_known_before() -> None:
    """Instances are added while others are at work; the step is done when there is none left."""
    story = Story(flow(each("a", "adds_on: Told1"), step("b", "after: a", "emit: AskB")))
    story.when("Started", items=["x"]).then("AskA").when("Told1", item="y").then("AskA").when("ADone", item="x").then()
    story.when("Told1", item="z").then("AskA").when("ADone", item="z").then().when("ADone", item="y").then("AskB")


def test_16_deferred_choice() -> None:
    """Of two steps that wait, the first that happens is the choice: the other one is taken out."""
    spec = flow(step("a", "skips_on: BDone"), step("b", "skips_on: ADone"), step("c", "after: [a, b]", "emit: AskC"))
    for event in ("ADone", "BDone"):
        Story(spec).when("Started").stands("waiting", "ADone", "BDone").when(event).then("AskC")


def test_17_interleaved_parallel_routing() -> None:
    """Steps in any order, but never two of them at a time."""
    asked = {name: f"emit: Ask{name.upper()}" for name in "abc"}
    steps = (step("a", asked["a"], "excludes: [b, c]"), step("b", asked["b"], "excludes: c"), step("c", asked["c"]))
    story = Story(flow(*steps)).when("Started").then("AskA").when("ADone").then("AskB").when("BDone").then("AskC")
    story.when("CDone").stands("completed")
    later = (step("d"), step("a", "after: d", asked["a"], "excludes: b"), step("b", asked["b"]))
    story = Story(flow(*later)).when("Started").then("AskB").when("DDone").then().when("BDone").then("AskA")


def test_18_milestone() -> None:
    """A step may begin only as long as another one is under way."""
    spec = flow(step("a"), step("b"), step("c", "after: b", "while: a", "emit: AskC"))
    Story(spec).when("Started").then().when("BDone").then("AskC").when("ADone", "CDone").stands("completed")
    Story(spec).when("Started").when("ADone").then().when("BDone").then().stands("completed")


def test_19_cancel_activity() -> None:
    """An event takes one step out; the rest goes on."""
    spec = flow(step("a", "skips_on: Told1"), step("b"))
    Story(spec).when("Started").when("Told1").stands("waiting", "BDone").when("BDone").stands("completed")


def test_20_cancel_case() -> None:
    """One event cancels the whole saga, and what was done is undone."""
    story = Story(flow(step("a"), step("b", "after: a"))).when("Started", "ADone").when("Cancelled")
    story.then("UndoB").when("BUndone").then("UndoA").when("AUndone").stands("cancelled")


def test_the_page_names_each_test() -> None:
    """The table has all twenty patterns; those it calls expressed are the ones with a test here, under that name."""
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| [^|]+ \| (`test_\w+`|not yet) \|$", PAGE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 21))
    named = [test.strip("`") for _, test in rows if test != "not yet"]
    assert named == [name for name in globals() if re.match(r"test_\d", name)]
