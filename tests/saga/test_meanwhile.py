"""Steps and others that are under way: `excludes` and `while`."""

import pytest

from choreo.errors import SpecError
from choreo.saga.almanac import NO_SHARED
from choreo.saga.explore import Bounds, explore
from choreo.saga.offers import NOBODY
from choreo.saga.spec import examine_again
from tests.saga.flow import CATALOGUE, flow, source, step
from tests.saga.story import Story


def test_to_exclude_is_mutual() -> None:
    """One of two says it, and each waits for the other, whichever begins first."""
    for first, second in (("a", "b"), ("b", "a")):
        steps = {name: step(name, f"emit: Ask{name.upper()}") for name in "ab"}
        steps["a"] = step("a", "emit: AskA", "excludes: b")
        story = Story(flow(steps[first], steps[second])).when("Started").then(f"Ask{first.upper()}")
        story.when(f"{first.upper()}Done").then(f"Ask{second.upper()}")


def test_the_rest_goes_on_meanwhile() -> None:
    """A step that excludes nobody begins beside them."""
    spec = flow(step("a", "emit: AskA", "excludes: b"), step("b", "emit: AskB"), step("c", "emit: AskC"))
    Story(spec).when("Started").then("AskA", "AskC").when("CDone").then().when("ADone").then("AskB")


def test_a_step_that_is_put_off_is_under_way() -> None:
    """It has its turn: what it excludes waits for its end, and begins not in between."""
    spec = flow(step("a", "emit: AskA", "excludes: b", "not_before: 1h"), step("b", "emit: AskB"))
    Story(spec).when("Started").then().after("1h").then("AskA").when("ADone").then("AskB")


def test_a_step_that_is_skipped_excludes_nobody() -> None:
    """What need not be done holds nothing up."""
    spec = flow(step("a", "emit: AskA", "excludes: b", "when: saga.n > 5"), step("b", "emit: AskB"))
    Story(spec).when("Started", n=1).then("AskB")


AFTER_A, ASK_B = step("b", "after: a", "emit: AskB"), "emit: AskB"


@pytest.mark.parametrize(
    "steps",
    [
        (step("a", "emit: AskA"), step("b", "after: a", ASK_B, "excludes: a")),
        (step("a", "emit: AskA", "excludes: b"), AFTER_A),
        (step("a", "emit: AskA", "when: saga.n > 5"), step("b", "else: a", ASK_B, "excludes: a")),
        (step("a", "emit: AskA"), step("b", "after: {any: a}", ASK_B, "excludes: a")),
        (step("a", "emit: AskA"), AFTER_A, step("c", "after: b", "emit: AskC", "excludes: a")),
    ],
    ids=range(5),
)
def test_what_is_over_is_not_excluded(steps: tuple[str, ...]) -> None:
    """`excludes` between two steps of which one begins after the other means nothing: a choice is written `else`."""
    with pytest.raises(
        SpecError, match=r"nothing-to-exclude.* begins once a is over(.|\n)*a choice is else: a"
    ) as raised:
        flow(*steps)
    assert raised.value.message.count("error[") == 1


@pytest.mark.parametrize(
    "steps",
    [
        (step("a", "emit: AskA"), step("b"), step("c", "after: {any: [a, b]}", "emit: AskC", "excludes: a")),
        (step("a", "emit: AskA", "reopens_on: Told1"), step("b", "after: a", ASK_B, "excludes: a")),
        (step("a", "emit: AskA"), step("b", "after: a"), step("c", "after: b", "emit: AskC", "excludes: a")),
        (
            step("a", "emit: AskA"),
            step("b", "after: a", ASK_B, "skips_on: Told1"),
            step("c", "after: b", "emit: AskC", "excludes: a"),
        ),
    ],
    ids=range(4),
)
def test_what_may_still_be_under_way_is_excluded(steps: tuple[str, ...]) -> None:
    """One of several, what is reopened, and what comes before a step that may be settled before its turn."""
    flow(*steps)


