"""Time in specs: steps that begin later, and limits that are points in time of an event."""

import pytest

from choreo.errors import SpecError
from choreo.saga.decision import Skip
from tests.saga.flow import flow, step
from tests.saga.story import Story

ONE, TWO = "1970-01-01T01:00:00Z", "1970-01-01T02:00:00Z"


def test_a_step_begins_later() -> None:
    """`not_before` puts the request off, counted from the step's turn; its `within` counts from the request."""
    story = Story(flow(step("a"), step("b", "after: a", "emit: AskB", "not_before: 2h", "within: 1h"))).when("Started")
    story.after("3h").when("ADone").then().stands("waiting").after("119m").then().after("1m").then("AskB")
    story.stands("waiting", "BDone").after("1h").then("UndoB")


def test_a_step_begins_at_a_time_that_an_event_names() -> None:
    """A field of the start event, or of a step before; a time that has passed is now."""
    for named in ("saga.at", "steps.a.at"):
        spec = flow(step("a"), step("b", "after: a", "emit: AskB", f"not_before: {named}"))
        Story(spec).when("Started", at=ONE).when("ADone", at=ONE).then().after("59m").then().after("1m").then("AskB")
        Story(spec).when("Started", at=ONE).after("90m").when("ADone", at=ONE).then("AskB")


def test_what_is_put_off_has_not_happened() -> None:
    """A failure meanwhile ends it without an undo, and its timer asks for nothing any more; done early is done."""
    held = flow(step("a"), step("b", "emit: AskB", "not_before: 2h"))
    Story(held).when("Started", "AFailed").then().stands("compensated").after("9h").then()
    Story(held).when("Started", "BDone", "ADone").then().stands("completed").after("9h").then()
    Story(held).when("Started").tells("waiting: a waits for ADone, b begins later")


def test_a_deadline_comes_before_a_late_begin() -> None:
    """A step that may not begin before its deadline fails at the deadline."""
    spec = flow(step("a", "emit: AskA", "not_before: 2h", "deadline: 1h"))
    Story(spec).when("Started").after("1h").then().stands("compensated").after("9h").then()


def test_an_event_says_how_long() -> None:
    """`within` and `deadline` take a point in time from an event; the earlier one counts."""
    spec = flow(step("a"), step("b", "after: a", "within: steps.a.at", "deadline: saga.at"))
    Story(spec).when("Started", at=TWO).when("ADone", at=ONE).after("1h").then("UndoB")
    Story(spec).when("Started", at=ONE).when("ADone", at=TWO).after("1h").then("UndoB")
    unbegun = Story(spec).when("Started", at=ONE).after("1h").then("UndoA")
    unbegun.tells("compensating: b timed out, a is being undone (waits for AUndone)")


def test_an_event_says_when_all_steps_must_be_done() -> None:
    """The saga's own `deadline` may be a field of the start event; a step that has one of its own goes by that."""
    spec = flow(step("a"), step("b", "after: a"), deadline="saga.at")
    story = Story(spec).when("Started", at=ONE).after("59m").then().after("1m").then("UndoA")
    story.tells("compensating: a timed out, a is being undone (waits for AUndone)")
    Story(flow(step("c", "deadline: 3h"), deadline="saga.at")).when("Started", at=ONE).after("2h").then()
    with pytest.raises(SpecError, match=r"flow.yaml:8:11: error\[wrong-type\]: a point in time is wanted"):
        flow(step("a"), step("b"), deadline="saga.n")


def test_a_time_that_cannot_be_worked_out_fails_the_step() -> None:
    """An event without the field: the step fails when its turn comes, and says why."""
    spec = flow(step("a", "emit: AskA", "deadline: saga.at"))
    story = Story(spec).when("Started").then().stands("compensated")
    assert story.instance is not None
    assert story.instance.steps["a"].problem.startswith("saga.at: ")


MISTAKES = [
    ("emit: AskA, not_before: saga.n", "a point in time is wanted, this gives an int"),
    ("deadline: steps.b.at", "reads step b, but does not come after it"),
    ("within: saga.when", "there is no saga.when here"),
    ("not_before: soon, emit: AskA", "not_before: 'soon' is not a duration"),
    ("not_before: 1h", "step a has no emit, so nothing can be put off"),
]


