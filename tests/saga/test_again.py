"""Steps that are done again: taken back by an event, or repeated until a condition holds."""

import pytest

from choreo.errors import SpecError
from choreo.saga.rules import Spec
from tests.saga.flow import flow, step
from tests.saga.story import Story

REOPENS = step("a", "emit: AskA", "reopens_on: Told1")
REPEATS = step("a", "emit: AskA", "repeat: {until: steps.a.n >= 3, at_most: 4}")


def test_a_step_that_was_taken_back_must_be_done_again() -> None:
    """It is asked for anew, under an id of its own, and what comes after it waits."""
    story = Story(flow(REOPENS, step("b"), step("c", "after: [a, b]"))).when("Started").then("AskA")
    story.when("ADone").stands("waiting", "BDone").when("Told1").then("AskA").stands("waiting", "ADone", "BDone")
    first, second = story.emits
    assert first.request_id != second.request_id
    story.when("BDone").stands("waiting", "ADone").when("ADone").stands("waiting", "CDone")


def test_what_is_not_done_cannot_be_taken_back() -> None:
    """A step that still waits goes on waiting."""
    Story(flow(REOPENS)).when("Started").then("AskA").when("Told1").then().stands("waiting", "ADone")


def test_a_complete_saga_goes_on() -> None:
    """Where a step is taken back after the end, the saga is not complete any more, until it is done again."""
    story = Story(flow(REOPENS, keep_ended="1h")).when("Started", "ADone").stands("completed").when("Told1")
    story.stands("waiting", "ADone").after("2h").when("ADone").stands("completed").after("1h")
    assert story.instance is not None
    assert story.instance.forgotten


def test_what_was_taken_back_needs_no_undo() -> None:
    """While everything is undone, taking a step back is its undo, asked for or not."""
    chain = flow(REOPENS, step("b", "after: a"), step("c", "after: b"))
    story = Story(chain).when("Started", "ADone", "BDone", "CFailed").then("AskA", "UndoB")
    story.when("Told1").when("BUndone").then().stands("compensated")
    story = Story(flow(REOPENS, step("b", "after: a"))).when("Started", "ADone", "BFailed").then("AskA", "UndoA")
    story.when("Told1").stands("compensated").tells("compensated: b failed (BFailed), a undone (Told1)")


def test_a_reopened_pivot_leads_only_forward() -> None:
    """What has gone beyond the pivot once can't be cancelled any more."""
    spec = flow(step("a", "pivot: true", "reopens_on: Told1"), step("b", "after: a"))
    Story(spec).when("Started", "ADone", "Told1").when("Cancelled").then("Refused")


def test_a_step_is_repeated_until_its_condition_holds() -> None:
    """Each time it is asked for anew; what comes after begins when the condition holds."""
    story = Story(flow(REPEATS, step("b", "after: a", "emit: AskB"))).when("Started").then("AskA")
    story.when("ADone", n=1).then("AskA").when("ADone", n=2).then("AskA").when("ADone", n=3).then("AskB")
    assert len({emit.request_id for emit in story.emits}) == 4


def test_what_is_repeated_in_vain_has_failed() -> None:
    """After so many times the saga fails; the step happened, so it is undone."""
    story = Story(flow(REPEATS)).when("Started")
    for _ in range(4):
        story.when("ADone", n=0)
    story.then("AskA", "AskA", "AskA", "AskA", "UndoA").when("AUndone").stands("compensated")


AGAIN_HELD = step("a", "emit: AskA", "not_before: 1h", "repeat: {until: steps.a.n >= 3, at_most: 4}")
AGAIN_OR_NOT = step("a", "emit: AskA", "skips_on: Told1", "repeat: {until: steps.a.n >= 3, at_most: 4}")


