"""decide: what follows from an event that comes early, late, again, out of order or unexpected, by its policy."""

from choreo.saga.decide import decide
from choreo.saga.decision import Command, Skip
from choreo.saga.explain import explain, reason
from choreo.saga.instance import SEEN_EVENTS
from tests.saga.flow import flow, step
from tests.saga.shop import changed, spec_of
from tests.saga.story import Story

HOUR, DAY = 3_600_000_000, 86_400_000_000


def shop(events: str) -> Story:
    """A story of the shop whose spec says this of events."""
    return Story(spec_of(changed(("steps:\n", f"events: {events}\nsteps:\n"))))


def changes(story: Story) -> list[str]:
    """What changed in the last decision, in words."""
    return list(story.last.changes)


def letters(story: Story) -> list[str]:
    """Why events went to the dead letters in the last decision."""
    return [text for _, text in story.last.letters]


# -- before the saga ---------------------------------------------------------------------------------------------------


def test_an_event_is_kept_for_its_saga_as_long_as_its_policy_says() -> None:
    """`keep 2h` limits it for this event, `keep` alone and every other event go by keep_early."""
    story = shop("{PaymentTaken: {early: keep 2h}, StockReserved: {early: keep}}").when("PaymentTaken")
    assert (story.last.keep, story.last.keep_until) == (True, 2 * HOUR)
    for event in ("StockReserved", "PaymentDeclined"):
        story.when(event)
        assert (story.last.keep, story.last.keep_until) == (True, DAY)


def test_an_event_before_its_saga_is_refused_or_ignored_where_the_spec_says_so() -> None:
    """A dead letter at once, or nothing but a sentence; in neither case it is kept."""
    story = shop("{PaymentTaken: {early: dead-letter}, StockReserved: {early: ignore}}").when("PaymentTaken")
    says = "came early: there is no saga order o1"
    assert (story.last.keep, story.last.dead_letter) == (False, f"shop.PaymentTaken {says}")
    story.when("StockReserved")
    assert (story.last.keep, story.last.dead_letter) == (False, None)
    assert changes(story) == [f"ignored: shop.StockReserved {says}"]
    story.when("OrderPlaced").stands("waiting", "StockReserved", "PaymentTaken")


def test_an_event_that_must_not_come_before_its_saga_fails_it_when_it_starts() -> None:
    """It is kept until then; what it says happened is undone with the rest."""
    story = shop("{PaymentTaken: {early: fail}}").when("PaymentTaken")
    assert story.last.keep
    story.when("OrderPlaced").then("StockReleaseRequested", "RefundRequested").stands(
        "compensating", "StockReleased", "PaymentRefunded"
    )
    assert story.instance is not None
    assert reason(story.instance) == "PaymentTaken came early (pay)"
    story.when("StockReleased", "PaymentRefunded").stands("compensated")


def test_what_was_kept_for_its_saga_is_kept_on_for_its_turn() -> None:
    """The time that it is kept begins anew with the saga."""
    story = shop("{ParcelHandedOver: {early: keep 2h}}").when("ParcelHandedOver").after("1h").when("OrderPlaced")
    assert story.instance is not None
    assert [(one.event, one.until) for one in story.instance.held] == [("shop.ParcelHandedOver", 3 * HOUR)]
    story.when("StockReserved", "PaymentTaken").then("ShipmentRequested").stands("waiting", "OrderDelivered")


# -- before its turn ---------------------------------------------------------------------------------------------------


def test_an_event_waits_for_the_turn_of_its_step() -> None:
    """Kept, the step is asked for in its turn and ends at once; without a policy it is done and never asked for."""
    story = shop("{ParcelHandedOver: {early: keep 2h}}").when("OrderPlaced", "ParcelHandedOver").then()
    assert changes(story) == ["kept for its turn: shop.ParcelHandedOver came early, ship is idle"]
    assert (story.state("ship"), story.timers["~held"]) == ("idle", 2 * HOUR)
    assert story.instance is not None
    assert explain(story.spec, story.instance).endswith("ParcelHandedOver waits for its turn")
    story.when("StockReserved", "PaymentTaken").then("ShipmentRequested").stands("waiting", "OrderDelivered")
    assert story.last.changes[-2:] == (
        "ship: requested -> done (shop.ParcelHandedOver)",
        "deliver: idle -> waiting",
    )
    assert "~held" not in story.timers
    taken = Story(spec_of()).when("OrderPlaced", "ParcelHandedOver")
    assert taken.state("ship") == "done"
    taken.when("StockReserved", "PaymentTaken").then()