@pytest.mark.parametrize(("written", "said"), MISTAKES)
def test_a_mistake_is_said_where_it_stands(written: str, said: str) -> None:
    """Times that are none, or of steps that do not come before."""
    with pytest.raises(SpecError, match=r"flow\.yaml:9:") as raised:
        flow(step("a", written), step("b"))
    assert said in str(raised.value)


def test_waits_between_requests_grow() -> None:
    """backoff: each wait is so many times as long as the one before, up to the longest."""
    retry = "on_timeout: {retry: {attempts: 5, wait: 10s, backoff: 3, longest: 1m}}"
    story = Story(flow(step("a", "emit: AskA", "within: 1s", retry))).when("Started").then("AskA")
    for wait in (10, 30, 60, 60):
        story.after(f"{wait}s").then().after("1s").then("AskA")


def test_waits_between_undos_grow() -> None:
    """The same for an undo that fails, without a bound where none is named."""
    undo = "{emit: UndoA, done_on: AUndone, fails_on: Told1, attempts: 4, wait: 10s, backoff: 2}"
    spec = flow(f"{{name: a, completes_on: ADone, compensate: {undo}}}", step("b"))
    story = Story(spec).when("Started", "ADone", "Cancelled").then("UndoA", "UndoB")
    for wait in (10, 20, 40):
        story.when("Told1").after(f"{wait - 1}s").then().after("1s").then("UndoA")


def test_a_deadline_ends_the_wait_before_the_next_request() -> None:
    """Where it passes meanwhile, nothing is asked for any more."""
    slow = ("emit: AskA", "within: 1h", "deadline: 90m", "on_timeout: {retry: {attempts: 3, wait: 1h}}")
    story = Story(flow(step("a", *slow), step("b", undone=False))).when("Started").after("1h").then("AskA")
    assert story.instance is not None
    assert story.instance.steps["a"].resting
    story.after("1h").then("UndoA").tells("compensating: a timed out, a is being undone (waits for AUndone)").stands(
        "compensating", "AUndone"
    )


def test_the_deadline_of_a_step_that_is_skipped_or_in_parts_sets_no_timer() -> None:
    """Each item has its own."""
    never = step("b", "when: saga.n > 0", "deadline: 1h")
    other = step("c", "else: b", "deadline: 1h")
    story = Story(flow(step("a"), never, other, step("d", "after: b", "else: c", "deadline: 1h")))
    story.when("Started", n=0)
    assert story.timers.keys() == {"c"}
    each = step("a", "for_each: saga.items", "item_key: item", "emit: AskA", "deadline: 1h")
    parts = Story(flow(each)).when("Started", items=["x", "y"])
    assert parts.timers.keys() == {"a[x]", "a[y]"}
    parts.orders(Skip("a"))
    assert parts.timers.keys() == {"a[x]", "a[y]"}, "what may be happening is waited for"
    later = step("a", "after: b", "for_each: saga.items", "item_key: item", "emit: AskA", "deadline: 1h")
    idle = Story(flow(step("b"), later)).when("Started", items=["x"]).orders(Skip("a"))
    assert not {"a", "a[x]"} & idle.timers.keys()
    useless = Story(flow(step("b"), later)).when("Started", items=["x", "x"])
    assert "a" not in useless.timers


def test_a_step_begins_at_once_where_its_time_is_now() -> None:
    """Not before it, but then."""
    Story(flow(step("a", "emit: AskA", "not_before: saga.at"))).when("Started", at="1970-01-01T00:00:00Z").then("AskA")


def test_what_a_step_makes_possible_begins_wherever_it_stands_in_the_file() -> None:
    """A skipped one counts, and the failure of one that can't be asked for is a failure of the saga."""
    story = Story(flow(step("b", "after: a", "emit: AskB"), step("a", "when: saga.n > 0"))).when("Started", n=0)
    story.then("AskB")
    choice = (step("d", "after: c", "emit: AskD"), step("c", "after: a", "else: b"), step("b", "after: a"), step("a"))
    Story(flow(*choice)).when("Started", "ADone").then("AskD")
    told = "emit: {event: Told, with: {m: 1 / saga.n}}"
    senseless = Story(flow(step("b", told), step("a", undone=False))).when("Started", n=0).then()
    senseless.stands("compensated")
    assert senseless.instance is not None
    assert senseless.instance.steps["b"].attempt == 0
