"""`isolate_on` as `decide` sees it: nothing begins without the lock, and the end gives it back."""

from typing import Any

import pytest

from choreo.errors import SpecError
from choreo.saga.decision import Skip
from choreo.saga.environment import left_out
from choreo.saga.explore import Bounds, explore
from choreo.saga.instance import Cause
from choreo.saga.rules import Spec
from choreo.saga.spec import parse_spec
from tests.saga.flow import CATALOGUE, flow, source, step
from tests.saga.shop import spec_of
from tests.saga.story import Story
from tests.saga.test_operate import Desk

REQUESTED, RELEASED = "choreo.locks.flow.LockRequested", "choreo.locks.flow.LockReleased"
GRANTED, EXPIRED, REFUSED = (f"choreo.saga.flow.Lock{what}" for what in ("Granted", "Expired", "Refused"))
A, B = step("a", "emit: AskA"), step("b", "after: a", "emit: AskB")


def isolated(*steps: str, **keys: str) -> Spec:
    return flow(*(steps or (A, B)), **{"isolate_on": "{by: n, expires: 10m}", **keys})


def fields(story: Story, number: int = -1) -> dict[str, Any]:
    return dict(story.emits[number].fields)


def test_nothing_begins_before_the_lock_is_granted() -> None:
    """The lock is asked for by the field's value, and only then the first steps begin; the end releases it."""
    story = Story(isolated()).when("Started", n=7).then(REQUESTED).stands("waiting", GRANTED)
    assert fields(story) == {"lock": "7", "saga": "flow", "saga_key": "o1", "expires_us": 600_000_000}
    story.when(GRANTED, claim="x").then("AskA").when("ADone").then("AskB").when("BDone").then(RELEASED)
    story.stands("completed")
    assert fields(story) == {"lock": "7", "saga": "flow", "saga_key": "o1", "claim": "x"}


def test_a_text_is_a_lock_as_it_is_and_a_scope_may_be_shared() -> None:
    """`scope` names the service that is asked; without `expires` the lock is held until it is released."""
    spec = isolated(isolate_on="{by: case, scope: desk}")
    assert spec.lock_scope == "desk"
    story = Story(spec).when("Started", case="c1").then("choreo.locks.desk.LockRequested")
    assert fields(story)["lock"] == "c1"
    assert "expires_us" not in fields(story)


def test_the_lock_is_released_after_everything_is_undone() -> None:
    """A failure keeps the lock until the last undo is answered."""
    story = (
        Story(isolated())
        .when("Started", n=7)
        .when(GRANTED, "ADone", "BFailed")
        .then(REQUESTED, "AskA", "AskB", "UndoA")
    )
    story.when("AUndone").then(RELEASED).stands("compensated")


def test_a_cancelled_saga_leaves_the_line() -> None:
    """Cancelled while it waits, it withdraws its wish; a grant that crosses that changes nothing more."""
    story = Story(isolated()).when("Started", n=7).then(REQUESTED).when("Cancelled").then(RELEASED).stands("cancelled")
    story.when(GRANTED).then().stands("cancelled")


def test_a_saga_that_waits_too_long_for_its_lock_ends() -> None:
    """`within` of the lock, else of the saga's steps: nothing has happened, so nothing is undone."""
    spec = isolated(isolate_on="{by: n, within: 5m}", within="1h")
    story = Story(spec).when("Started", n=7).after("4m").then(REQUESTED).after("1m").then(RELEASED)
    story.stands("compensated").tells("compensated: lock timed out")
    Story(isolated(isolate_on="n", within="1h")).when("Started", n=7).after("59m").stands("waiting", GRANTED)


def test_a_refused_lock_ends_the_saga() -> None:
    """Too many wait already: the saga fails as by any step that certainly did not happen."""
    story = Story(isolated()).when("Started", n=7).then(REQUESTED).when(REFUSED).then(RELEASED).stands("compensated")
    story.tells("compensated: lock failed (LockRefused)")


