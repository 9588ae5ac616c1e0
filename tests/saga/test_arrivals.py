"""decide: what comes early, late, twice or out of its time, and what is forgotten."""

import pytest

from choreo.saga.decide import decide
from choreo.saga.decision import SAGA_TIMER, Decision, Due
from choreo.saga.instance import Instance
from tests.saga.shop import ORDER, spec_of
from tests.saga.story import Story

SPEC = spec_of()


@pytest.fixture
def order() -> Story:
    return Story(SPEC)


def test_a_late_success_after_its_undo_is_undone_again(order: Story) -> None:
    """What happened after all, when everything was over, is undone in a new round with a new request_id."""
    order.when("OrderPlaced").after("30s").then("StockReleaseRequested", "RefundRequested")
    order.when("StockReleased", "PaymentRefunded").stands("compensated").after("5m")
    order.when("StockReserved").then("StockReleaseRequested").stands("compensating", "StockReleased")
    rounds = [(emit.round, emit.request_id) for emit in order.emits if emit.step == "reserve"]
    assert [number for number, _ in rounds] == [1, 2]
    assert rounds[0][1] != rounds[1][1]
    order.when("StockReleased").then().stands("compensated")


def test_a_late_success_while_its_undo_is_under_way_needs_no_other(order: Story) -> None:
    """The undo that was asked for covers what happened before its answer."""
    order.when("OrderPlaced").after("30s").when("StockReserved", "StockReleased", "PaymentRefunded")
    order.then("StockReleaseRequested", "RefundRequested").stands("compensated")


def test_a_success_emitted_after_the_undo_is_undone_whatever_the_order_of_arrival(order: Story) -> None:
    """The answer to an undo does not cover what happened after it, even if it is heard later."""
    order.when("OrderPlaced").after("30s").then("StockReleaseRequested", "RefundRequested")
    released = order.received("StockReleased")
    order.after("10s").when("StockReserved").give(released).then("StockReleaseRequested")
    order.when("StockReleased", "PaymentRefunded").stands("compensated")


def test_a_success_that_its_undo_covers_is_a_duplicate(order: Story) -> None:
    """A second success, emitted before the undo's answer and heard after it, is nothing new; one emitted later is."""
    order.when("OrderPlaced", "StockReserved")
    again = order.received("StockReserved")
    order.after("1s").when("PaymentDeclined", "StockReleased").then("StockReleaseRequested").stands("compensated")
    order.give(again).then().stands("compensated")
    order.after("1s").when("StockReserved").then("StockReleaseRequested").stands("compensating", "StockReleased")


def test_a_success_that_was_never_heard_before_its_undo_is_undone(order: Story) -> None:
    """Whether the undo came before or after it can't be known: it is undone once more."""
    order.when("OrderPlaced").after("30s").then("StockReleaseRequested", "RefundRequested")
    unheard = order.received("StockReserved")
    order.after("1s").when("StockReleased", "PaymentRefunded").give(unheard).then("StockReleaseRequested")


def test_a_late_success_of_a_step_that_never_began_is_undone(order: Story) -> None:
    """Whatever happens to a saga that is over is undone, asked for or not."""
    order.when("OrderPlaced", "StockRejected", "PaymentRefunded").then("RefundRequested").stands("compensated")
    order.when("ParcelHandedOver").then("ParcelRecallRequested").when("ParcelRecalled").stands("compensated")


def test_a_late_failure_spares_the_undo(order: Story) -> None:
    """A step that turns out not to have happened, before its undo was asked for, is not undone."""
    order.when("OrderPlaced", "ParcelHandedOver", "StockReserved", "OrderCancelled").then("ParcelRecallRequested")
    order.when("PaymentDeclined", "ParcelRecalled").then("StockReleaseRequested")
    order.stands("compensating", "StockReleased")


def test_duplicates_change_nothing(order: Story) -> None:
    """The same event twice, the same fact in another event, the same cancellation twice: one effect."""
    order.when("OrderPlaced", "StockReserved")
    taken = order.received("PaymentTaken")
    order.give(taken).then("ShipmentRequested")
    before = order.instance
    order.give(taken).when("PaymentTaken").then()
    assert order.instance is before
    assert order.last.changes == ()
    cancelled = order.received("OrderCancelled")
    order.give(cancelled).give(cancelled).then("ParcelRecallRequested")


def test_a_refused_cancellation_that_arrives_twice_is_answered_once(order: Story) -> None:
    """The duplicate of a refused cancellation is recognised by its id."""
    order.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver", "OrderDelivered")
    cancelled = order.received("OrderCancelled")
    order.give(cancelled).give(cancelled).then("ShipmentRequested", "CancellationRefused")


def test_contradictions_after_a_success_are_ignored(order: Story) -> None:
    """What a service said is done is done: a failure or an unknown after it changes nothing."""
    order.when("OrderPlaced", "PaymentTaken", "PaymentDeclined", "PaymentUnknown", "PaymentRefunded").then()
    order.stands("waiting", "StockReserved")


def test_events_before_the_start_are_kept_and_replayed(order: Story) -> None:
    """Early events wait for their saga and are applied in the order of their arrival, with one outcome."""
    order.when("PaymentTaken")
    assert order.last.keep
    assert order.last.keep_until == 86_400_000_000
    order.when("StockReserved", "OrderPlaced").then("ShipmentRequested").stands("waiting", "ParcelHandedOver")
    assert order.last.changes[0] == "started"


