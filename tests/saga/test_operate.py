"""decide: what an operator orders, in each state; what makes no sense is refused with its reason."""

from typing import Self

import pytest

from choreo.saga.decision import Answer, Cancel, Order, Resolve, Retry, Skip
from choreo.saga.rules import Spec
from tests.saga.flow import flow, step
from tests.saga.shop import changed, spec_of
from tests.saga.story import Story

SPEC = spec_of()
PIVOT_EARLY = changed(
    ("    pivot: true\n", ""), ("    fails_on: StockRejected\n", "    fails_on: StockRejected\n    pivot: true\n")
)
PIVOT_AT_RESERVE = spec_of(PIVOT_EARLY)
"""Once stock is reserved there is only forward: what fails then is stuck."""


class Desk(Story):
    """A story in which an operator takes part."""

    def refuses(self, order: Order, why: str) -> Self:
        """The order changes no step, emits nothing and is noted with its reason."""
        before = self.instance
        assert before is not None
        self.orders(order).then()
        assert self.instance is not None
        assert self.instance.model_copy(update={"seen": ()}) == before.model_copy(update={"seen": ()})
        (note,) = self.last.changes
        assert note.endswith(f"(by ada: seen it) refused: {why}")
        assert self.last.refused == why
        return self


@pytest.fixture
def desk() -> Desk:
    return Desk(SPEC)


def stuck_forward(spec: Spec = PIVOT_AT_RESERVE) -> Desk:
    """Past the pivot the shipment timed out: stuck at `ship`."""
    story = Desk(spec)
    story.when("OrderPlaced", "StockReserved", "PaymentTaken").then("ShipmentRequested")
    story.after("2d").then().stands("stuck", "ParcelHandedOver")
    return story


def stuck_backward() -> Desk:
    """The payment failed and the stock can't be released: stuck at the undo of `reserve`."""
    story = Desk(SPEC)
    story.when("OrderPlaced", "StockReserved", "PaymentDeclined", "StockReleaseFailed").after("10s")
    story.when("StockReleaseFailed").stands("stuck", "StockReleased")
    story.then("StockReleaseRequested", "StockReleaseRequested")
    return story


# -- retry -------------------------------------------------------------------------------------------------------------


def test_retry_asks_for_a_stuck_step_again() -> None:
    """It is the same request in its next attempt, with its time beginning anew; who and why are noted."""
    story = stuck_forward()
    story.orders(Retry("ship")).then("ShipmentRequested").stands("waiting", "ParcelHandedOver")
    assert story.last.changes[0] == "retry ship (by ada: seen it)"
    first, again = (emit for emit in story.emits if emit.step == "ship")
    assert (first.request_id, again.attempt) == (again.request_id, 2)
    story.after("2d").stands("stuck", "ParcelHandedOver")


def test_retry_asks_for_an_unanswered_step_again(desk: Desk) -> None:
    """A request whose answer is still awaited may be made again: it has the same id, so it is done once."""
    desk.when("OrderPlaced", "StockReserved", "PaymentTaken").then("ShipmentRequested")
    desk.after("1d").orders(Retry("ship")).then("ShipmentRequested")
    assert desk.emits[0].request_id == desk.emits[1].request_id
    desk.after("1d").then().stands("waiting", "ParcelHandedOver")


def test_retry_past_the_deadline_gets_its_time() -> None:
    """A deadline that is over does not end a step that an operator has begun anew."""
    story = stuck_forward(spec_of(changed(("within: 2d", "deadline: 2d"), text=PIVOT_EARLY)))
    story.orders(Retry("ship")).then("ShipmentRequested").stands("waiting", "ParcelHandedOver")
    story.after("59m").then().stands("waiting", "ParcelHandedOver")
    story.after("1m").stands("stuck", "ParcelHandedOver")