def test_without_its_lock_a_saga_begins_nothing_new() -> None:
    """When the lock expires, what is under way goes on; before anything else begins, the lock is asked for again."""
    story = Story(isolated()).when("Started", n=7).when(GRANTED).then(REQUESTED, "AskA").after("10m")
    story.when(EXPIRED).then(REQUESTED).when("ADone").then().stands("waiting", GRANTED).after("1s")
    story.when(GRANTED).then("AskB").when("BDone").then(RELEASED).stands("completed")


def test_a_lock_that_nothing_needs_any_more_is_not_asked_for_again() -> None:
    """Once every step has begun, the loss is noted and nothing waits for it; so it is while everything is undone."""
    story = Story(isolated()).when("Started", n=7).when(GRANTED, "ADone").then(REQUESTED, "AskA", "AskB")
    story.when(EXPIRED).then().stands("waiting", "BDone")
    assert story.last.changes == (f"lock: lost ({EXPIRED})",)
    story.when("BFailed").then("UndoA").when(EXPIRED).then().when("AUndone").then(RELEASED).stands("compensated")


def test_a_loss_that_comes_after_the_end_changes_nothing() -> None:
    """The saga has given its lock back already."""
    story = Story(isolated()).when("Started", n=7).when(GRANTED, "ADone", "BDone").when(EXPIRED).stands("completed")
    assert story.last.changes == ()


def test_the_loss_of_an_earlier_grant_changes_nothing() -> None:
    """An expiry that is heard again, when the lock is held anew, is an old story."""
    story = Story(isolated()).when("Started", n=7).when(GRANTED, claim="x").then(REQUESTED, "AskA")
    story.when(EXPIRED, claim="x").then(REQUESTED).when(GRANTED, claim="y")
    story.when(EXPIRED, claim="x").then().stands("waiting", "ADone").when(EXPIRED, claim="y").then(REQUESTED)


def test_who_waits_again_gives_back_no_earlier_grant() -> None:
    """Cancelled while it waits for the lock that it has lost, a saga withdraws whatever it has claimed since."""
    story = Story(isolated()).when("Started", n=7).when(GRANTED, claim="x").when(EXPIRED, claim="x").when("ADone")
    story.when("Cancelled", "AUndone").stands("cancelled")
    assert "claim" not in fields(story)


def test_a_lock_that_is_not_granted_again_in_time_timed_out() -> None:
    """What the saga is undone for is the silence, not the loss that came before it."""
    spec = isolated(isolate_on="{by: n, within: 5m}")
    story = Story(spec).when("Started", n=7).when(GRANTED).when(EXPIRED).when("ADone").after("5m")
    assert story.instance is not None
    assert story.instance.cause == Cause(kind="timeout", step="lock", by="timeout")


def test_a_step_that_is_put_off_comes_to_its_turn_anew() -> None:
    """A step that waits for `not_before` without its lock does not begin when that time comes."""
    spec = isolated(A, step("b", "emit: AskB", "not_before: 20m", "deadline: 2h"))
    story = Story(spec).when("Started", n=7).when(GRANTED).after("10m").when(EXPIRED).then(REQUESTED, "AskA", REQUESTED)
    story.after("15m").then().when(GRANTED).after("19m").then().after("1m").then("AskB")


def test_a_deadline_holds_without_the_lock() -> None:
    """A step that can't begin for want of the lock fails at its deadline, and the line is left."""
    spec = isolated(A, step("b", "emit: AskB", "not_before: 20m", "deadline: 1h"))
    story = Story(spec).when("Started", n=7).when(GRANTED).after("10m").when(EXPIRED).when("ADone").after("50m")
    story.then(REQUESTED, "AskA", REQUESTED, "UndoA").when("AUndone").then(RELEASED).stands("compensated")


def test_a_saga_that_is_reopened_takes_its_lock_again() -> None:
    """It gave the lock back when it was complete; the step that must be done again waits for the lock."""
    story = Story(isolated(A, step("b", "after: a", "emit: AskB", "reopens_on: Told1"))).when("Started", n=7)
    story.when(GRANTED, "ADone", "BDone").then(REQUESTED, "AskA", "AskB", RELEASED).when("Told1").then(REQUESTED)
    story.when(GRANTED).then("AskB").when("BDone").then(RELEASED).stands("completed")


