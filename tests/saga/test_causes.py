"""decide: why a saga is undone, as its instance keeps it: what happened, at which step, by which event or word."""

from collections.abc import Callable

import pytest

from choreo.saga.decision import Cancel, Resolve, Skip
from choreo.saga.instance import Cause
from tests.saga.flow import flow, step
from tests.saga.story import Story

EACH = "for_each: saga.items, item_key: item"
REPEATS = "repeat: {until: steps.a.n > 5, at_most: 1}"
BACK = {"compensates_on": "Told6"}


def begun(*steps: str, events: str = "", **keys: str) -> Story:
    """A story of these steps that has started."""
    return Story(flow(*steps, **keys, **({"events": events} if events else {}))).when("Started", n=0, items=["x", "y"])


CAUSES: list[tuple[Callable[[], Story], Cause]] = [
    (lambda: begun(step("a")).when("AFailed"), Cause(kind="failed", step="a", by="flow.AFailed")),
    (lambda: begun(step("a", "within: 1h")).after("1h"), Cause(kind="timeout", step="a", by="timeout")),
    (lambda: begun(step("a", "deadline: 1h")).after("1h"), Cause(kind="timeout", step="a", by="deadline")),
    (
        lambda: begun(step("b"), step("a", "after: b", "deadline: 1h")).after("1h"),
        Cause(kind="timeout", step="a", by="deadline"),
    ),
    (lambda: begun(step("a", "unknown_on: Told1")).when("Told1"), Cause(kind="unknown", step="a", by="flow.Told1")),
    (
        lambda: begun(step("a", REPEATS)).when("ADone", n=1),
        Cause(kind="failed", step="a", by="not so after 1 times: steps.a.n > 5"),
    ),
    (lambda: begun(step("a", "when: 1 / saga.n > 0")), Cause(kind="failed", step="a", by="when: divide by zero")),
    (lambda: begun(step("a")).when("Cancelled"), Cause(kind="cancelled", by="flow.Cancelled")),
    (lambda: begun(step("a")).orders(Cancel()), Cause(kind="cancelled", by="operator ada")),
    (lambda: begun(step("a")).orders(Resolve("a", "failed")), Cause(kind="failed", step="a", by="operator ada")),
    (lambda: begun(step("a"), **BACK).when("Told6"), Cause(kind="asked", by="flow.Told6")),
    (
        lambda: begun(step("a", EACH)).when("AFailed", item="y"),
        Cause(kind="failed", step="a", by="0 of 2 done, 2 wanted, a[y] failed (AFailed)"),
    ),
    (
        lambda: begun(step("b"), step("a", "after: b"), events="{ADone: {early: fail}}").when("ADone"),
        Cause(kind="early", step="a", by="flow.ADone"),
    ),
    (
        lambda: begun(step("a"), step("b"), events="{AFailed: {late: fail}}").when("ADone", "AFailed"),
        Cause(kind="late", step="a", by="flow.AFailed"),
    ),
    (
        lambda: begun(step("a"), step("b"), events="{ADone: {duplicate: fail}}").when("ADone", "ADone"),
        Cause(kind="duplicate", step="a", by="flow.ADone"),
    ),
    (
        lambda: begun(step("a"), events="{AUndone: {unexpected: fail}}").when("AUndone"),
        Cause(kind="unexpected", step="a", by="flow.AUndone"),
    ),
]


@pytest.mark.parametrize(("tell", "cause"), CAUSES)
def test_an_instance_keeps_why_it_is_undone(tell: Callable[[], Story], cause: Cause) -> None:
    """The first thing that went wrong, and nothing that comes after it."""
    story = tell()
    assert story.instance is not None
    assert story.instance.cause == cause
    story.when("Cancelled", "AFailed").orders(Cancel())
    assert story.instance.cause == cause


def test_of_two_that_fail_at_once_the_first_of_the_spec_is_the_cause() -> None:
    """One event may end several steps."""
    both = (
        "{name: a, completes_on: ADone, fails_on: Told1, compensate: none}",
        "{name: b, completes_on: BDone, fails_on: Told1, compensate: none}",
    )
    story = begun(*both).when("Told1").stands("compensated")
    assert story.instance is not None
    assert story.instance.cause == Cause(kind="failed", step="a", by="flow.Told1")


def test_a_failure_that_was_skipped_is_no_cause() -> None:
    """Beyond a pivot somebody lets the saga go on, and it ends well."""
    story = begun(step("b", "pivot: true", undone=False), step("a", "after: b")).when("BDone", "AFailed")
    story.stands("stuck", "ADone").orders(Skip("a")).stands("completed")
    assert story.instance is not None
    assert story.instance.cause is None
