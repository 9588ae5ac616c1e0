"""decide: forward, failing, cancelling, timing out, undoing."""

import pytest

from choreo.saga.instance import Cause, StepRecord
from tests.saga.shop import ORDER, changed, spec_of
from tests.saga.story import Story

SPEC = spec_of()


@pytest.fixture
def order() -> Story:
    return Story(SPEC)


def test_a_saga_goes_forward_to_its_end(order: Story) -> None:
    """Steps without emit wait at once; the one with emit is requested when what it comes after is done."""
    order.when("OrderPlaced").then().stands("waiting", "StockReserved", "PaymentTaken")
    order.when("StockReserved").then().stands("waiting", "PaymentTaken")
    order.when("PaymentTaken").then("ShipmentRequested").stands("waiting", "ParcelHandedOver")
    order.when("ParcelHandedOver").then().stands("waiting", "OrderDelivered")
    order.when("OrderDelivered").then().stands("completed")
    order.tells(
        "completed: reserve done (StockReserved), pay done (PaymentTaken), ship done (ParcelHandedOver), "
        "deliver done (OrderDelivered)"
    )


def test_a_saga_begins_with_what_its_start_says(order: Story) -> None:
    """Its key, its spec, the fields that are remembered, the story that it belongs to, and since when."""
    order.after("1s").when("OrderPlaced")
    assert order.instance is not None
    assert order.instance.model_dump(exclude={"steps", "seen"}, exclude_defaults=True) == {
        "saga": "order",
        "key": "o1",
        "version": 1,
        "digest": SPEC.digest,
        "remembered": {"warehouse": "vienna", "total": "9.00"},
        "correlation_id": "story-1",
        "started_at": 1_000_000,
    }
    assert {name: record.state for name, record in order.instance.steps.items()} == {
        "reserve": "waiting",
        "pay": "waiting",
        "ship": "idle",
        "deliver": "idle",
    }
    assert order.instance.steps["ship"] == StepRecord()


def test_the_order_of_arrival_does_not_matter(order: Story) -> None:
    """Events of later steps that arrive first are accepted, and a step that happened unasked is not requested."""
    order.when("OrderPlaced", "OrderDelivered", "ParcelHandedOver", "PaymentTaken", "StockReserved")
    order.then().stands("completed")


def test_a_request_is_filled_from_what_is_remembered(order: Story) -> None:
    """Fields of an emitted event come from the saga's key and from the start event, by name."""
    order.when("OrderPlaced", "StockReserved", "PaymentTaken")
    (emit,) = order.emits
    assert (emit.event, dict(emit.fields)) == ("shop.ShipmentRequested", {"order_id": "o1", "warehouse": "vienna"})
    assert (emit.kind, emit.step, emit.attempt, len(emit.request_id)) == ("do", "ship", 1, 16)


def test_a_step_whose_condition_is_false_is_skipped(order: Story) -> None:
    """What costs nothing is not paid for; the steps after it go on."""
    order.when("OrderPlaced", total="0.00").stands("waiting", "StockReserved")
    assert order.state("pay") == "skipped"
    order.when("StockReserved").then("ShipmentRequested")


def test_a_failure_undoes_what_completed(order: Story) -> None:
    """The failed step is not undone, what completed is; then the saga is compensated."""
    order.when("OrderPlaced", "StockReserved", "PaymentDeclined").then("StockReleaseRequested")
    order.stands("compensating", "StockReleased")
    order.tells("compensating: pay failed (PaymentDeclined), reserve is being undone (waits for StockReleased)")
    order.when("StockReleased").then().stands("compensated")
    order.tells("compensated: pay failed (PaymentDeclined), reserve undone (StockReleased)")


def test_a_failure_undoes_what_may_be_under_way(order: Story) -> None:
    """A step that services start by themselves may be happening when another fails: it is undone too."""
    order.when("OrderPlaced", "StockRejected").then("RefundRequested").stands("compensating", "PaymentRefunded")
    order.when("PaymentRefunded").stands("compensated")
    order.tells("compensated: reserve failed (StockRejected), pay undone (PaymentRefunded)")