def test_retry_asks_for_a_failed_undo_once_more() -> None:
    """One more attempt of the same round; where that fails, the saga is stuck again."""
    story = stuck_backward()
    story.orders(Retry("reserve")).then("StockReleaseRequested").stands("compensating", "StockReleased")
    undos = [emit for emit in story.emits if emit.kind == "undo"]
    assert [emit.attempt for emit in undos] == [1, 2, 3]
    assert len({emit.request_id for emit in undos}) == 1
    story.when("StockReleaseFailed").then().stands("stuck", "StockReleased")
    story.orders(Retry("reserve")).then("StockReleaseRequested")
    story.when("StockReleased").then().stands("compensated")


def test_retry_is_refused_where_nothing_was_asked_for(desk: Desk) -> None:
    """Each state says why there is nothing to ask for again."""
    desk.when("OrderPlaced")
    desk.refuses(Retry("ship"), "step ship is idle: nothing has been asked for that could be asked for again")
    desk.refuses(Retry("pay"), "step pay is waiting: nothing has been asked for that could be asked for again")
    desk.refuses(Retry("shop"), "there is no step shop, the steps are reserve, pay, ship, deliver")
    desk.when("StockReserved")
    desk.refuses(Retry("reserve"), "step reserve is done: nothing has been asked for that could be asked for again")
    desk.when("PaymentDeclined").then("StockReleaseRequested")
    why = "step pay is failed: no undo has been asked for that could be asked for again"
    desk.refuses(Retry("pay"), why)


def test_retry_is_refused_where_services_begin_by_themselves() -> None:
    """Without `emit` there is no request to repeat."""
    story = Desk(PIVOT_AT_RESERVE).when("OrderPlaced", "StockReserved", "PaymentDeclined")
    story.stands("stuck", "PaymentTaken")
    why = "the saga does not ask for step pay, services begin it by themselves: answer or resolve it"
    story.refuses(Retry("pay"), why)


def test_retry_gives_a_step_everything_anew() -> None:
    """Its wait is over, it is not overdue any more, and as many questions may be asked as before."""
    rests = "on_timeout: {retry: {attempts: 2, wait: 10m}}"
    story = Desk(flow(step("a", "emit: AskA", "within: 1h", rests))).when("Started").after("1h").then("AskA")
    story.orders(Retry("a")).then("AskA").after("59m").then().stands("waiting", "ADone")
    story.after("1m").then("UndoA")
    late = Desk(flow(step("a", "emit: AskA", "within: 1h", "on_timeout: escalate"))).when("Started").after("1h")
    late.tells("waiting: a is overdue, waits for ADone").orders(Retry("a")).tells("waiting: a waits for ADone")
    asks = "on_timeout: {ask: {emit: Told1, within: 10m, attempts: 1}}"
    silent = Desk(flow(step("a", "emit: AskA", "within: 1h", asks))).when("Started").after("1h").then("AskA", "Told1")
    silent.orders(Retry("a")).then("AskA").after("1h").then("Told1")


FIRST = step("a", "pivot: true", undone=False)
"""What comes after it is stuck where it fails."""


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("emit: AskB, when: 1 / saga.n > 0", "the condition of step b can't be worked out: skip or resolve it"),
        ("emit: {event: Told, with: {m: 1 / saga.n}}", "flow.Told.m: divide by zero"),
        ("emit: AskB, within: saga.at", "how long step b may take can't be worked out: saga.at: "),
        ("emit: AskB, deadline: saga.at", "how long step b may take can't be worked out: saga.at: "),
    ],
)
def test_retry_is_refused_where_the_request_still_cannot_be_made(more: str, why: str) -> None:
    """The refusal says what can't be worked out; nothing is asked for."""
    story = Desk(flow(FIRST, step("b", "after: a", more))).when("Started", n=0).when("ADone").stands("stuck", "BDone")
    before = story.instance
    story.orders(Retry("b")).then()
    assert story.last.refused is not None
    assert story.last.refused.startswith(why)
    assert before is not None
    assert story.state("b") == "failed"


