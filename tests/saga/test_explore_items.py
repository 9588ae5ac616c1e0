"""Explored: steps that are done for each item of a list. An item is held to the promises by itself."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from choreo.diagram.sequence import as_text, sequence_of
from choreo.saga import variants
from choreo.saga.alike import Likeness
from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Input
from choreo.saga.each import LOST
from choreo.saga.explore import Bounds, explore
from choreo.saga.instance import OPEN, SETTLED, Instance
from choreo.saga.items import whole_in
from choreo.saga.rules import Spec
from tests.saga.flow import flow, step

ONE_TOPIC = {f"flow.{name}": "flow.work" for name in ("ADone", "AFailed", "AUndone", "BDone", "BFailed", "Told1")}
QUIET, UNCANCELLED = Bounds(duplicates=0), Bounds(duplicates=0, cancels=0)
B = step("b", "after: a", "emit: AskB", undone=False)


def each(*more: str) -> Spec:
    """`a` is done for each, then `b`, which can't be undone."""
    return flow(step("a", "emit: AskA", "for_each: saga.items", "item_key: item", *more), B)


ALL, ANY, SOME = "more than 2 items of a", "more than 3 items of a", "more than 4 items of a"
SPECS = {
    "all": (each(), 126, ALL),
    "any, the rest undone": (each("complete: any", "rest: undo"), 1005, ANY),
    "added": (each("adds_on: Told1"), 228, ALL),
    "by themselves": (flow(step("a", "for_each: saga.items", "item_key: item"), B), 154, ALL),
}
UNCANCELLED_SPECS = {
    "any, in time": (each("complete: any", "within: 1h"), 1133, ANY),
    "half of them, the rest waited for": (each("complete: 50%", "rest: wait"), 92, SOME),
    "two, added": (each("complete: 2", "adds_on: Told1"), 990, SOME),
}


@pytest.mark.parametrize(("spec", "states", "without"), SPECS.values(), ids=SPECS.keys())
def test_items_keep_every_promise(spec: Spec, states: int, without: str) -> None:
    """Items, each of which is done, fails, is late or silent, and shorter lists down to none: every run is seen."""
    found = explore(spec, ONE_TOPIC, QUIET)
    assert (found.counterexample, found.bound, found.states) == (None, None, states)
    assert found.left_out == (without,)
    assert {"completed", "compensated", "cancelled"} <= set(found.ends)


@pytest.mark.parametrize(("spec", "states", "without"), UNCANCELLED_SPECS.values(), ids=UNCANCELLED_SPECS.keys())
def test_some_of_more_items_keep_every_promise(spec: Spec, states: int, without: str) -> None:
    """Of more than two, whose time may run out, some are lost and there is a rest: every run that nobody cancels."""
    found = explore(spec, ONE_TOPIC, UNCANCELLED)
    assert (found.counterexample, found.bound, found.states) == (None, None, states)
    assert found.left_out == (without,)
    assert {"completed", "compensated"} <= set(found.ends)


def test_items_that_are_taken_back_and_called_off_keep_every_promise() -> None:
    """One is taken back and another comes late: never is the step done with fewer than were wanted, and what is taken
    back while it is undone needs no answer to that. Both were otherwise once, and are found here then.
    """
    each_of = ("emit: AskA", "for_each: saga.items", "item_key: item", "complete: any", "rest: undo")
    found = explore(flow(step("a", *each_of, "reopens_on: Told1")), ONE_TOPIC, UNCANCELLED)
    assert (found.counterexample, found.bound, found.left_out) == (None, None, (ANY,))


# -- as many items as a rule needs -------------------------------------------------------------------------------------


class Standing(NamedTuple):
    """Where a step with items stands: how many items are done and lost, as its rule sees it; are any open?"""

    state: str
    done: str
    lost: str
    open: bool


class Way(NamedTuple):
    """One thing that may become of a step with items, and what is asked for then."""

    before: Standing | None
    after: Standing
    asked: frozenset[tuple[str, str]]