def test_what_is_reopened_after_a_loss_waits_for_the_lock() -> None:
    """The lock that nothing needed any more when it was lost is asked for once something has to be done again."""
    story = Story(isolated(A, step("b", "after: a", "emit: AskB"), step("c", "reopens_on: Told1", "emit: AskC")))
    story.when("Started", n=7).when(GRANTED, "CDone", "ADone").then(REQUESTED, "AskA", "AskC", "AskB")
    story.when(EXPIRED).then().when("Told1").then(REQUESTED).when("BDone").then().stands("waiting", GRANTED)
    story.when(GRANTED).then("AskC").when("CDone").then(RELEASED).stands("completed")


def test_a_step_that_is_reopened_on_the_way_needs_no_second_lock() -> None:
    """While the saga is at work it holds its lock still."""
    story = Story(isolated(step("a", "emit: AskA", "reopens_on: Told1"), B)).when("Started", n=7)
    story.when(GRANTED, "ADone").then(REQUESTED, "AskA", "AskB").when("Told1").then("AskA")


def test_what_services_begin_by_themselves_is_not_held_back() -> None:
    """A step without emit that is done before the lock is granted counts as done."""
    story = Story(isolated(step("a"), B)).when("Started", n=7).when("ADone").then(REQUESTED).stands("waiting", GRANTED)
    story.when(GRANTED).then("AskB")


def test_a_late_success_is_undone_without_the_lock() -> None:
    """What is heard after the end is undone at once, and the lock is released once more, which frees nobody else's."""
    story = Story(isolated(A, within="5m")).when("Started", n=7).when(GRANTED, claim="x").after("5m").when("AUndone")
    story.then(REQUESTED, "AskA", "UndoA", RELEASED).after("1m").when("ADone").then("UndoA").when("AUndone")
    story.then(RELEASED).stands("compensated")
    assert fields(story)["claim"] == "x"


def test_an_operator_may_let_a_saga_go_on_without_its_lock() -> None:
    """`skip lock`: the saga does not wait any more, a late grant changes nothing, and the end leaves the line."""
    story = Desk(isolated()).when("Started", n=7).then(REQUESTED)
    story.orders(Skip("lock")).then("AskA").when(GRANTED).then().when("ADone", "BDone").then("AskB", RELEASED)
    story.stands("completed")


def test_old_specs_keep_their_digests() -> None:
    """A spec that uses nothing of what the language has learned since is the same content as on its first day."""
    assert spec_of().digest == "999c9a1f1cf733201dfefab4924158ae484034e6438c6735e9ebf3ceb3c11632"


def test_an_exploration_of_an_isolated_saga_finds_nothing() -> None:
    """The promises hold around the wait for the lock; that a lock may expire is said to be left out."""
    found = explore(isolated(), None, Bounds(states=1500))
    assert (found.counterexample, found.states > 100) == (None, True)
    assert left_out(isolated()) == ("the expiry of the lock of isolate_on",)


@pytest.mark.parametrize(
    ("isolate_on", "code"),
    [
        ("m", "no-such-field"),
        ("at", "wrong-type"),
        ("{by: n, scope: Desk}", "not-a-name"),
        ("{by: n, for: 1h}", "unknown-key"),
        ("{by: n, expires: 0s}", "not-a-duration"),
    ],
)
def test_a_lock_needs_a_field_that_can_name_it(isolate_on: str, code: str) -> None:
    """A field of the start event that is a text or a whole number; a scope has a name as a saga has."""
    with pytest.raises(SpecError, match=f"error.{code}."):
        isolated(isolate_on=isolate_on)


def test_a_lock_says_how_long_it_is_waited_for() -> None:
    """As a step does: by itself, by the saga, or `none` on purpose."""
    text = source(step("a", "within: 1h"), isolate_on="n")
    with pytest.raises(SpecError, match="the lock may be waited for for ever"):
        parse_spec(text.replace("within: none\n", ""), "flow.yaml", CATALOGUE)


def test_the_name_of_the_lock_is_taken() -> None:
    """A step of the author's can't have it."""
    with pytest.raises(SpecError, match="with isolate_on there is a step lock already"):
        isolated("{name: lock, completes_on: ADone, compensate: none}")