def test_retry_of_an_undo_is_refused_where_the_request_still_cannot_be_made() -> None:
    """A mapping that has no answer has none when it is asked again."""
    undo = "{emit: {event: Told, with: {m: 1 / saga.n}}, done_on: AUndone}"
    story = Desk(flow(f"{{name: a, completes_on: ADone, compensate: {undo}}}", step("b", "after: a")))
    story.when("Started", n=0).when("ADone", "BFailed").then().stands("stuck", "AUndone")
    story.refuses(Retry("a"), "flow.Told.m: divide by zero")


def test_retry_of_the_undo_of_an_item_is_tried_with_its_own_fields() -> None:
    """What can't be worked out for this item is refused, whatever holds for others."""
    undo = "{emit: {event: Told, with: {m: 1 / (size(item) - 1)}}, done_on: AUndone}"
    each = f"{{name: a, for_each: saga.items, item_key: item, completes_on: ADone, compensate: {undo}}}"
    story = Desk(flow(each, step("b", "after: a"))).when("Started", items=["x", "yy"])
    story.when("ADone", item="x").when("ADone", item="yy").when("BFailed").then("Told").stands("stuck", "AUndone")
    story.refuses(Retry("a[x]"), "flow.Told.m: divide by zero")
    story.orders(Retry("a[yy]")).then("Told")


def test_an_undo_that_is_asked_for_again_is_no_problem_any_more() -> None:
    """What made it stuck is forgotten with the next request."""
    story = stuck_backward()
    story.tells(
        "stuck: pay failed (PaymentDeclined), reserve can't be undone (StockReleaseFailed), waits for StockReleased"
    )
    story.orders(Retry("reserve"))
    assert story.instance is not None
    assert story.instance.steps["reserve"].problem == ""


# -- skip --------------------------------------------------------------------------------------------------------------


def test_skip_goes_on_without_a_stuck_step() -> None:
    """The steps after it begin; a success that comes all the same is taken."""
    story = stuck_forward().orders(Skip("ship")).stands("waiting", "OrderDelivered")
    assert story.state("ship") == "skipped"
    assert "ship: unknown -> skipped" in story.last.changes
    story.when("ParcelHandedOver")
    assert story.state("ship") == "done"
    story.when("OrderDelivered").stands("completed")


@pytest.mark.parametrize("step", ["reserve", "pay", "ship"])
def test_skip_takes_any_step_that_is_open(desk: Desk, step: str) -> None:
    """Also before its turn has come; its timer is gone with it."""
    desk.when("OrderPlaced").orders(Skip(step))
    assert desk.state(step) == "skipped"
    assert step not in desk.timers


def test_skip_leaves_what_can_not_be_undone() -> None:
    """The saga ends without that undo."""
    story = stuck_backward().orders(Skip("reserve")).then().stands("compensated")
    assert story.state("reserve") == "skipped"


def test_skip_is_refused_for_what_is_settled(desk: Desk) -> None:
    """What is done stays done; while undoing, only an undo can be skipped."""
    desk.when("OrderPlaced", "StockReserved").refuses(Skip("reserve"), "step reserve is done")
    desk.when("PaymentDeclined").then("StockReleaseRequested")
    why = "step pay is failed: while a saga is undone, only an undo that was asked for can be skipped"
    desk.refuses(Skip("pay"), why)


# -- resolve -----------------------------------------------------------------------------------------------------------


def test_resolve_done_goes_on_as_if_the_event_had_come() -> None:
    """A stuck step that somebody saw happen is done."""
    story = stuck_forward().orders(Resolve("ship", "done")).stands("waiting", "OrderDelivered")
    story.when("OrderDelivered").stands("completed")
    story.tells(
        "completed: reserve done (StockReserved), pay done (PaymentTaken), ship done (operator ada), "
        "deliver done (OrderDelivered)"
    )


def test_resolve_failed_undoes_the_rest(desk: Desk) -> None:
    """Before the pivot it is a failure like any other, and what failed is not undone."""
    desk.when("OrderPlaced", "StockReserved").orders(Resolve("pay", "failed")).then("StockReleaseRequested")
    desk.when("StockReleased").stands("compensated")
    desk.tells("compensated: pay failed (operator ada), reserve undone (StockReleased)")


