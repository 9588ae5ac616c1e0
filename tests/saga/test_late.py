"""decide: what is heard late: while a step rests, after its undo was asked for, and under another version's events."""

from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Due
from choreo.saga.instance import StepState
from tests.saga.flow import flow, step
from tests.saga.story import Story

RESTING = ("emit: AskA", "within: 1h", "on_timeout: {retry: {attempts: 3, wait: 1h}}")
PIVOT = step("c", "pivot: true", undone=False)
LIMITED = "compensate: {emit: UndoA, done_on: AUndone, fails_on: Told2, within: 1h, attempts: 2, wait: 10s}"
ITEMS = "for_each: saga.items, item_key: item, complete: 2, rest: undo, reopens_on: Told1"
SOME = f"{{name: a, {ITEMS}, emit: AskA, completes_on: ADone, fails_on: AFailed, {LIMITED}}}"


def resting(*more: str, undone: bool = True) -> Story:
    """The first request had no answer in its time, and the second is an hour away."""
    story = Story(flow(step("a", *RESTING, *more, undone=undone), step("b"))).when("Started").after("1h").then("AskA")
    assert story.instance is not None
    assert story.instance.steps["a"].resting
    return story


def test_an_answer_ends_the_wait_before_the_next_request() -> None:
    """Done or failed: nothing is asked for any more."""
    resting().when("ADone").after("2h").then().stands("waiting", "BDone")
    resting().when("AFailed").after("2h").then("UndoB").stands("compensating", "BUndone")


def test_the_end_of_a_saga_ends_the_wait_before_the_next_request() -> None:
    """What nobody can undo is left as it may be."""
    story = resting(undone=False).when("BFailed").after("2h").then().stands("compensated")
    assert story.state("a") == "unknown"


def test_a_saga_that_goes_back_waits_for_no_deadline() -> None:
    """Nor for that of a step that has not begun."""
    story = Story(flow(step("a"), step("b", "after: a", "deadline: 2h", undone=False))).when("Started")
    assert story.timers == {"b": 7_200_000_000}
    story.when("AFailed").stands("compensated")
    assert "b" not in story.timers


def test_what_could_not_begin_has_no_problem_once_it_is_done() -> None:
    """Somebody did it all the same."""
    senseless = Story(flow(PIVOT, step("a", "after: c", "when: 1 / saga.n > 0"))).when("Started", n=0).when("CDone")
    senseless.stands("stuck", "ADone").when("ADone").stands("completed")


def test_what_was_repeated_in_vain_happened_whatever_is_said_of_its_last_run() -> None:
    """A failure that comes after the success changes nothing, as with any step that is done."""
    again = step("a", "after: c", "emit: AskA", "repeat: {until: steps.a.n > 3, at_most: 1}")
    vain = Story(flow(PIVOT, again)).when("Started").when("CDone").when("ADone", n=1).stands("stuck", "ADone")
    vain.when("AFailed")
    assert vain.state("a") == "unknown"


def test_a_failure_mends_an_undo_that_was_asked_for_in_vain() -> None:
    """The step never happened, so there is no problem any more."""
    undo = "compensate: {emit: UndoA, done_on: AUndone, fails_on: Told2, attempts: 1}"
    story = Story(flow(f"{{name: a, emit: AskA, completes_on: ADone, fails_on: AFailed, {undo}}}", step("b")))
    story.when("Started", "BFailed", "Told2").stands("stuck", "AUndone").when("AFailed").stands("compensated")
    assert story.instance is not None
    assert story.instance.steps["a"].problem == ""


def test_an_answer_from_before_a_late_success_does_not_end_its_undo() -> None:
    """The undo was asked for once more, and only what was said since answers that."""
    story = Story(flow(step("a", "emit: AskA"), step("b"))).when("Started", "BFailed").then("AskA", "UndoA")
    early = story.after("1s").received("AUndone")
    story.when("AUndone").stands("compensated").after("1s").when("ADone").then("UndoA")
    assert [emit.round for emit in story.emits] == [1, 1, 2]
    story.give(early).then().stands("compensating", "AUndone").when("AUndone").stands("compensated")