@pytest.mark.parametrize(
    ("spec", "events"),
    [
        (flow(REPEATS), ("AFailed",)),
        (flow(REPEATS), ("Cancelled",)),
        (flow(AGAIN_HELD), ("Cancelled",)),
        (flow(AGAIN_OR_NOT, step("b", "after: a")), ("Told1", "BFailed")),
    ],
    ids=["fails", "is cancelled", "had not begun", "is skipped"],
)
def test_what_happened_is_undone_whatever_becomes_of_its_repetition(spec: Spec, events: tuple[str, ...]) -> None:
    """The step has happened, though not well enough: where its next run comes to nothing, that is undone, once."""
    story = Story(spec).when("Started").after("1h").when("ADone", n=1).when(*events)
    story.stands("compensating", "AUndone").when("AFailed").stands("compensating", "AUndone").when("AUndone")
    assert story.state("a") == "compensated"
    assert [emit.event for emit in story.emits if emit.kind == "undo"] == ["flow.UndoA"]


def test_a_condition_that_cannot_be_worked_out_ends_the_repetition() -> None:
    """An error of the condition is a failure at once: repeating would not mend it."""
    spec = flow(step("a", "emit: AskA", "repeat: {until: 1 / steps.a.n > 0, at_most: 4}"))
    Story(spec).when("Started").when("ADone", n=0).then("AskA", "UndoA")


def test_a_step_is_taken_out() -> None:
    """Waiting, asked for or yet to come: after the event it is skipped, and what comes after it goes on."""
    spec = flow(
        step("a", "emit: AskA", "skips_on: Told1"), step("b", "after: a", "skips_on: Told1"), step("c", "after: b")
    )
    story = Story(spec).when("Started").then("AskA").when("Told1").then().stands("waiting", "CDone")
    story.when("CDone").stands("completed")


@pytest.mark.parametrize("on_timeout", ["escalate", "{retry: {attempts: 3, wait: 10m}}"])
def test_a_step_is_taken_out_after_its_time_too(on_timeout: str) -> None:
    """Overdue, or resting before the next request: nothing is asked for any more."""
    late = step("a", "emit: AskA", "skips_on: Told1", "within: 1h", f"on_timeout: {on_timeout}")
    story = Story(flow(late)).when("Started").after("1h").when("Told1").stands("completed").after("9h").then("AskA")
    assert story.state("a") == "skipped"


def test_what_was_taken_out_and_happens_is_done() -> None:
    """A late success counts, and is undone with the rest; what is done already can't be taken out."""
    spec = flow(step("a", "emit: AskA", "skips_on: Told1"), step("b", "after: a"))
    Story(spec).when("Started", "Told1", "ADone", "BFailed").then("AskA", "UndoA")
    Story(spec).when("Started", "ADone", "Told1", "BFailed").then("AskA", "UndoA")


def test_what_was_taken_out_is_not_repeated() -> None:
    """Where it happens after all, it counts as it is: it is not asked for again, and a complete saga stays so."""
    story = Story(flow(AGAIN_OR_NOT, step("b"))).when("Started", "Told1", "BDone").then("AskA").stands("completed")
    story.when("ADone", n=1).then().stands("completed")
    assert story.state("a") == "done"


MISTAKES = [
    ("skips_on: ADone", "flow.ADone means two things to step a"),
    ("repeat: {until: steps.a.n, at_most: 2}", "a condition is true or false"),
    ("repeat: {until: steps.b.n > 1, at_most: 2}", "reads step b, but does not come after it"),
    ("repeat: {until: true}", "repeat has no at_most"),
    ("repeat: often", "repeat takes a table"),
    ("reopens_on: ADone", "flow.ADone means two things to step a"),
    ("reopens_on: Later", "there is no event flow.Later"),
]


@pytest.mark.parametrize(("written", "said"), MISTAKES)
def test_a_mistake_is_said_where_it_stands(written: str, said: str) -> None:
    """Each part of `repeat` and `reopens_on` that is missing or wrong."""
    with pytest.raises(SpecError, match=r"flow\.yaml:9:") as raised:
        flow(step("a", written), step("b"))
    assert said in str(raised.value)


def test_what_was_repeated_and_then_taken_back_needs_no_undo() -> None:
    """Taking it back is the undo of all its runs."""
    both = step("a", "emit: AskA", "repeat: {until: steps.a.n >= 3, at_most: 4}", "reopens_on: Told1")
    story = Story(flow(both)).when("Started").when("ADone", n=1).when("ADone", n=3).stands("completed")
    story.after("1s").when("Told1").then(*["AskA"] * 3).when("AFailed").then().stands("compensated")
