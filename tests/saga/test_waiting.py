"""While a step waits: reminders, and questions before it counts as unknown."""

import pytest

from choreo.errors import SpecError
from tests.saga.flow import flow, step
from tests.saga.story import Story

ASKS = step("a", "within: 1h", "on_timeout: {ask: {emit: Told1, within: 10m, attempts: 2}}", "unknown_on: BDone")
REMINDS = step("a", "remind: {emit: Told1, every: 1d, at_most: 2}")


def test_a_silent_step_is_asked_about_before_it_is_undone() -> None:
    """When its time runs out a question is emitted, and again; only then the step counts as unknown and is undone."""
    story = Story(flow(ASKS)).when("Started").after("1h").then("Told1").stands("waiting", "ADone")
    story.after("10m").then("Told1").stands("waiting", "ADone").after("10m").then("UndoA")
    assert len({emit.request_id for emit in story.emits}) == 3


@pytest.mark.parametrize(("answer", "status"), [("ADone", "completed"), ("AFailed", "compensated")])
def test_the_answer_to_a_question_ends_the_step(answer: str, status: str) -> None:
    """Any event that ends the step is the answer, and nothing more is asked."""
    story = Story(flow(ASKS)).when("Started").after("1h").then("Told1")
    story.when(answer).stands(status).after("1d").then()


def test_a_service_that_does_not_know_is_asked() -> None:
    """`unknown_on` leads to the same questions; said again while they last, it is the next question."""
    story = Story(flow(ASKS)).when("Started").when("BDone").then("Told1").stands("waiting", "ADone")
    story.when("BDone").then("Told1").when("BDone").then("UndoA")


def test_a_service_that_does_not_know_ends_the_rest_before_the_next_request() -> None:
    """`unknown_on` while a step rests between two requests: nothing more is waited for, and nothing is asked again."""
    keys = (
        "after: b",
        "emit: AskA",
        "within: 1m",
        "on_timeout: {retry: {attempts: 3, wait: 10s}}",
        "unknown_on: Told1",
    )
    spec = flow(step("b", "pivot: true"), step("a", *keys))
    story = Story(spec).when("Started", "BDone").then("AskA").after("1m").then()
    assert story.instance is not None
    assert story.instance.steps["a"].resting
    story.when("Told1").stands("stuck", "ADone")
    assert (story.instance.steps["a"].resting, story.instance.steps["a"].due) == (False, None)
    story.after("1d").then()


def test_a_deadline_ends_the_questions() -> None:
    """Nothing is asked beyond the step's deadline."""
    asks = step("a", "within: 1h", "deadline: 65m", "on_timeout: {ask: {emit: Told1, within: 10m, attempts: 9}}")
    Story(flow(asks)).when("Started").after("1h").then("Told1").after("5m").then("UndoA")


def test_a_cancelled_saga_asks_no_more() -> None:
    """While a question is open, a cancellation undoes the step at once."""
    Story(flow(ASKS)).when("Started").after("1h").then("Told1").when("Cancelled").then("UndoA").after("1d").then()


def test_whoever_waits_is_reminded() -> None:
    """A reminder comes after each `every`, so many times, and none when the step is over."""
    story = Story(flow(REMINDS)).when("Started").after("1d").then("Told1").after("1d").then("Told1").after("9d").then()
    story.stands("waiting", "ADone").when("ADone").stands("completed")
    Story(flow(REMINDS)).when("Started", "ADone").after("9d").then()
    Story(flow(REMINDS)).when("Started", "AFailed").after("9d").then()


def test_reminders_and_time_limits_do_not_disturb_one_another() -> None:
    """A step has two timers: what it waits at most, and the next reminder."""
    both = step("a", "within: 36h", "remind: {emit: Told1, every: 1d}")
    story = Story(flow(both)).when("Started").after("1d").then("Told1").after("12h").then("UndoA")
    story.after("9d").then()


MISTAKES = [
    ("on_timeout: {ask: {within: 1m}}", "ask has no emit"),
    ("on_timeout: {ask: {emit: Told1}}", "ask has no within"),
    ("on_timeout: {ask: {emit: Told1, within: none}}", "within takes a time that passes"),
    ("on_timeout: {ask: {emit: Told9, within: 1m}}", "there is no event flow.Told9"),
    ("on_timeout: {ask: {emit: Told1, within: 1m}, retry: {}}", "this is no answer to a timeout"),
    ("remind: Told1", "remind takes a table"),
    ("remind: {emit: Told1, every: 0s}", "every takes a time that passes"),
    ("remind: {emit: Told1}", "remind has no every"),
    ("remind: {emit: Told, every: 1d}", "nothing fills flow.Told.m"),
]


@pytest.mark.parametrize(("written", "said"), MISTAKES)
def test_a_mistake_is_said_where_it_stands(written: str, said: str) -> None:
    """Each part of `ask` and `remind` that is missing or wrong."""
    with pytest.raises(SpecError, match=r"flow\.yaml:9:") as raised:
        flow(step("a", written))
    assert said in str(raised.value)