def test_a_step_waits_for_what_it_excludes_where_that_is_under_way_out_of_turn() -> None:
    """The step between them was done early or was skipped by an event; what is reopened excludes, too."""
    last = step("c", "after: b", "emit: AskC", "excludes: a")
    between = step("b", "after: a")
    story = Story(flow(step("a", "emit: AskA"), between, last)).when("Started").then("AskA")
    story.when("BDone").then().when("ADone").then("AskC")
    taken_out = step("b", "after: a", ASK_B, "skips_on: Told1")
    story = Story(flow(step("a", "emit: AskA"), taken_out, last)).when("Started").then("AskA")
    story.when("Told1").then().when("ADone").then("AskC")
    spec = flow(step("a", "emit: AskA", "reopens_on: Told1"), step("b", "after: a", ASK_B, "excludes: a"))
    story = Story(spec).when("Started", "ADone").then("AskA", "AskB").when("Told1").then().when("BDone").then("AskA")


def test_a_deployed_spec_is_followed_on() -> None:
    """What was sound to the release that deployed it stops no instance."""
    text = source(step("a", "emit: AskA"), step("b", "after: a", ASK_B, "excludes: a"))
    spec, problems = examine_again(text, "flow.yaml", CATALOGUE, NOBODY, NO_SHARED)
    assert spec is not None
    assert problems.found == []


def test_a_failure_undoes_those_that_were_done() -> None:
    """What has not begun for want of its turn never begins."""
    spec = flow(step("a", "emit: AskA"), step("b", "emit: AskB"), step("c", "emit: AskC", "excludes: [a, b]"))
    story = Story(spec).when("Started", "ADone", "BFailed").then("AskA", "AskB", "UndoA").when("AUndone")
    story.then().stands("compensated")


def test_while_another_has_not_begun_a_step_waits() -> None:
    """It begins with the other, and goes on when that has ended."""
    spec = flow(step("a"), step("b", "after: a", "emit: AskB"), step("c", "while: b", "emit: AskC"))
    story = Story(spec).when("Started").then().when("ADone").then("AskB", "AskC").when("BDone")
    story.stands("waiting", "CDone").when("CDone").stands("completed")


def test_a_step_is_not_surely_done_that_begins_only_while_another_is_under_way() -> None:
    """What comes after it can't count on its fields."""
    after = "{name: c, after: b, emit: {event: Told, with: {m: steps.b.n}}, completes_on: CDone, compensate: none}"
    with pytest.raises(SpecError, match="may-be-missing"):
        flow(step("a"), step("b", "while: a", "emit: AskB"), after)


def test_the_promises_hold_around_them() -> None:
    """Explored with failures, cancellations and duplicates, no promise is broken."""
    for spec in (
        flow(step("a", "emit: AskA", "excludes: b"), step("b", "emit: AskB")),
        flow(step("a", "emit: AskA"), step("b", "while: a", "emit: AskB")),
    ):
        found = explore(spec, None, Bounds(states=2000))
        assert (found.counterexample, found.bound) == (None, None)
        assert {"completed", "compensated", "cancelled"} <= found.ends.keys()


BAD = [
    ((step("a", "emit: AskA", "excludes: d"), step("b")), "there is no other step d"),
    ((step("a", "emit: AskA", "excludes: a"), step("b")), "there is no other step a"),
    ((step("a", "emit: AskA", "while: a"), step("b")), "there is no other step a"),
    ((step("a", "excludes: b"), step("b", "emit: AskB")), "step a has no emit, so nothing can be put off"),
    ((step("a", "emit: AskA", "excludes: b"), step("b")), "step b has no emit, so nothing can be put off"),
    ((step("a"), step("b", "while: a")), "step b has no emit, so nothing can be put off"),
    ((step("a"), step("b", "after: a", "while: a", "emit: AskB")), "step b comes after a, which is over by then"),
    (
        (step("a", "emit: AskA", "excludes: b"), step("b", "while: a", "emit: AskB")),
        "step b excludes a, and begins only while that is under way",
    ),
    ((step("a", "after: b"), step("b", "while: a", "emit: AskB")), "these steps wait for each other: b while a"),
    (
        (step("a", "while: b", "emit: AskA"), step("b", "while: a", "emit: AskB")),
        "these steps wait for each other: a while b",
    ),
]


@pytest.mark.parametrize(("steps", "says"), BAD, ids=[says[:40] for _, says in BAD])
def test_what_can_never_begin_is_a_mistake(steps: tuple[str, ...], says: str) -> None:
    """Unknown steps, steps that nobody asks for, and waits that nothing ends are said when the spec is read."""
    with pytest.raises(SpecError, match=says):
        flow(*steps)
