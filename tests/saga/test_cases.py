"""What the guides of Eventuate Tram, MassTransit, Seata and Conductor show that a saga must do, with nameless steps.

docs/cases.md is the table of these tests, and of what can't be said here.
"""

import re
from pathlib import Path

from tests.saga.flow import flow, step
from tests.saga.story import Story

DOCS = Path(__file__).parents[2] / "docs"
TESTS = Path(__file__).parents[1]


def test_every_case_has_a_test() -> None:
    """Each test that the page names is there, and each test of this file is on the page."""
    page = (DOCS / "cases.md").read_text(encoding="utf-8")
    named = re.findall(r"`(?:([\w/]+\.py)::)?(test_\w+)`", page)
    for file, test in named:
        path = TESTS / file if file else Path(__file__)
        assert f"def {test}(" in path.read_text(encoding="utf-8"), (file, test)
    here = re.findall(r"^def (test_\w+)\(", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(here) - {test for _, test in named} == {"test_every_case_has_a_test"}


# -- Eventuate Tram ----------------------------------------------------------------------------------------------------


def test_a_reply_of_the_wrong_kind_undoes_what_was_done_before() -> None:
    """Create order: reserve credit, and where it is refused reject the order."""
    spec = flow(step("a", "emit: AskA"), step("b", "after: a", "emit: AskB"), tell="{compensated: Told1}")
    story = Story(spec).when("Started", "ADone").then("AskA", "AskB").when("BFailed").then("UndoA")
    story.when("AUndone").then("Told1").stands("compensated")


def test_a_reply_hands_data_on() -> None:
    """What a participant replies is in the request to the next."""
    asks = "emit: {event: AskB, with: {n: steps.a.n + 1}}"
    story = Story(flow(step("a", "emit: AskA"), step("b", "after: a", asks))).when("Started").when("ADone", n=41)
    assert story.last.emits[0].fields["n"] == 42


def test_a_local_step_is_a_service_that_starts_by_itself() -> None:
    """The first step is the transaction whose event starts the saga; its undo is asked for like any other."""
    story = (
        Story(flow(step("a"), step("b", "after: a", "emit: AskB"))).when("Started").then().when("ADone").then("AskB")
    )
    story.when("BFailed").then("UndoA")


def test_a_semantic_lock_is_told_and_taken_back() -> None:
    """Others hear that the order is pending, and what became of it: started, completed or compensated."""
    spec = flow(step("a", "emit: AskA"), tell="{started: Told1, completed: Told2, compensated: Told3}")
    Story(spec).when("Started").then("Told1", "AskA").when("ADone").then("Told2")
    Story(spec).when("Started").then("Told1", "AskA").when("AFailed").then("Told3")


# -- MassTransit: routing slips and state machines ---------------------------------------------------------------------


def test_a_routing_slip_is_compensated_in_reverse() -> None:
    """Activities one after another; when one faults, those before are compensated, the last first."""
    steps = (step("a", "emit: AskA"), step("b", "after: a", "emit: AskB"), step("c", "after: b", "emit: AskC"))
    story = Story(flow(*steps)).when("Started", "ADone", "BDone").then("AskA", "AskB", "AskC")
    story.when("CFailed").then("UndoB").when("BUndone").then("UndoA").when("AUndone").stands("compensated")


def test_a_routing_slip_can_be_terminated_early() -> None:
    """An activity says that the rest need not be done: the saga is complete."""
    steps = (step("a", "emit: AskA"), step("b", "after: a", "emit: AskB", "skips_on: Told1"))
    Story(flow(*steps)).when("Started").then("AskA").when("Told1", "ADone").then().stands("completed")


def test_a_compensation_that_fails_is_told() -> None:
    """It is tried again after a while, then somebody must look: the saga is stuck and says so."""
    undo = "{emit: UndoA, done_on: AUndone, fails_on: Told2, attempts: 2, wait: 10s}"
    first = f"{{name: a, completes_on: ADone, compensate: {undo}}}"
    story = Story(flow(first, step("b", "after: a"), tell="{stuck: Told1}")).when("Started", "ADone", "BFailed")
    story.then("UndoA").when("Told2").after("10s").then("UndoA").when("Told2").then("Told1").stands("stuck", "AUndone")


def test_a_composite_event_is_there_when_all_its_parts_are() -> None:
    """In whatever order they come."""
    spec = flow(step("a"), step("b"), step("c", "after: [a, b]", "emit: AskC"))
    Story(spec).when("Started", "BDone").then().when("ADone").then("AskC")


def test_a_scheduled_message_is_sent_unless_it_is_called_off() -> None:
    """not_before puts a request off; an event that comes before takes the step out."""
    spec = flow(step("a", "emit: AskA", "not_before: 1h", "skips_on: Told1"), step("b"))
    Story(spec).when("Started").after("59m").then().after("1m").then("AskA")
    Story(spec).when("Started", "Told1").after("2h").then()


def test_an_event_that_comes_before_its_saga_is_kept() -> None:
    """Out of order is no fault of the sender."""
    story = Story(flow(step("a", "emit: AskA"), step("b", "after: a", "emit: AskB"))).when("ADone")
    assert story.last.keep
    story.when("Started").then("AskA", "AskB")


# -- Seata -------------------------------------------------------------------------------------------------------------


def test_forward_recovery_retries_and_then_waits_for_somebody() -> None:
    """Beyond the pivot nothing is undone: the request is made again, then the saga is stuck until the answer comes."""
    retry = "on_timeout: {retry: {attempts: 2}}"
    steps = (step("a", "pivot: true"), step("b", "after: a", "emit: AskB", "within: 1m", retry))
    story = Story(flow(*steps)).when("Started", "ADone").then("AskB").after("1m").then("AskB").after("1m").then()
    story.stands("stuck", "BDone").when("BDone").stands("completed")


def test_try_confirm_cancel() -> None:
    """All try; when all have, each is asked to confirm; when one can't, those that tried are cancelled."""
    tries = (step("a", "emit: AskA"), step("b", "emit: AskB"))
    confirms = [step(name, "after: [a, b]", f"emit: Ask{name.upper()}", "pivot: true", undone=False) for name in "cd"]
    story = Story(flow(*tries, *confirms)).when("Started").then("AskA", "AskB")
    story.when("BDone").then().when("ADone").then("AskC", "AskD").when("CDone", "DDone").stands("completed")
    story = Story(flow(*tries, *confirms)).when("Started", "ADone").then("AskA", "AskB").when("BFailed").then("UndoA")


def test_an_undo_may_come_to_who_has_done_nothing() -> None:
    """The empty rollback: a request that nobody answered is undone, for it may have happened."""
    spec = flow(step("a", "emit: AskA", "within: 1m"))
    Story(spec).when("Started").then("AskA").after("1m").then("UndoA").when("AUndone").stands("compensated")


def test_what_happens_after_its_undo_is_undone_again() -> None:
    """The hanging try: the answer comes after the undo was done, and asks for another."""
    story = Story(flow(step("a", "emit: AskA", "within: 1m"))).when("Started").after("1m").when("AUndone")
    story.then("AskA", "UndoA").after("1s").when("ADone").then("UndoA").stands("compensating", "AUndone")


def test_a_request_that_is_repeated_is_the_same_request() -> None:
    """By its request_id a service knows what it has done already."""
    spec = flow(step("a", "emit: AskA", "within: 1m", "on_timeout: {retry: {attempts: 3}}"))
    story = Story(spec).when("Started").after("2m").then("AskA", "AskA", "AskA")
    assert len({emit.request_id for emit in story.emits}) == 1


# -- Conductor ---------------------------------------------------------------------------------------------------------


def test_fork_and_join() -> None:
    """Branches of several steps side by side, and what waits for the ends of all."""
    steps = (step("a"), step("b", "after: a"), step("c"), step("d", "after: [b, c]", "emit: AskD"))
    Story(flow(*steps)).when("Started", "CDone", "ADone").then().when("BDone").then("AskD")


def test_a_dynamic_fork() -> None:
    """So many tasks as a list has items, each with its own input, and a join of all."""
    forked = step("a", "for_each: saga.items", "item_key: item", "emit: {event: AskA, with: {n: size(item)}}")
    story = Story(flow(forked, step("b", "after: a", "emit: AskB"))).when("Started", items=["x", "yy"])
    assert [emit.fields["n"] for emit in story.emits] == [1, 2]
    story.when("ADone", item="x").when("ADone", item="yy").then("AskA", "AskA", "AskB")


def test_a_switch() -> None:
    """One way of several by the saga's data, and one for whatever is left."""
    ways = (step("a", "when: saga.n == 1"), step("b", "else: a", "when: saga.n == 2"), step("c", "else: [a, b]"))
    for number, way in ((1, "a"), (2, "b"), (7, "c")):
        story = Story(flow(*ways)).when("Started", n=number)
        assert [name for name in "abc" if story.state(name) != "skipped"] == [way]


def test_do_while() -> None:
    """A task is done again until its output is as wanted, but not for ever."""
    spec = flow(step("a", "emit: AskA", "repeat: {until: steps.a.n > 2, at_most: 3}"))
    story = Story(spec).when("Started").when("ADone", n=1).when("ADone", n=2).then("AskA", "AskA", "AskA")
    story.when("ADone", n=3).stands("completed")


def test_a_task_that_may_fail() -> None:
    """An optional task: its failure takes it out, and the rest goes on."""
    optional = "{name: a, emit: AskA, completes_on: ADone, skips_on: AFailed, compensate: none}"
    Story(flow(optional, step("b", "after: a", "emit: AskB"))).when("Started", "AFailed").then("AskA", "AskB")


def test_a_timeout_that_only_alerts() -> None:
    """The step goes on waiting, and somebody is told."""
    spec = flow(step("a", "within: 1h", "on_timeout: escalate", "tell: {overdue: Told1}"))
    Story(spec).when("Started").after("1h").then("Told1").when("ADone").stands("completed")


def test_retries_with_a_growing_delay() -> None:
    """Exponential backoff, up to a longest delay."""
    retry = "on_timeout: {retry: {attempts: 4, wait: 10s, backoff: 2, longest: 20s}}"
    story = Story(flow(step("a", "emit: AskA", "within: 1s", retry))).when("Started").then("AskA")
    for wait in (10, 20, 20):
        story.after(f"{wait}s").then().after("1s").then("AskA")


def test_a_failure_workflow() -> None:
    """What is told at the end of a failed saga may start another."""
    spec = flow(step("a", "emit: AskA"), tell="{compensated: Told1}")
    Story(spec).when("Started", "AFailed").then("AskA", "Told1")