def test_resolve_failed_spares_the_undo_of_what_may_have_happened(desk: Desk) -> None:
    """What is to be undone only because it may have happened is left alone once it certainly did not."""
    spec = spec_of(changed(("  - name: pay\n", "  - name: pay\n    after: reserve\n")))
    story = Desk(spec).when("OrderPlaced", "PaymentTaken", "OrderCancelled").then("RefundRequested")
    assert story.state("reserve") == "unknown"
    story.orders(Resolve("reserve", "failed")).when("PaymentRefunded").then().stands("cancelled")


def test_resolve_compensated_ends_a_stuck_undo() -> None:
    """Somebody undid it by hand."""
    story = stuck_backward().orders(Resolve("reserve", "compensated")).then().stands("compensated")
    story.tells("compensated: pay failed (PaymentDeclined), reserve undone (operator ada)")


def test_resolve_done_while_undoing_is_a_late_success(desk: Desk) -> None:
    """What happened after all is undone; what its event told before is still known."""
    desk.when("OrderPlaced", "StockReserved", "PaymentTaken", "OrderCancelled").after("1s")
    desk.then("ShipmentRequested", "ParcelRecallRequested")
    desk.when("ParcelRecalled", "PaymentRefunded").then("StockReleaseRequested", "RefundRequested")
    desk.after("1s").orders(Resolve("pay", "done")).then("RefundRequested")
    assert [emit.fields["amount"] for emit in desk.emits if emit.step == "pay"] == ["9.00", "9.00"]


def test_resolve_is_refused_where_it_says_nothing_new(desk: Desk) -> None:
    """Each outcome fits only where it may be so."""
    desk.when("OrderPlaced", "StockReserved")
    desk.refuses(Resolve("reserve", "done"), "step reserve is done")
    desk.refuses(Resolve("reserve", "failed"), "step reserve is done")
    desk.refuses(Resolve("reserve", "compensated"), "step reserve is done: no undo has been asked for")
    desk.when("PaymentDeclined").then("StockReleaseRequested")
    why = "step reserve is compensating: if nothing is left to undo, resolve it as compensated"
    desk.refuses(Resolve("reserve", "failed"), why)


# -- cancel ------------------------------------------------------------------------------------------------------------


def test_cancel_undoes_a_saga_whose_spec_knows_no_cancellation() -> None:
    """As `cancels_on` does, also where there is none."""
    story = Desk(spec_of(changed(("cancels_on: {event: OrderCancelled, refused: CancellationRefused}\n", ""))))
    story.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver").then("ShipmentRequested")
    story.orders(Cancel()).then("ParcelRecallRequested")
    assert story.emits[-1].cancelled
    story.when("ParcelRecalled", "PaymentRefunded", "StockReleased").stands("cancelled")
    assert story.last.changes[-1] == "compensating -> cancelled"


def test_cancel_is_refused_where_it_can_not_be() -> None:
    """Past the pivot with its name, while undoing, and after the end."""
    story = stuck_forward()
    why = "step reserve is done and is the pivot: from there the saga only goes forward"
    story.refuses(Cancel(), why)
    stuck_backward().refuses(Cancel(), "it is being undone already")
    stuck_forward().orders(Skip("ship")).orders(Skip("deliver")).refuses(Cancel(), "the saga has ended (completed)")


# -- answer ------------------------------------------------------------------------------------------------------------


def test_answer_emits_what_a_step_waits_for(desk: Desk) -> None:
    """The event is emitted with the saga's key; the step goes on when it comes back as an event."""
    desk.when("OrderPlaced").orders(Answer("pay", "shop.PaymentTaken", {"amount": "7.00"})).then("PaymentTaken")
    (emit,) = desk.emits
    assert (emit.kind, emit.step, dict(emit.fields)) == ("answer", "pay", {"amount": "7.00", "order_id": "o1"})
    assert desk.state("pay") == "waiting"


