"""tell: events that say where a saga or a step stands."""

import pytest

from choreo.errors import SpecError
from tests.saga.flow import flow, step
from tests.saga.story import Story

ALL = "{started: Told1, completed: Told2, compensated: Told3, cancelled: Told4, stuck: Told5}"
STEP = "tell: {done: Told1, failed: Told2, unknown: Told3, skipped: Told4, overdue: Told5, undone: Told6}"


def test_others_are_told_where_the_saga_stands() -> None:
    """Start and each way to end have an event of their own, emitted once, with the change itself."""
    spec = flow(step("a"), tell=ALL)
    Story(spec).when("Started").then("Told1").when("ADone").then("Told2")
    Story(spec).when("Started").then("Told1").when("AFailed").then("Told3")
    Story(spec).when("Started", "ADone").then("Told1", "Told2")
    late = Story(flow(step("a"), step("b"), tell=ALL)).when("Started", "ADone", "Cancelled")
    late.then("Told1", "UndoA", "UndoB").when("AUndone").then().when("BUndone").then("Told4")


def test_a_saga_that_is_stuck_says_so() -> None:
    """When an undo has been asked for as often as it may, others are told; when it ends after all, too."""
    undo = "{name: a, completes_on: ADone, compensate: {emit: UndoA, done_on: AUndone, fails_on: AFailed, attempts: 1}}"
    story = Story(flow(undo, step("b"), tell=ALL)).when("Started", "ADone", "BFailed").then("Told1", "UndoA")
    story.when("AFailed").then("Told5").stands("stuck", "AUndone").when("AUndone").then("Told3")


def test_others_are_told_what_became_of_a_step() -> None:
    """Done, failed, unknown, skipped, overdue and undone are told where they happen."""
    spec = flow(step("a", STEP), step("b"))
    Story(spec).when("Started").then().when("ADone").then("Told1").when("BFailed").then("UndoA").when("AUndone").then(
        "Told6"
    )
    Story(spec).when("Started", "AFailed").then("Told2", "UndoB")
    Story(spec).when("Started", "BFailed").then("Told3", "UndoA")
    Story(flow(step("a", STEP, "when: saga.n > 0"))).when("Started", n=0).then("Told4")
    slow = Story(flow(step("a", STEP, "within: 1h", "on_timeout: escalate"))).when("Started")
    slow.after("1h").then("Told5")
    assert slow.emits[0].step == "a"
    slow.when("ADone").then("Told1").stands("completed")


def test_what_is_told_is_filled_like_any_event() -> None:
    """Fields come from the saga, and from steps that are certainly done by then: this step, or all at the end."""
    mapped = "{event: Told, with: {m: steps.a.n}}"
    story = Story(flow(step("a", f"tell: {{done: {mapped}}}"), tell=f"{{completed: {mapped}}}"))
    story.when("Started", n=0).when("ADone", n=7).then("Told", "Told")
    assert [dict(emit.fields) for emit in story.emits] == [{"case": "o1", "m": 7, "n": 0}] * 2
    assert len({emit.request_id for emit in story.emits}) == 2
    with pytest.raises(SpecError, match="has none where that step did not surely happen"):
        flow(step("a"), tell=f"{{stuck: {mapped}}}")


def test_what_cannot_be_worked_out_goes_untold() -> None:
    """A mapping that fails when it is needed stops nothing; the lifecycle says what was not told."""
    spec = flow(step("a"), tell="{started: {event: Told, with: {m: 1 / saga.n}}}")
    story = Story(spec).when("Started", n=0).then().stands("waiting", "ADone")
    assert any("goes unsaid" in change for change in story.last.changes)


@pytest.mark.parametrize("tell", ["Told1", "{finished: Told1}", "{started: Tolled}", "{started: [Told1]}"])
def test_a_wrong_telling_is_a_mistake(tell: str) -> None:
    """A table of known moments and known events, nothing else."""
    with pytest.raises(SpecError, match=r"flow\.yaml:[678]:"):
        flow(step("a"), tell=tell)
