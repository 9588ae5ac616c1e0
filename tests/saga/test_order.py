"""The order of steps: all, any or some of those before, and the ways of a choice."""

import pytest

from choreo.errors import SpecError
from tests.saga.flow import flow, step
from tests.saga.story import Story

WAYS = (step("a", "when: saga.n > 10"), step("b", "else: a", "when: saga.n > 5"), step("c", "else: [a, b]"))


def test_one_of_several_is_enough() -> None:
    """After `any`, the step begins with the first that is done; the others go on, and the saga waits for them."""
    spec = flow(step("a"), step("b"), step("c", "after: {any: [a, b]}", "emit: AskC"))
    story = Story(spec).when("Started").then()
    story.when("BDone").then("AskC").stands("waiting", "ADone", "CDone")
    story.when("CDone").then().stands("waiting", "ADone").when("ADone").then().stands("completed")


def test_some_of_several_are_enough() -> None:
    """After `at_least: 2`, the step begins with the second that is done, once."""
    spec = flow(step("a"), step("b"), step("c"), step("d", "after: {at_least: 2, of: [a, b, c]}", "emit: AskD"))
    story = Story(spec).when("Started").when("CDone").then().when("ADone").then("AskD")
    story.when("BDone").then().stands("waiting", "DDone").when("DDone").stands("completed")


@pytest.mark.parametrize(("n", "way"), [(11, "a"), (6, "b"), (1, "c")])
def test_exactly_one_way_is_taken(n: int, way: str) -> None:
    """Of `when`, `else` and `when`, `else`, one step runs; the others are skipped, and what comes after any goes on."""
    spec = flow(*WAYS, step("d", "after: {any: [a, b, c]}", "emit: AskD"))
    story = Story(spec).when("Started", n=n).stands("waiting", f"{way.upper()}Done")
    assert [name for name in "abc" if story.state(name) == "skipped"] == [name for name in "abc" if name != way]
    story.when(f"{way.upper()}Done").then("AskD").when("DDone").stands("completed")


@pytest.mark.parametrize(("n", "asked"), [(9, ["AskB"]), (1, ["AskC"])])
def test_a_way_may_have_several_steps(n: int, asked: list[str]) -> None:
    """After `any` of one step, the next of its way is skipped with it; after the step alone, it would begin."""
    first, other = step("a", "when: saga.n > 5"), step("c", "else: a", "emit: AskC")
    story = Story(flow(first, step("b", "after: {any: a}", "emit: AskB"), other)).when("Started", n=n)
    story.when("ADone" if n > 5 else "CDone").then(*asked)
    assert story.state("b") == ("requested" if n > 5 else "skipped")
    Story(flow(first, step("b", "after: a", "emit: AskB"), other)).when("Started", n=1).then("AskB", "AskC")


def test_the_other_way_waits_for_the_choice() -> None:
    """`else` of a step whose turn has not come yet is not decided yet."""
    spec = flow(step("a"), step("b", "after: a", "when: steps.a.n > 0"), step("c", "else: b", "emit: AskC"))
    story = Story(spec).when("Started").then().stands("waiting", "ADone")
    story.when("ADone", n=0).then("AskC").stands("waiting", "CDone")
    assert story.state("b") == "skipped"


def test_what_too_few_can_come_before_is_skipped() -> None:
    """Where all ways to a step were skipped, it is skipped too, and so on; the saga ends."""
    spec = flow(
        step("a", "when: saga.n > 5"),
        step("b", "when: saga.n > 6"),
        step("c", "after: {any: [a, b]}"),
        step("d", "after: c"),
    )
    story = Story(spec).when("Started", n=1).stands("waiting", "DDone")
    assert [story.state(name) for name in "abcd"] == ["skipped", "skipped", "skipped", "waiting"]
    story.when("DDone").stands("completed")


def test_a_failure_undoes_in_the_reversed_order_of_any() -> None:
    """A step after any of two comes after both: it is undone before either."""
    spec = flow(step("a"), step("b"), step("c", "after: {any: [a, b]}"), step("d", "after: c"))
    story = (
        Story(spec).when("Started", "ADone", "CDone", "DFailed").then("UndoC").when("CUndone").then("UndoA", "UndoB")
    )
    story.when("AUndone", "BUndone").stands("compensated")


def test_where_one_of_two_fails_the_saga_fails() -> None:
    """`any` says when the next begins; a step that fails is a failure of the saga all the same."""
    spec = flow(step("a"), step("b"), step("c", "after: {any: [a, b]}"))
    Story(spec).when("Started", "ADone", "BFailed").then("UndoC").when("CUndone").then("UndoA")


MISTAKES = [
    ((step("a", "after: {any: []}"),), "wrong-shape: this does not say which steps come before"),
    ((step("a"), step("b", "after: {of: [a], any: a}")), "wrong-shape: this does not say which steps come before"),
    ((step("a"), step("b", "after: {at_least: 2, of: a}")), "never-enough: at least 2 of 1 steps can never be done"),
    ((step("a"), step("b", "after: {at_least: 0, of: a}")), "at_least takes a whole number of at least 1, not 0"),
    ((step("a"), step("b", "after: {every: a}")), "unknown-key: after has no key every"),
    ((step("a", "else: b"), step("b", "else: a")), "cycle: these steps wait for each other: a after b after a"),
    ((step("a", "else: z"),), "unknown-step: there is no step z"),
]


@pytest.mark.parametrize(("steps", "said"), MISTAKES)
def test_a_wrong_order_is_said(steps: tuple[str, ...], said: str) -> None:
    """What can't be an order says why, where it stands."""
    with pytest.raises(SpecError, match=r"flow.yaml:(9|10):") as raised:
        flow(*steps)
    assert said.split(": ", 1)[-1] in str(raised.value)


def test_a_field_of_one_of_two_is_not_certain() -> None:
    """A required field is taken from a step that is certainly done by then: not from one of `any`, nor one way."""
    tell = "emit: {event: Told, with: {m: steps.a.n}}"
    flow(step("a"), step("b", "after: a"), step("d", "after: a"), step("c", "after: {any: [b, d]}", tell))
    for steps in (
        (step("a"), step("b"), step("c", "after: {any: [a, b]}", tell)),
        (step("b", "when: saga.n > 1"), step("a", "else: b"), step("c", "after: [a, b]", tell)),
    ):
        with pytest.raises(SpecError, match="Told") as raised:
            flow(*steps)
        assert "steps.a.n" in str(raised.value)