def test_an_event_that_was_kept_twice_counts_once(order: Story) -> None:
    """And those that were kept after it count, too."""
    taken = order.received("PaymentTaken")
    order.give(taken).give(taken).when("StockReserved", "OrderPlaced").stands("waiting", "ParcelHandedOver")
    assert [change for change in order.last.changes if change.startswith("pay:")] == [
        "pay: idle -> waiting",
        "pay: waiting -> done (shop.PaymentTaken)",
    ]
    assert order.instance is not None
    assert len(order.instance.seen) == 3


def test_what_was_said_before_the_start_is_decided_upon_at_the_start(order: Story) -> None:
    """It counts as done when it was emitted, and what follows from it begins with the saga."""
    order.when("PaymentTaken", "StockReserved").after("1h").when("OrderPlaced").then("ShipmentRequested")
    assert order.instance is not None
    assert (order.instance.started_at, order.instance.steps["pay"].done_at) == (3_600_000_000, 0)
    assert order.timers == {"ship": 3_600_000_000 + 2 * 86_400_000_000}


def test_a_cancellation_before_the_start_cancels_it(order: Story) -> None:
    """A cancellation may overtake its order: what the order began is undone at once."""
    order.when("OrderCancelled", "OrderPlaced").then("StockReleaseRequested", "RefundRequested")
    order.when("StockReleased", "PaymentRefunded").stands("cancelled")


def test_a_second_start_is_refused(order: Story) -> None:
    """One instance a key: a second start is a dead letter with the reason, while it runs, ended or is forgotten."""
    order.when("OrderPlaced", "OrderPlaced")
    assert order.last.dead_letter == "saga order o1 has been started before"
    order.when("StockRejected", "PaymentRefunded").stands("compensated").after("30d")
    assert order.instance is not None
    assert order.instance.forgotten
    order.tells("compensated, and forgotten but for its key")
    order.when("OrderPlaced")
    assert order.last.dead_letter == "saga order o1 has been started before"


def test_a_timer_that_nobody_waits_for_changes_nothing(order: Story) -> None:
    """A timer before its time, of another name, of a saga that runs or is forgotten: nothing happens."""
    order.when("OrderPlaced").after("1s")
    for name, now in (("reserve", 29_999_999), ("weather", 10**12), (SAGA_TIMER, 10**15)):
        assert decide(SPEC, order.instance, Due(name, now)) == Decision(order.instance)
    assert decide(SPEC, None, Due("reserve", 10**12)) == Decision(None)
    order.when("StockRejected", "PaymentRefunded").stands("compensated")
    assert decide(SPEC, order.instance, Due(SAGA_TIMER, 10**12)) == Decision(order.instance)
    order.after("30d")
    assert decide(SPEC, order.instance, Due("reserve", 10**15)) == Decision(order.instance)
    assert decide(SPEC, order.instance, Due(SAGA_TIMER, order.now + 1)) == Decision(order.instance)


def test_keeping_for_ever_sets_no_timer() -> None:
    """`keep_ended: none` keeps the instance, `refuse_again: none` its mark."""
    for_ever = Story(spec_of("keep_ended: none\n" + ORDER)).when("OrderPlaced", "StockRejected", "PaymentRefunded")
    assert for_ever.timers == {}
    assert decide(for_ever.spec, for_ever.instance, Due(SAGA_TIMER, 10**15)) == Decision(for_ever.instance)
    mark = Story(spec_of("refuse_again: none\n" + ORDER)).when("OrderPlaced", "StockRejected", "PaymentRefunded")
    assert not mark.after("365d").is_gone()
    assert mark.timers == {}


def test_an_ended_instance_is_forgotten_then_gone(order: Story) -> None:
    """After keep_ended only a mark is left, after refuse_again nothing; then the key may be used again."""
    order.after("1s").when("OrderPlaced").after("1s").when("StockRejected", "PaymentRefunded").after("30d")
    second, day = 1_000_000, 86_400_000_000
    assert order.instance == Instance(
        saga="order",
        key="o1",
        version=1,
        digest=SPEC.digest,
        status="compensated",
        started_at=second,
        ended_at=2 * second,
        due=2 * second + 395 * day,
        forgotten=True,
    )
    order.when("PaymentTaken")
    assert order.last.dead_letter == "saga order o1 ended (compensated) and is forgotten"
    assert order.after("365d").is_gone()
    order.when("OrderPlaced").stands("waiting", "StockReserved", "PaymentTaken")


def test_a_key_that_may_be_used_again_leaves_no_mark() -> None:
    """`refuse_again: 0s`: nothing is left after keep_ended."""
    order = Story(spec_of("refuse_again: 0s\n" + ORDER)).when("OrderPlaced", "StockRejected", "PaymentRefunded")
    assert order.after("30d").is_gone()
    assert order.timers == {}


def test_a_reopened_saga_is_kept_from_its_new_end(order: Story) -> None:
    """A late success reopens an ended saga; its keeping begins again when it ends again."""
    order.when("OrderPlaced", "StockRejected", "PaymentRefunded").after("29d").when("PaymentTaken")
    order.stands("compensating", "PaymentRefunded").when("PaymentRefunded").after("29d").stands("compensated")
    assert order.instance is not None
    assert not order.instance.forgotten