def test_the_undo_of_a_late_success_is_filled_with_what_it_said() -> None:
    """By whom it was done, when, and its fields are those of the success."""
    undo = "compensate: {emit: {event: UndoA, with: {n: steps.a.n}}, done_on: AUndone}"
    story = Story(flow(f"{{name: a, emit: AskA, completes_on: ADone, {undo}}}", step("b", undone=False)))
    story.when("Started").when("ADone", n=1).when("BFailed").when("AUndone").stands("compensated")
    story.after("1s").when("ADone", n=7)
    assert story.emits[-1].fields["n"] == 7
    assert story.instance is not None
    record = story.instance.steps["a"]
    assert (record.by, record.done_at, record.late) == ("flow.ADone", 1_000_000, "covered")


def test_a_success_after_an_undo_in_vain_is_undone_in_a_round_of_its_own() -> None:
    """A failure had ended that undo; the success may be from another run."""
    story = Story(flow(step("a", "emit: AskA"), step("b"))).when("Started", "BFailed").then("AskA", "UndoA")
    story.when("AFailed").stands("compensated").after("1s").when("ADone").then("UndoA")
    assert story.emits[-1].round == 2
    items = Story(flow(SOME)).when("Started", items=list("xyz")).when("ADone", item="x").when("ADone", item="y")
    items.when("AFailed", item="z").stands("completed").after("1s").then(*["AskA"] * 3, "UndoA")
    items.when("ADone", item="z").then("UndoA")
    assert items.emits[-1].round == 2


def test_an_item_that_counts_after_its_undo_waits_for_nothing() -> None:
    """It was said to be undone before it happened, and takes the place of one that was taken back."""
    story = Story(flow(SOME)).when("Started", items=list("xyz")).when("ADone", item="x").when("ADone", item="y")
    story.when("Told2", item="z")
    gone = story.received("AUndone", item="z")
    story.after("1s").when("Told1", item="x").when("ADone", item="z").give(gone)
    assert story.instance is not None
    record = story.instance.steps["a[z]"]
    assert (record.state, record.late, record.round) == (StepState.DONE, "counted", 2)
    assert (record.due, record.resting) == (None, False)


def test_an_event_that_this_version_does_not_know_changes_nothing() -> None:
    """Another version of the spec does, so the coordinator hears of it."""
    for spec in (flow(step("a")), flow(SOME)):
        story = Story(spec).when("Started", items=["x", "y"])
        before = story.instance
        story.when("FDone")
        assert story.last == Decision(before)


def test_a_timer_of_a_step_that_waits_for_none_changes_nothing() -> None:
    """It was set when the spec, or the step, stood otherwise."""
    story = Story(flow(step("a"))).when("Started")
    assert decide(story.spec, story.instance, Due("a", 5)) == Decision(story.instance)
    assert decide(story.spec, story.instance, Due("z", 5)) == Decision(story.instance)


def test_what_is_heard_after_the_end_does_not_put_it_off() -> None:
    """A step that was skipped happened all the same: the saga is complete since when it was."""
    story = Story(flow(step("a"), step("b", "when: saga.n > 0"))).when("Started", n=0).when("ADone").stands("completed")
    story.after("1h").when("BDone").then().stands("completed")
    assert story.instance is not None
    assert (story.state("b"), story.instance.ended_at) == ("done", 0)


def test_an_item_that_is_called_off_and_can_not_be_undone_waits_for_nothing() -> None:
    """It may have happened, and is left so: no further request, no time that runs out."""
    rest = ("for_each: saga.items", "item_key: item", "complete: any", "rest: undo", *RESTING)
    story = Story(flow(step("a", *rest, undone=False), step("b"))).when("Started", items=["x", "y"]).after("1h")
    story.when("ADone", item="x").then("AskA", "AskA").after("3h").then()
    assert story.instance is not None
    record = story.instance.steps["a[y]"]
    assert (record.state, record.by, record.due, record.resting) == (StepState.UNKNOWN, "rest", None, False)
    later = Story(flow(step("a", *rest[:4], "emit: AskA", "not_before: 1h", "deadline: 2h"))).when(
        "Started", items=list("xy")
    )
    later.when("ADone", item="x").after("1h").stands("completed")
    assert not {"a[x]", "a[y]"} & later.timers.keys()


def test_a_share_of_the_items_is_enough_for_a_late_one_to_be_spared() -> None:
    """Half of two are done without it."""
    half = SOME.replace("complete: 2", "complete: 50%")
    story = Story(flow(half)).when("Started", items=["x", "y"]).when("ADone", item="x").when("AUndone", item="y")
    story.stands("completed").after("1s").then("AskA", "AskA", "UndoA").when("ADone", item="y").then("UndoA")