def test_nothing_to_undo_ends_at_once() -> None:
    """A saga that fails before anything happened is compensated with the failure."""
    spec = spec_of(changed(("  - name: pay\n", "  - name: pay\n    after: reserve\n")))
    Story(spec).when("OrderPlaced", "StockRejected").then().stands("compensated")


def test_an_undo_gives_back_what_the_step_said(order: Story) -> None:
    """A mapping takes over what the completing event said, exactly; where it never came, the field is null."""
    order.when("OrderPlaced").when("PaymentTaken", amount="12345678.90").when("StockRejected")
    assert dict(order.emits[-1].fields) == {"order_id": "o1", "amount": "12345678.90"}
    silent = Story(SPEC).when("OrderPlaced", "StockRejected")
    assert dict(silent.emits[-1].fields) == {"order_id": "o1", "amount": None}


def test_a_failure_ends_an_undo_that_was_asked_for_in_vain(order: Story) -> None:
    """A step that might have happened says that it did not: nobody waits for its undo any more."""
    order.when("OrderPlaced", "StockRejected").then("RefundRequested").when("PaymentDeclined").then()
    order.stands("compensated").when("PaymentRefunded").then().stands("compensated")


def test_a_failure_after_a_success_ends_no_undo(order: Story) -> None:
    """What was heard to have happened is undone, whatever is said of it later."""
    order.when("OrderPlaced", "PaymentTaken", "StockRejected").then("RefundRequested").when("PaymentDeclined")
    order.stands("compensating", "PaymentRefunded")


def test_undo_goes_in_the_reversed_order(order: Story) -> None:
    """A later step is undone before those that it came after; those that are independent are undone in parallel."""
    order.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver").then("ShipmentRequested")
    order.when("OrderCancelled").then("ParcelRecallRequested").stands("compensating", "ParcelRecalled")
    order.when("ParcelRecalled").then("StockReleaseRequested", "RefundRequested")
    order.when("PaymentRefunded").then().stands("compensating", "StockReleased")
    order.when("StockReleased").stands("cancelled")
    order.tells(
        "cancelled: cancelled (OrderCancelled), reserve undone (StockReleased), pay undone (PaymentRefunded), "
        "ship undone (ParcelRecalled)"
    )


def test_undoing_stops_every_clock_but_its_own(order: Story) -> None:
    """A step that may be under way and has no undo is left alone: its time no longer matters."""
    order.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver", "OrderCancelled")
    assert order.state("deliver") == "unknown"
    assert order.timers == {"ship": 3_600_000_000}


def test_a_cancellation_marks_the_requests_after_it(order: Story) -> None:
    """Requests that a cancellation causes carry its mark, those of a failure don't."""
    order.when("OrderPlaced", "StockReserved", "OrderCancelled")
    assert [emit.cancelled for emit in order.emits] == [True, True]
    failed = Story(SPEC).when("OrderPlaced", "StockReserved", "PaymentDeclined")
    assert [emit.cancelled for emit in failed.emits] == [False]


def test_a_cancellation_beyond_the_pivot_is_refused(order: Story) -> None:
    """Once delivered there is only forward: the cancellation is answered by an event."""
    order.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver", "OrderDelivered").then(
        "ShipmentRequested"
    )
    order.when("OrderCancelled").then("CancellationRefused").stands("completed")
    assert dict(order.emits[-1].fields) == {"order_id": "o1"}
    assert order.last.changes == ("cancellation refused (shop.OrderCancelled)",)


def test_a_cancellation_between_pivot_and_end_is_refused() -> None:
    """Beyond the pivot a saga goes on to its end, whatever the customer wishes."""
    earlier_pivot = (("    pivot: true\n", ""), ("    emit: Ship", "    pivot: true\n    emit: Ship"))
    order = Story(spec_of(changed(("on_timeout: escalate", "compensate: none"), *earlier_pivot)))
    order.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver", "OrderCancelled")
    order.then("ShipmentRequested", "CancellationRefused").stands("waiting", "OrderDelivered")


