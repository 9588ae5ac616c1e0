"""Explored: steps that are done for each item of a list. An item is held to the promises by itself."""

from collections.abc import Callable

import pytest

from choreo.diagram.sequence import as_text, sequence_of
from choreo.saga.alike import Likeness
from choreo.saga.explore import Bounds, explore
from choreo.saga.rules import Spec
from tests.saga.flow import flow, step

ONE_TOPIC = {f"flow.{name}": "flow.work" for name in ("ADone", "AFailed", "AUndone", "BDone", "BFailed", "Told1")}
QUIET = Bounds(duplicates=0)
B = step("b", "after: a", "emit: AskB", undone=False)


def each(*more: str) -> Spec:
    """`a` is done for each, then `b`, which can't be undone."""
    return flow(step("a", "emit: AskA", "for_each: saga.items", "item_key: item", *more), B)


SPECS = {
    "all": (each(), 117),
    "any, the rest undone": (each("complete: any", "rest: undo"), 192),
    "any, the rest waited for": (each("complete: any", "rest: wait"), 114),
    "any, in time": (each("complete: any", "within: 1h"), 524),
    "added": (each("adds_on: Told1"), 262),
    "by themselves": (flow(step("a", "for_each: saga.items", "item_key: item"), B), 139),
}


@pytest.mark.parametrize(("spec", "states"), SPECS.values(), ids=SPECS.keys())
def test_items_keep_every_promise(spec: Spec, states: int) -> None:
    """Two items, each of which is done, fails, is late or silent, and lists without any: every run is seen."""
    found = explore(spec, ONE_TOPIC, QUIET)
    assert (found.counterexample, found.bound, found.states) == (None, None, states)
    assert found.left_out == ("more than 2 items of a",)
    assert {"completed", "compensated", "cancelled"} <= set(found.ends)


def test_which_item_it_was_makes_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    """What befalls one item may befall the other: looked at as one state, with the same ends as when told apart."""
    alike = explore(each(), ONE_TOPIC, QUIET)
    monkeypatch.setattr(Likeness, "_interchangeable", lambda likeness: iter(()))
    apart = explore(each(), ONE_TOPIC, QUIET)
    assert alike.states < apart.states
    assert (set(alike.ends), alike.depth) == (set(apart.ends), apart.depth)


def test_a_list_may_be_empty_and_may_come_from_a_step() -> None:
    """A run in which there is nothing to do for each; and a list that is known only once a step has told it."""
    later = step("b", "after: a", "emit: AskB", "for_each: steps.a.items", "item_key: item", undone=False)
    found = explore(flow(step("a", "emit: AskA"), later), ONE_TOPIC, QUIET)
    assert (found.counterexample, found.bound, found.states) == (None, None, 58)


def breaking(monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[..., object]) -> None:
    monkeypatch.setattr(f"choreo.saga.{name}", instead)


LATE = """\
outside       flow            a  b
   |--Started-->|             |  |
   |            |---AskA[1]-->|  |
   |            |---AskA[2]-->|  |
   |            * waiting     |  |
   |            |<-ADone[1]---|  |
   |            |------AskB----->|
   |            |<----BDone------|
   |            * timer a[2] is due
   |            * completed   |  |
   |            * broken: the saga is completed though a[2] may have completed and is not undone"""


def test_an_item_that_nobody_undoes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decide that forgets what may have happened and does not count: the run is drawn, item by item."""
    breaking(monkeypatch, "forward.clear_up", lambda draft: None)
    spec = each("complete: any", "within: 1h")
    found = explore(spec, ONE_TOPIC, QUIET).counterexample
    assert found is not None
    assert found.promise == "what completed or may have is undone exactly once"
    assert "\n".join(as_text(sequence_of(spec, found))) == LATE


def test_a_step_that_goes_on_without_its_items_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decide that takes one item for all: the saga ends, and its step is not done."""
    breaking(monkeypatch, "clauses.FanOut.enough", lambda rule, items: 1)
    found = explore(each("rest: undo"), ONE_TOPIC, QUIET).counterexample
    assert found is not None
    assert (found.promise, found.says) == (
        "every run ends or is visibly stuck",
        "the saga is completed though a is not",
    )


def test_items_that_are_not_undone_first_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decide that goes on by items as if what came after were there no more: the order counts for them too."""
    breaking(monkeypatch, "backward._followed", lambda draft, step: False)
    spec = flow(step("b", "emit: AskB"), step("a", "after: b", "emit: AskA", "for_each: saga.items", "item_key: item"))
    found = explore(spec, ONE_TOPIC, QUIET).counterexample
    assert found is not None
    assert (found.promise, found.says) == (
        "undone in the reversed order",
        "b is undone before a[2], which must be undone first",
    )