def test_events_are_let_in_one_after_the_other() -> None:
    """What was kept first is looked at first, and one that brings on the turn of the next lets that in too."""
    chain = (step("a", "emit: AskA"), step("b", "after: a", "emit: AskB"), step("c", "after: b", "emit: AskC"))
    story = Story(flow(*chain, events='{"*": {early: keep 1d}}')).when("Started", "CDone", "BDone").then("AskA")
    story.when("ADone").then("AskB", "AskC").stands("completed")
    assert story.timers.keys() <= {"~saga"}


def test_a_kept_event_whose_turn_does_not_come_in_time_is_a_dead_letter() -> None:
    """The letter says why, the history too; each goes at its own time, and nothing is taken after that."""
    story = shop("{ParcelHandedOver: {early: keep 10m}, OrderDelivered: {early: keep 20m}}").when("OrderPlaced")
    story.when("StockReserved", "ParcelHandedOver", "OrderDelivered").after("10m")
    assert story.last.letters[0][0] == (3).to_bytes(8, "big") + bytes(8)
    assert letters(story) == ["saga order o1: the turn of shop.ParcelHandedOver did not come in time"]
    assert changes(story) == ["shop.ParcelHandedOver: its turn did not come in time, it is a dead letter"]
    story.after("10m")
    assert letters(story) == ["saga order o1: the turn of shop.OrderDelivered did not come in time"]
    assert story.instance is not None
    assert story.instance.held == ()
    story.when("PaymentTaken").stands("waiting", "ParcelHandedOver")


def test_a_success_that_waits_for_its_turn_is_undone_when_the_saga_goes_back() -> None:
    """Its turn will not come any more, and what happened is undone, also where nobody had asked for it: before all
    that it came after.
    """
    story = shop("{ParcelHandedOver: {early: keep 2h}}").when("OrderPlaced", "StockReserved", "ParcelHandedOver")
    story.when("PaymentDeclined").then("ParcelRecallRequested")
    story.when("ParcelRecalled").then("StockReleaseRequested").when("StockReleased").stands("compensated")


def test_a_kept_event_of_a_step_that_was_skipped_comes_late() -> None:
    """Where it says nothing else of what is late, it is taken: the step happened after all."""
    steps = (step("a"), step("b", "after: a", "when: saga.n > 5"))
    story = Story(flow(*steps, events="{BDone: {early: keep}}")).when("Started", n=1).when("BDone", "ADone")
    assert story.state("b") == "done"
    strict = Story(flow(*steps, events="{BDone: {early: keep, late: dead-letter}}")).when("Started", n=1)
    strict.when("BDone", "ADone").stands("completed")
    assert letters(strict) == ["saga flow o1: flow.BDone came late, b is skipped"]


def test_a_kept_event_that_is_let_in_late_is_taken_or_told_of() -> None:
    """By the policy of what is late; without one it is taken, and the history says so where that changes nothing."""
    steps = (step("a"), step("b", "after: a", "when: saga.n > 5"))
    taken = Story(flow(*steps, events="{BDone: {early: keep, late: take}}")).when("Started", n=1).when("BDone", "ADone")
    assert "b: skipped -> done (flow.BDone)" in taken.last.changes
    assert not any("ignored" in change for change in taken.last.changes)
    told = Story(flow(*steps, events="{BFailed: {early: keep}}")).when("Started", n=1).when("BFailed", "ADone")
    told.stands("completed")
    assert "ignored: flow.BFailed came late, b is skipped" in told.last.changes


def test_a_kept_event_of_which_the_spec_says_nothing_any_more_is_taken() -> None:
    """The instance has been taken over to a version that has no policy for it."""
    steps = (step("a"), step("b", "after: a"))
    story = Story(flow(*steps, events="{BDone: {early: keep}}")).when("Started", "BDone")
    story.spec = flow(*steps)
    story.when("ADone").stands("completed")
    skipped = (step("a"), step("b", "after: a", "when: saga.n > 5"))
    late = Story(flow(*skipped, events="{BFailed: {early: keep}}")).when("Started", n=1).when("BFailed")
    late.spec = flow(*skipped)
    late.when("ADone").stands("completed")
    assert "ignored: flow.BFailed came late, b is skipped" in late.last.changes


