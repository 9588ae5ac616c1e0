"""`compensates_on`: a saga is taken back because others ask for it."""

import pytest

from choreo.errors import SpecError
from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Input
from choreo.saga.explore import Bounds, explore
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec
from tests.saga.flow import flow, step
from tests.saga.story import Story

TELL = "{completed: Told1, compensated: Told2, cancelled: Told3}"
BACK = "{event: Told4, refused: Told5}"


def spec_of(*steps: str, **keys: str) -> Spec:
    """A saga that Told4 takes back."""
    return flow(*(steps or (step("a"), step("b", "after: a"))), compensates_on=BACK, tell=TELL, **keys)


def test_a_complete_saga_goes_back() -> None:
    """Everything is undone in the reversed order; it ends compensated and says so."""
    story = Story(spec_of()).when("Started", "ADone", "BDone").then("Told1").stands("completed")
    story.when("Told4").then("UndoB").stands("compensating", "BUndone").when("BUndone").then("UndoA")
    story.when("AUndone").then("Told2").stands("compensated")
    story.tells("compensated: taken back (Told4), a undone (AUndone), b undone (BUndone)")


def test_one_at_work_goes_back() -> None:
    """What may be happening is undone with the rest, as after a cancellation; it ends compensated all the same."""
    story = Story(spec_of()).when("Started", "ADone").when("Told4").then("UndoB")
    story.when("BUndone").then("UndoA").when("AUndone").then("Told2").stands("compensated")


def test_cancellable_until_does_not_hold_it_back() -> None:
    """What refuses a cancellation does not refuse whoever takes the saga back."""
    story = Story(spec_of(cancellable_until="a")).when("Started", "ADone").when("Cancelled").then("Refused")
    story.when("Told4").then("UndoB")


@pytest.mark.parametrize("more", [(), ("BDone",)])
def test_a_pivot_refuses_it_and_says_so(more: tuple[str, ...]) -> None:
    """At work and complete alike: nothing is undone, and whoever asked is answered."""
    spec = spec_of(step("a", "pivot: true", undone=False), step("b", "after: a", undone=False))
    story = Story(spec).when("Started", "ADone", *more)
    story.then(*(["Told1"] if more else []))
    story.when("Told4").then("Told5").stands("completed" if more else "waiting", *([] if more else ["BDone"]))
    stands = "completed: a done (ADone), b done (BDone)" if more else "waiting: a done (ADone), b waits for BDone"
    story.tells(f"{stands}, compensation refused (Told4)")


def test_who_asks_again_is_told_again() -> None:
    """One that has gone back says so to each that asks; while it goes back, and to a duplicate, it says nothing."""
    story = Story(spec_of()).when("Started").when("Told4").then("UndoA").when("Told4").then()
    story.when("AUndone").then("Told2").when("Told4").then("Told2")
    again = story.received("Told4", event_id=bytes(16))
    story.give(again).give(again).then("Told2")


def test_a_failed_saga_says_so_to_who_takes_it_back() -> None:
    """It had gone back by itself: the one that asks did not hear it, and hears it now."""
    story = Story(spec_of()).when("Started", "AFailed").then("Told2").when("Told4").then("Told2").stands("compensated")
    cancelled = Story(spec_of()).when("Started", "Cancelled", "AUndone").then("UndoA", "Told3")
    cancelled.when("Told4").then("Told3").stands("cancelled")
    assert story.state("a") == "failed"


def test_nothing_to_undo_is_compensated_at_once() -> None:
    """Steps that need no undo are left as they are."""
    story = Story(spec_of(step("a", undone=False))).when("Started", "ADone").then("Told1")
    story.when("Told4").then("Told2").stands("compensated")


def test_it_is_kept_whole_for_as_long_again() -> None:
    """Going back opens the saga: `keep_ended` counts from its second end."""
    story = Story(spec_of(keep_ended="2d")).when("Started", "ADone", "BDone").after("1d").when("Told4")
    story.after("36h").when("BUndone", "AUndone").stands("compensated")
    story.after("47h")
    assert story.instance is not None
    assert not story.instance.forgotten


def test_a_forgotten_saga_can_not_go_back() -> None:
    """Nobody knows any more what was done: the event becomes a dead letter."""
    story = Story(spec_of(keep_ended="2d")).when("Started", "ADone", "BDone").after("3d")
    assert decide(story.spec, story.instance, story.received("Told4")).dead_letter is not None


@pytest.mark.parametrize(("event", "verb"), [("Started", "starts"), ("Cancelled", "cancels")])
def test_it_means_nothing_else(event: str, verb: str) -> None:
    """The event that starts or cancels the saga can't take it back."""
    with pytest.raises(SpecError, match=rf"flow\.{event} {verb} the saga, so it can't take it back besides"):
        flow(step("a"), compensates_on=event)


def test_the_refusal_is_mapped_like_every_event() -> None:
    """A field that nothing fills is a mistake of the file."""
    with pytest.raises(SpecError, match=r"nothing fills flow\.Told\.m"):
        flow(step("a"), compensates_on="{event: Told4, refused: Told}")


def test_every_run_keeps_every_promise() -> None:
    """Taken back at any moment, before a pivot and behind it: no run up to the bound breaks a promise."""
    for last in (step("b", "after: a"), step("b", "after: a", "pivot: true", undone=False)):
        found = explore(spec_of(step("a"), last), None, Bounds(states=700))
        assert found.counterexample is None
        assert {"completed", "compensated"} <= set(found.ends)
        assert found.left_out == ()


def test_an_exploration_takes_complete_sagas_back() -> None:
    """Among the moves of an exploration is one that takes a saga back which was complete."""
    reopened: set[str] = set()

    def watching(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        decision = decide(spec, instance, given)
        reopened.update(change for change in decision.changes if change == "completed -> compensating")
        return decision

    explore(spec_of(step("a")), None, Bounds(states=400), decide=watching)
    assert reopened