def test_a_completed_saga_without_a_pivot_refuses_too() -> None:
    """What is over can't be cancelled; where no event is named for it, that is silent, but told in the lifecycle."""
    text = changed(("    pivot: true\n", "    compensate: none\n"), (", refused: CancellationRefused", ""))
    order = Story(spec_of(text)).when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver")
    order.when("OrderDelivered", "OrderCancelled").then("ShipmentRequested").stands("completed")
    assert order.last.changes == ("cancellation refused (shop.OrderCancelled)",)


def test_a_cancellation_while_undoing_changes_nothing(order: Story) -> None:
    """What caused the undo stays the cause; after the end a second cancellation is a duplicate."""
    order.when("OrderPlaced", "StockReserved", "PaymentDeclined").then("StockReleaseRequested")
    order.when("OrderCancelled").then().stands("compensating", "StockReleased")
    order.when("StockReleased", "OrderCancelled").then().stands("compensated")


def test_a_failure_beyond_the_pivot_is_stuck_until_it_heals() -> None:
    """After the pivot nothing is undone: a failing step makes the saga stuck, and a late success heals it."""
    earlier_pivot = (("    pivot: true\n", ""), ("    emit: Ship", "    pivot: true\n    emit: Ship"))
    spec = spec_of(changed(("on_timeout: escalate", "on_timeout: fail"), *earlier_pivot))
    order = Story(spec).when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver")
    order.then("ShipmentRequested").after("30d").then().stands("stuck", "OrderDelivered")
    order.tells(
        "stuck: deliver timed out, reserve done (StockReserved), pay done (PaymentTaken), "
        "ship done (ParcelHandedOver), waits for OrderDelivered"
    )
    order.when("OrderDelivered").then().stands("completed")


def test_a_step_that_times_out_may_have_happened(order: Story) -> None:
    """Silence is not a failure: after its time a step counts as 'may have happened' and is undone as well."""
    order.when("OrderPlaced", "PaymentTaken").after("29s").then()
    order.after("1s").then("StockReleaseRequested", "RefundRequested")
    order.when("StockReleased", "PaymentRefunded").stands("compensated")
    order.tells("compensated: reserve timed out, reserve undone (StockReleased), pay undone (PaymentRefunded)")


def test_unknown_is_undone_like_a_timeout(order: Story) -> None:
    """A service that says 'may have happened' is asked to undo."""
    order.when("OrderPlaced", "StockReserved", "PaymentUnknown").then("StockReleaseRequested", "RefundRequested")
    order.when("PaymentRefunded", "StockReleased").stands("compensated")
    assert order.instance is not None
    assert order.instance.cause == Cause(kind="unknown", step="pay", by="shop.PaymentUnknown")


def test_a_timer_of_a_step_that_is_done_means_nothing(order: Story) -> None:
    """A stale timer fires into the void, also long after."""
    order.when("OrderPlaced", "StockReserved", "PaymentTaken").after("1h")
    order.then("ShipmentRequested").stands("waiting", "ParcelHandedOver")


def test_escalation_goes_on_waiting(order: Story) -> None:
    """A step that is overdue is said to be, once, and still waited for."""
    order.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver").after("30d")
    assert order.last.changes == ("deliver: overdue",)
    order.stands("waiting", "OrderDelivered").after("365d").stands("waiting", "OrderDelivered")
    order.when("OrderDelivered").stands("completed")


def test_escalation_tells_within_and_deadline() -> None:
    """A step that escalates is told to be overdue at its time and at its deadline, then waited for in silence."""
    text = changed(("    within: 30d\n", "    within: 10d\n    deadline: 20d\n"))
    order = Story(spec_of(text)).when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver").after("10d")
    order.tells(
        "waiting: reserve done (StockReserved), pay done (PaymentTaken), ship done (ParcelHandedOver), "
        "deliver is overdue, waits for OrderDelivered"
    )
    assert order.timers == {"deliver": 20 * 86_400_000_000}
    order.after("10d")
    assert order.last.changes == ("deliver: overdue",)
    assert order.timers == {}