def test_what_is_of_no_use_stays_so_where_it_lets_another_in() -> None:
    """An event of no known item is the dead letter, though its other half is good, and ends a wait."""
    each = step("a", "for_each: saga.items", "item_key: item")
    both = "{name: b, completes_on: ADone, compensate: none}"
    story = Story(flow(each, both, step("c", "after: b"), events="{CDone: {early: keep}}"))
    story.when("Started", items=["x"]).when("CDone").when("ADone", item="y")
    assert (story.state("b"), story.state("c")) == ("done", "done")
    assert story.last.dead_letter == "step a can't take it: it has no item y"


def test_an_event_before_its_saga_may_be_kept_for_ever() -> None:
    """keep_early: none sets no time."""
    story = Story(flow(step("a"), keep_early="none")).when("ADone")
    assert (story.last.keep, story.last.keep_until) == (True, None)


def test_an_event_is_kept_for_its_turn_without_a_limit() -> None:
    """`keep` goes by keep_early, which may be none."""
    story = Story(flow(step("a"), step("b", "after: a"), keep_early="none", events="{BDone: {early: keep}}"))
    story.when("Started", "BDone")
    assert story.instance is not None
    assert ([one.until for one in story.instance.held], story.timers) == ([None], {})
    story.after("365d").when("ADone").stands("completed")


def test_an_event_of_no_item_is_a_dead_letter_though_a_policy_speaks_of_it() -> None:
    """It is neither early nor late: there is no such item, and none will come."""
    story = Story(flow(step("a", "for_each: saga.items", "item_key: item"), events="{ADone: {late: ignore}}"))
    story.when("Started", items=["x"]).when("ADone", item="y")
    assert story.last.dead_letter == "step a can't take it: it has no item y"


def test_of_two_untimely_meanings_the_first_in_the_table_counts() -> None:
    """Late comes before again, whichever step stands first."""
    ways = [
        "{name: a, completes_on: ADone, compensate: none}",
        "{name: b, completes_on: BDone, fails_on: ADone, compensate: none}",
    ]
    for steps in (ways, ways[::-1]):
        story = Story(flow(*steps, step("c", undone=False), events='{"*": {late: dead-letter, duplicate: ignore}}'))
        story.when("Started", "BDone").give(story.received("ADone"))
        assert story.state("a") == "done"
        story.when("ADone")
        assert letters(story) == ["saga flow o1: flow.ADone came late, b is done"]


def test_a_taking_back_waits_until_there_is_something_to_take_back() -> None:
    """`reopens_on` before the step is done: kept, it reopens it then; without a policy it is lost."""
    once = step("a", "emit: AskA", "reopens_on: Told1")
    story = Story(flow(once, events="{Told1: {early: keep 1h}}")).when("Started", "Told1").then("AskA")
    story.when("ADone").then("AskA").stands("waiting", "ADone").when("ADone").stands("completed")
    Story(flow(once)).when("Started", "Told1", "ADone").stands("completed")


def test_the_answer_of_an_undo_waits_until_it_is_asked_for() -> None:
    """A service that undoes by itself may be ahead of the order in which the saga undoes."""
    steps = (step("a", "emit: AskA"), step("b", "after: a", "emit: AskB"), step("c", "after: b"))
    story = Story(flow(*steps, events="{AUndone: {early: keep 1h}}")).when("Started", "ADone", "BDone", "CFailed")
    story.then("AskA", "AskB", "UndoB").when("AUndone").then()
    story.when("BUndone").then("UndoA").stands("compensated")


def test_only_so_many_events_are_kept() -> None:
    """One more is a dead letter at once."""
    story = shop("{ParcelHandedOver: {early: keep}}").when("OrderPlaced", *["ParcelHandedOver"] * 100)
    assert story.instance is not None
    assert (len(story.instance.held), letters(story)) == (100, [])
    story.when("ParcelHandedOver")
    assert len(letters(story)) == 1
    assert letters(story)[0].endswith("ship is idle, and 100 events wait for their turn already")