def test_answer_serves_undos_and_stuck_steps() -> None:
    """A stuck undo and a stuck step wait for events too."""
    stuck_backward().orders(Answer("reserve", "shop.StockReleased", {})).then("StockReleased")
    stuck_forward().orders(Answer("ship", "shop.ParcelHandedOver", {})).then("ParcelHandedOver")


def test_answer_is_refused_where_nobody_waits(desk: Desk) -> None:
    """The refusal names the events that would do."""
    desk.when("OrderPlaced", "StockReserved")
    why = "step pay does not wait for shop.ParcelHandedOver, but for shop.PaymentTaken or shop.PaymentDeclined or "
    desk.refuses(Answer("pay", "shop.ParcelHandedOver", {}), why + "shop.PaymentUnknown")
    desk.refuses(
        Answer("reserve", "shop.StockReserved", {}), "step reserve is done (shop.StockReserved): it waits for no event"
    )
    desk.refuses(Answer("ship", "shop.ParcelHandedOver", {}), "step ship is idle: it waits for no event")


ITEMS = "for_each: steps.a.items, item_key: item"


@pytest.mark.parametrize("order", [Retry("b"), Resolve("b", "done"), Answer("b", "flow.BDone", {})])
def test_of_a_step_that_is_done_for_each_an_item_is_named(order: Order) -> None:
    """The first of its items is the example; as long as there is none, the form of its name."""
    spec = flow(FIRST, step("b", "after: a", "emit: AskB", ITEMS))
    story = Desk(spec).when("Started")
    says = "step b is done for each of its items: name one, such as b"
    story.refuses(order, f"{says}[KEY]")
    story.when("ADone", items=["x", "y"]).then("AskB", "AskB").refuses(order, f"{says}[x]")


def test_the_request_of_an_item_is_tried_with_its_own_fields() -> None:
    """One of two can't be asked for, and neither can it again."""
    asks = "emit: {event: Told, with: {m: 1 / (size(item) - 1)}}"
    story = (
        Desk(flow(FIRST, step("b", "after: a", ITEMS, "complete: 1", asks)))
        .when("Started")
        .when("ADone", items=["x", "yy"])
    )
    story.then("Told").refuses(Retry("b[x]"), "flow.Told.m: divide by zero")
    story.orders(Retry("b[yy]")).then("Told")


# -- all of them -------------------------------------------------------------------------------------------------------

ORDERS = [Retry("ship"), Skip("ship"), Resolve("ship", "done"), Answer("ship", "shop.ParcelHandedOver", {})]


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_is_refused_after_the_end(desk: Desk, order: Order) -> None:
    """An ended saga stays as it is."""
    desk.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver", "OrderDelivered")
    desk.then("ShipmentRequested").stands("completed").refuses(order, "the saga has ended (completed)")


@pytest.mark.parametrize("order", [*ORDERS, Cancel()])
def test_an_order_is_refused_once_a_saga_is_forgotten(desk: Desk, order: Order) -> None:
    """Of a forgotten saga only its key is left."""
    desk.when("OrderPlaced", "StockReserved", "PaymentTaken", "ParcelHandedOver", "OrderDelivered")
    desk.then("ShipmentRequested").after("30d")
    desk.refuses(order, "the saga ended (completed) and is forgotten")


@pytest.mark.parametrize("order", [*ORDERS, Cancel()])
def test_an_order_to_an_unknown_saga_is_a_dead_letter(desk: Desk, order: Order) -> None:
    """It is not lost, and its reason says which saga there is none of."""
    desk.orders(order).then()
    assert desk.is_gone()
    assert desk.last.dead_letter is not None
    assert desk.last.dead_letter.endswith("(by ada: seen it) refused: there is no such saga order")


def test_an_order_that_comes_twice_is_obeyed_once() -> None:
    """The same command is recognised by its id, whether it was obeyed or refused."""
    story = stuck_forward()
    its = b"command!" + bytes(8)
    story.orders(Retry("ship"), its).then("ShipmentRequested")
    story.orders(Retry("ship"), its).then()
    assert story.last.changes == ()