def test_a_deadline_ends_retries() -> None:
    """No request is made again at or after the deadline."""
    text = changed(("within: 2d", "within: 1h\n    deadline: 2h\n    on_timeout: {retry: {attempts: 9, wait: 1h}}"))
    order = Story(spec_of(text)).when("OrderPlaced", "StockReserved", "PaymentTaken").after("2h")
    order.then("ShipmentRequested", "ParcelRecallRequested")


def test_the_order_in_the_file_does_not_matter() -> None:
    """Steps may stand before those that they come after: what is skipped or done makes way for them all the same."""
    head, *steps = ORDER.split("  - name: ")
    order = Story(spec_of("  - name: ".join([head, *(step.rstrip() + "\n" for step in reversed(steps))])))
    order.when("OrderPlaced", total="0.00").stands("waiting", "StockReserved")
    order.when("StockReserved").then("ShipmentRequested").stands("waiting", "ParcelHandedOver")
    free = changed(("    when: saga.total > 0\n", "    when: saga.total > 0\n    after: reserve\n"))
    head, *steps = free.split("  - name: ")
    order = Story(spec_of("  - name: ".join([head, *(step.rstrip() + "\n" for step in reversed(steps))])))
    order.when("OrderPlaced", total="0.00").when("StockReserved").then("ShipmentRequested")


RETRY = spec_of(changed(("    within: 2d\n", "    within: 1h\n    on_timeout: {retry: {attempts: 3, wait: 10m}}\n")))


def test_a_retry_asks_again_under_the_same_request_id() -> None:
    """Asked three times: one request_id, a rising attempt; then the step counts as 'may have happened'."""
    order = Story(RETRY).when("OrderPlaced", "StockReserved", "PaymentTaken").then("ShipmentRequested")
    order.after("1h").then().after("10m").then("ShipmentRequested")
    order.after("70m").then("ShipmentRequested")
    assert [emit.attempt for emit in order.emits] == [1, 2, 3]
    assert len({emit.request_id for emit in order.emits}) == 1
    order.after("1h").then("ParcelRecallRequested").stands("compensating", "ParcelRecalled")


def test_an_answer_to_a_retry_ends_it() -> None:
    """No further request after the answer, whichever attempt it answers."""
    order = Story(RETRY).when("OrderPlaced", "StockReserved", "PaymentTaken").after("70m")
    order.when("ParcelHandedOver").after("5h").then("ShipmentRequested", "ShipmentRequested")
    order.stands("waiting", "OrderDelivered")


def test_a_deadline_counts_from_the_start() -> None:
    """A deadline ends a step however late it began; a step that could not begin by then failed and is not undone."""
    late = spec_of(changed(("    within: 2d\n", "    within: 2d\n    deadline: 20m\n")))
    order = Story(late).when("OrderPlaced", "StockReserved").after("10m").when("PaymentTaken")
    order.then("ShipmentRequested").after("9m").then().after("1m").then("ParcelRecallRequested")
    idle = Story(late).when("OrderPlaced", "StockReserved").after("20m")
    idle.then("StockReleaseRequested", "RefundRequested")
    assert idle.state("ship") == "failed"


def test_no_limit_waits_for_ever() -> None:
    """`within: none` sets no timer."""
    spec = spec_of(changed(("within: 30s", "within: none"), ("within: 1h", "within: none")))
    order = Story(spec).when("OrderPlaced")
    assert order.timers == {}
    order.after("365d").stands("waiting", "StockReserved", "PaymentTaken")


def test_a_silent_undo_is_asked_again_then_stuck_then_healed(order: Story) -> None:
    """An undo has attempts of its own under one request_id; then the saga is stuck; a late answer heals it."""
    order.when("OrderPlaced", "StockReserved", "PaymentDeclined").after("1m")
    order.then("StockReleaseRequested", "StockReleaseRequested").stands("compensating", "StockReleased")
    assert [emit.attempt for emit in order.emits] == [1, 2]
    assert len({emit.request_id for emit in order.emits}) == 1
    order.after("1m").then().stands("stuck", "StockReleased")
    order.tells("stuck: pay failed (PaymentDeclined), reserve can't be undone (timeout), waits for StockReleased")
    order.after("30d").stands("stuck", "StockReleased")
    order.when("StockReleased").stands("compensated")