def test_a_taking_back_that_finds_nothing_any_more_is_let_go() -> None:
    """Where its step is undone instead of done, it takes back nothing; the history says that it is kept no longer."""
    steps = (step("a", "reopens_on: Told1"), step("b"))
    story = Story(flow(*steps, events="{Told1: {early: keep 90d, unexpected: dead-letter}}")).when("Started", "Told1")
    story.when("AFailed")
    assert story.instance is not None
    assert story.instance.held == ()
    assert "no longer kept: flow.Told1" in story.last.changes
    assert letters(story) == ["saga flow o1: flow.Told1 was not expected, a is failed"]


# -- late, again, out of order, unexpected -----------------------------------------------------------------------------


def test_a_contradiction_fails_the_saga_where_the_spec_says_so() -> None:
    """A failure after the success: the saga is undone, and says which event it was."""
    story = shop("{PaymentDeclined: {late: fail}}").when("OrderPlaced", "PaymentTaken", "PaymentDeclined")
    story.then("StockReleaseRequested", "RefundRequested")
    assert story.instance is not None
    assert reason(story.instance) == "PaymentDeclined came late (pay)"
    assert story.last.changes[0] == "failed: shop.PaymentDeclined came late, pay is done"
    story.when("StockReleased", "PaymentRefunded").stands("compensated")


def test_a_saga_that_has_failed_already_takes_what_should_fail_it() -> None:
    """What is undone needs to know: a late success is undone too, a failure spares the undo of what never happened."""
    strict = "{PaymentTaken: {late: fail}, PaymentDeclined: {late: fail}}"
    story = shop(strict).when("OrderPlaced", "StockRejected").then("RefundRequested")
    story.when("PaymentDeclined").stands("compensated")
    story.when("PaymentTaken").then("RefundRequested").stands("compensating", "PaymentRefunded")
    story.when("PaymentDeclined")
    assert changes(story) == ["ignored: shop.PaymentDeclined came late, pay is compensating"]
    assert letters(story) == []


def test_a_saga_that_can_not_fail_any_more_sends_the_event_to_the_dead_letters() -> None:
    """Beyond its pivot, and when it is complete."""
    story = shop("{PaymentDeclined: {late: fail}}").when("OrderPlaced", "PaymentTaken", "OrderDelivered")
    story.when("PaymentDeclined").stands("waiting", "StockReserved")
    says = "came late, pay is done: the saga can't fail, it"
    assert letters(story) == [f"saga order o1: shop.PaymentDeclined {says} is beyond its pivot"]
    done = Story(flow(step("a"), events="{AFailed: {late: fail}}")).when("Started", "ADone", "AFailed")
    done.stands("completed")
    assert letters(done) == [
        "saga flow o1: flow.AFailed came late, a is done: the saga can't fail, it has ended (completed)"
    ]


def test_a_late_success_is_undone_ignored_or_a_dead_letter() -> None:
    """Taken, as without a policy, it is undone; else it is left as it is, and the history says so."""
    gone = ("OrderPlaced", "PaymentDeclined", "StockReleased")
    late = "shop.PaymentTaken came late, pay is failed"
    shop("{PaymentTaken: {late: take}}").when(*gone, "PaymentTaken").stands("compensating", "PaymentRefunded")
    story = shop("{PaymentTaken: {late: ignore}}").when(*gone, "PaymentTaken").stands("compensated")
    assert (changes(story), letters(story)) == ([f"ignored: {late}"], [])
    story = shop("{PaymentTaken: {late: dead-letter}}").when(*gone, "PaymentTaken").stands("compensated")
    assert (changes(story), letters(story)) == ([f"a dead letter: {late}"], [f"saga order o1: {late}"])


def test_what_is_taken_and_means_nothing_is_noted() -> None:
    """`take` leaves a note where the event changes nothing."""
    story = shop("{PaymentDeclined: {late: take}}").when("OrderPlaced", "PaymentTaken", "PaymentDeclined")
    assert changes(story) == ["ignored: shop.PaymentDeclined came late, pay is done"]


def test_a_second_start_is_ignored_a_dead_letter_or_fails_the_saga() -> None:
    """While it runs and, but for failing, when only a mark is left."""
    story = shop("{OrderPlaced: {duplicate: ignore}}").when("OrderPlaced", "OrderPlaced")
    assert changes(story) == ["ignored: shop.OrderPlaced came again, the saga is waiting"]
    assert story.last.dead_letter is None
    story.when("StockRejected", "PaymentRefunded").after("30d").when("OrderPlaced")
    assert changes(story) == ["ignored: shop.OrderPlaced, saga order o1 has been started before"]
    story = shop("{OrderPlaced: {duplicate: fail}}").when("OrderPlaced", "OrderPlaced")
    story.then("StockReleaseRequested", "RefundRequested")
    assert story.instance is not None
    assert reason(story.instance) == "OrderPlaced came again"
    story.when("StockReleased", "PaymentRefunded").after("30d").when("OrderPlaced")
    assert story.last.dead_letter == "saga order o1 has been started before"