def standing(instance: Instance | None, enough: int) -> Standing | None:
    if instance is None or not instance.steps["a"].items:
        return None
    states = [instance.steps[f"a[{key}]"].state for key in instance.steps["a"].items]
    done, lost = sum(one in SETTLED for one in states), sum(one in LOST for one in states)
    return Standing(
        str(instance.steps["a"].state),
        "none" if not done else "few" if done < enough else "enough",
        "none" if not lost else "too many" if lost > len(states) - enough else "some",
        any(one in OPEN for one in states),
    )


def ways(spec: Spec, enough: int, items: int) -> set[Way]:
    """All that becomes of `a` where it has so many items."""
    found = set[Way]()

    def watching(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        decision = decide(spec, instance, given)
        after = decision.instance
        if after is not None and len(after.steps["a"].items or ()) == items:
            asked = frozenset((one.kind, whole_in(one.step or "")) for one in decision.emits)
            now = standing(after, enough)
            assert now is not None
            found.add(Way(standing(instance, enough), now, asked))
        return decision

    assert explore(spec, ONE_TOPIC, UNCANCELLED, watching).complete
    return found


@pytest.mark.parametrize(
    ("rule", "few", "many"),
    [
        (("complete: all",), (2, 2), (3, 3)),
        (("complete: any", "rest: wait"), (1, 3), (1, 4)),
        (("complete: 7", "rest: wait"), (2, 4), (3, 5)),
        (("complete: 7", "rest: undo"), (2, 4), (3, 5)),
    ],
    ids=["all", "any", "some, the rest waited for", "some, the rest undone"],
)
def test_more_items_come_out_in_no_other_way(
    rule: tuple[str, ...], few: tuple[int, int], many: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many items as are looked at show all that becomes of a step with one more, of which one more must be done:
    only that something happens by which the step stands as it stood may be new.
    """
    spec = each(*rule)
    seen = ways(spec, *few)
    for name, number in {"ALL": many[1], "ANY": many[1], "SOME": many[1], "ENOUGH": many[0]}.items():
        monkeypatch.setattr(variants, name, number)
    more = {way for way in ways(spec, *many) if way.before != way.after}
    assert len(more) > 5
    assert more <= seen


@pytest.mark.parametrize("complete", ["7", "80%"])
def test_of_some_items_enough_may_be_done_after_one_was_lost_with_a_rest(complete: str) -> None:
    """What two items can't show: of four one failed, two are done, and the last one is called off."""
    spec = each(f"complete: {complete}", "rest: undo")
    lost = Standing("waiting", "few", "some", open=True)
    seen = {way for way in ways(spec, 2, 4) if way.before == lost}
    assert {(way.after.state, way.after.done, way.asked) for way in seen} >= {
        ("done", "enough", frozenset({("do", "b"), ("undo", "a")})),
        ("failed", "none", frozenset({("undo", "a")})),
    }


@pytest.mark.parametrize(
    ("complete", "said"),
    [("2", ""), ("50%", ""), ("5", " (2 of 4 stand for 5)"), ("80%", " (2 of 4 stand for 80%)")],
)
def test_what_stands_for_a_number_is_said(complete: str, said: str) -> None:
    """A share, or a number of more than two, is looked at as two of four."""
    found = explore(each(f"complete: {complete}"), ONE_TOPIC, Bounds(states=9))
    assert found.left_out == (f"more than 4 items of a{said}",)


def test_lists_of_every_length_are_looked_at() -> None:
    """From as many items as the rules need down to none; one that is added comes on top."""
    spec = flow(
        step("a", "for_each: saga.items", "item_key: item", "complete: 2"),
        step("b", "for_each: saga.items", "item_key: item", "complete: any", "adds_on: Told1"),
    )
    lengths = [{len(items) for items in variant.lists.values()} for variant in variants.variants(spec)]
    assert lengths == [{4}, {3}, {2}, {1}, {0}]
    (two, *_) = variants.variants(each("complete: 60%", "adds_on: Told1"))
    assert [len(items) for items in two.lists.values()] == [3]


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
    assert (found.counterexample, found.bound, found.states) == (None, None, 68)


def breaking(monkeypatch: pytest.MonkeyPatch, name: str, instead: Callable[..., object]) -> None:
    monkeypatch.setattr(f"choreo.saga.{name}", instead)


LATE = """\
outside       flow            a  b
   |            * 2 items in saga.items
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