def test_a_failing_undo_is_asked_again_after_its_wait(order: Story) -> None:
    """A service that can't undo is asked again after the wait; at the last failure the saga is stuck at once."""
    order.when("OrderPlaced", "StockReserved", "PaymentDeclined", "StockReleaseFailed").then("StockReleaseRequested")
    order.after("9s").then().after("1s").then("StockReleaseRequested")
    order.when("StockReleaseFailed").then().stands("stuck", "StockReleased")
    assert order.timers == {}
    order.tells(
        "stuck: pay failed (PaymentDeclined), reserve can't be undone (StockReleaseFailed), waits for StockReleased"
    )


def test_failures_of_one_undo_are_one_failure(order: Story) -> None:
    """A second failure before the next request changes nothing; nor does one of a step that is not being undone."""
    order.when("OrderPlaced", "StockReserved", "StockReleaseFailed").stands("waiting", "PaymentTaken")
    order.when("PaymentDeclined", "StockReleaseFailed").after("5s").when("StockReleaseFailed").after("5s")
    order.then("StockReleaseRequested", "StockReleaseRequested").stands("compensating", "StockReleased")


def test_an_undo_that_can_not_be_asked_for_is_stuck() -> None:
    """A mapping of an undo that can't be worked out is shown, and no timer runs for it."""
    text = changed(("{amount: steps.pay.amount}", "{amount: saga.total * double(1 / int(saga.total))}"))
    order = Story(spec_of(text)).when("OrderPlaced", total="0.50").when("PaymentTaken", "StockRejected")
    order.then().stands("stuck", "PaymentRefunded")
    order.tells(
        "stuck: reserve failed (StockRejected), "
        "pay can't be undone (shop.RefundRequested.amount: divide by zero), waits for PaymentRefunded"
    )
    assert order.timers == {}
    order.when("PaymentRefunded").stands("compensated")


def test_a_stuck_undo_holds_back_only_what_came_before_it(order: Story) -> None:
    """Independent steps are undone although one is stuck; a step is undone only after those that follow it."""
    order.when("OrderPlaced", "StockReserved", "PaymentTaken", "OrderCancelled")
    order.then("ShipmentRequested", "ParcelRecallRequested").after("4h").stands("stuck", "ParcelRecalled")
    order.then("ParcelRecallRequested", "ParcelRecallRequested")
    order.when("ParcelRecalled").then("StockReleaseRequested", "RefundRequested")
    order.stands("compensating", "StockReleased", "PaymentRefunded")


def test_an_expression_without_an_answer_fails_its_step() -> None:
    """A condition that can't be worked out is a visible failure, not a silent skip."""
    spec = spec_of(changed(("when: saga.total > 0", "when: 1 / int(saga.total) > 0")))
    order = Story(spec).when("OrderPlaced", total="0.00").when("StockReleased").stands("compensated")
    order.tells("compensated: pay failed (when: divide by zero), reserve undone (StockReleased)")


def test_a_mapping_is_computed_and_rounded() -> None:
    """A computed Decimal has as many places as its field."""
    computed = "    emit: {event: ChargeRequested, with: {total: steps.pay.amount / 3}}\n"
    spec = spec_of(changed(("    emit: ShipmentRequested\n", computed), ("    when: saga.total > 0\n", "")))
    order = Story(spec).when("OrderPlaced", "StockReserved").when("PaymentTaken", amount="10.00")
    assert dict(order.emits[0].fields) == {"order_id": "o1", "total": "3.33"}


def test_a_completed_saga_emits_nothing_more(order: Story) -> None:
    """After the end only a refused cancellation is answered."""
    order.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver", "OrderDelivered")
    order.when("StockRejected", "PaymentUnknown", "StockReserved", "StockReleased", "StockReleaseFailed").after("29d")
    order.then("ShipmentRequested").stands("completed")