def test_a_saga_of_which_a_mark_is_left_ignores_what_is_late() -> None:
    """Where the spec says so; else it is a dead letter, whatever else a policy says."""
    story = shop("{PaymentTaken: {late: ignore}, PaymentDeclined: {late: fail}}").when("OrderPlaced", "StockRejected")
    story.when("PaymentRefunded").after("30d").when("PaymentTaken")
    ended = "saga order o1 ended (compensated) and is forgotten"
    assert changes(story) == [f"ignored: shop.PaymentTaken, {ended}"]
    for event in ("PaymentDeclined", "StockReserved"):
        story.when(event)
        assert (changes(story), story.last.dead_letter) == ([], ended)


def test_the_answer_to_an_older_run_of_a_step_is_out_of_order() -> None:
    """Emitted before the step was taken back, it says nothing of the run that is asked for now."""
    steps = (step("a", "emit: AskA", "reopens_on: Told1"), step("b"))
    story = Story(flow(*steps, events="{ADone: {out_of_order: dead-letter}}")).when("Started").after("1s").when("ADone")
    story.after("1s")
    older = story.received("ADone")
    story.after("1s").when("Told1").then("AskA", "AskA").give(older).stands("waiting", "ADone", "BDone")
    assert letters(story) == ["saga flow o1: flow.ADone came out of order, a is requested"]
    story.when("ADone", "BDone").stands("completed")


def test_the_answer_to_an_older_round_of_a_repeated_step_is_out_of_order() -> None:
    """A step that is done again knows from when on its answers count."""
    again = step("a", "emit: AskA", "repeat: {until: steps.a.n > 5, at_most: 3}")
    story = Story(flow(again, events="{ADone: {out_of_order: ignore}}")).when("Started").after("1s")
    older = story.received("ADone", n=9)
    story.after("1s").when("ADone", n=1).then("AskA", "AskA").give(older).stands("waiting", "ADone")
    assert changes(story) == ["ignored: flow.ADone came out of order, a is requested"]
    story.when("ADone", n=9).stands("completed")


def test_a_taking_back_from_before_the_success_is_out_of_order() -> None:
    """It took back an older one."""
    once = step("a", "emit: AskA", "reopens_on: Told1")
    story = Story(flow(once, events="{Told1: {out_of_order: ignore}}")).when("Started")
    older = story.received("Told1")
    story.after("1s").when("ADone").stands("completed").give(older).stands("completed")
    assert changes(story) == ["ignored: flow.Told1 came out of order, a is done"]
    story.when("Told1").stands("waiting", "ADone")


def test_the_answer_to_an_older_undo_is_out_of_order() -> None:
    """The undo's answer from before the success does not count; ignored, the answer to come is waited for."""
    story = shop("{StockReleased: {out_of_order: ignore}}").when("OrderPlaced").after("30s")
    story.then("StockReleaseRequested", "RefundRequested")
    released = story.received("StockReleased")
    story.after("10s").when("StockReserved").give(released).then()
    assert changes(story) == ["ignored: shop.StockReleased came out of order, reserve is compensating"]
    story.when("PaymentRefunded", "StockReleased").stands("compensated")


def test_an_event_that_means_nothing_is_unexpected() -> None:
    """An undo that nobody asked for, for one, may be ignored, a dead letter, or the end of the saga."""
    begun = ("OrderPlaced", "PaymentTaken", "PaymentRefunded")
    says = "shop.PaymentRefunded was not expected, pay is done"
    story = shop("{PaymentRefunded: {unexpected: ignore}}").when(*begun)
    assert changes(story) == [f"ignored: {says}"]
    story = shop("{PaymentRefunded: {unexpected: dead-letter}}").when(*begun)
    assert letters(story) == [f"saga order o1: {says}"]
    story = shop("{PaymentRefunded: {unexpected: fail}}").when(*begun)
    story.then("StockReleaseRequested", "RefundRequested")
    assert story.instance is not None
    assert reason(story.instance) == "PaymentRefunded was not expected (pay)"


def test_a_cancellation_may_come_again_late_or_unexpected() -> None:
    """Again while it is cancelled, late beyond the pivot or the end, unexpected while it is undone anyway."""
    strict = "{OrderCancelled: {late: dead-letter, duplicate: dead-letter, unexpected: dead-letter}}"
    story = shop(strict).when("OrderPlaced", "OrderCancelled", "OrderCancelled")
    assert letters(story) == ["saga order o1: shop.OrderCancelled came again, the saga is compensating"]
    story = shop(strict).when("OrderPlaced", "StockRejected", "OrderCancelled")
    assert letters(story) == ["saga order o1: shop.OrderCancelled was not expected, the saga is compensating"]
    story.when("PaymentRefunded", "OrderCancelled")
    assert letters(story) == ["saga order o1: shop.OrderCancelled came late, the saga is compensated"]
    story = shop(strict).when("OrderPlaced", "OrderDelivered", "OrderCancelled")
    assert letters(story) == ["saga order o1: shop.OrderCancelled came late, the saga is waiting"]
    story = shop("{OrderCancelled: {late: take}}").when("OrderPlaced", "OrderDelivered", "OrderCancelled")
    story.then("CancellationRefused")


# -- which policy ------------------------------------------------------------------------------------------------------


def test_a_star_speaks_for_what_no_other_table_says() -> None:
    """An event's own word counts, timing by timing; an event for which the word makes no sense keeps to itself."""
    spec = spec_of(
        changed(("steps:\n", 'events: {"*": {late: fail, early: ignore}, PaymentTaken: {late: take}}\nsteps:\n'))
    )
    does = {(one.event.removeprefix("shop."), one.timing.value): one.does for one in spec.events}
    assert does["PaymentTaken", "late"] == "take"
    assert does["PaymentTaken", "early"] == does["StockReserved", "early"] == "ignore"
    assert does["StockReserved", "late"] == "fail"
    for event in ("OrderPlaced", "OrderCancelled", "OrderDelivered"):
        assert (event, "late") not in does


def test_the_same_event_delivered_again_is_no_duplicate_in_this_sense() -> None:
    """Whatever the policies say: its id is known, also while it is kept, and it changes nothing."""
    story = shop('{"*": {early: keep, late: fail, duplicate: fail, unexpected: fail}}').when("OrderPlaced")
    for event in ("StockReserved", "ParcelHandedOver", "PaymentTaken"):
        given = story.received(event)
        before = story.give(given).instance
        assert story.give(given).instance is before
        assert (changes(story), letters(story)) == ([], [])
    story.stands("waiting", "OrderDelivered")


def test_what_is_kept_is_recognised_however_much_was_heard_since() -> None:
    """An instance remembers the ids of few events, but of each that it keeps."""
    story = shop("{ParcelHandedOver: {early: keep}, StockReserved: {duplicate: ignore}}").when("OrderPlaced")
    given = story.received("ParcelHandedOver")
    story.give(given).when(*["StockReserved"] * (SEEN_EVENTS + 1)).give(given)
    assert story.instance is not None
    assert len(story.instance.held) == 1
    assert (changes(story), letters(story)) == ([], [])


def test_an_event_with_several_meanings_comes_in_time_where_it_does_for_one() -> None:
    """Then each step makes of it what it does without a policy; else the first of early, late, again ... counts."""
    both = (
        "{name: a, completes_on: ADone, compensate: none}",
        "{name: b, completes_on: [ADone, BDone], compensate: none}",
    )
    story = Story(flow(*both, events="{ADone: {duplicate: dead-letter, late: dead-letter}}")).when("Started", "BDone")
    story.when("ADone").stands("completed")
    assert letters(story) == []
    story.when("ADone")
    assert letters(story) == ["saga flow o1: flow.ADone came again, a is done"]


def test_an_operator_brings_on_the_turn_of_a_kept_event() -> None:
    """Whatever moves the saga on lets in what waits."""
    story = shop("{ParcelHandedOver: {early: keep}}").when("OrderPlaced", "StockReserved", "ParcelHandedOver")
    command = Command(Skip("pay"), b"\xff" * 16, 1, 1, "ada", "paid in cash")
    decision = decide(story.spec, story.instance, command)
    assert "ship: requested -> done (shop.ParcelHandedOver)" in decision.changes
