"""The outside world as one more service: customer, payment provider, warehouse clerk and carrier answer as scripted.

Each answer is given at its scripted time, or at once where that is past, and only after the event before it was seen.
About an order without a script (one that somebody emits by hand) the world finds the goods and then stays silent.
"""

from datetime import datetime
from decimal import Decimal
from typing import Literal

from choreo import Context, Event, Handler, Service, Store, Timer
from services.shop.inventory.events import PickConfirmed, PickRefused, PickRequested
from services.shop.orders.events import OrderCancelled, OrderPlaced
from services.shop.payments.events import ChargeApproved, ChargeRequested, PaymentTaken
from services.shop.shipping.events import (
    OrderDelivered,
    ParcelArrived,
    ParcelCollected,
    ParcelHandedOver,
    PickupRequested,
)
from services.shop.world.events import Scripted


class ReadScript(Handler[Scripted]):
    """Keep the script of each order; the customer buys at its time."""

    scripts = Store[str, Scripted]()
    purchase = Timer[str]()

    def handle(self, script: Scripted, ctx: Context) -> None:
        if script.order_id not in self.scripts:
            self.scripts[script.order_id] = script
            self.purchase.set(script.order_id, at=script.purchased_at)

    @purchase.due
    def buy(self, order_id: str, ctx: Context) -> OrderPlaced:
        script = self.scripts[order_id]
        return OrderPlaced(
            order_id=order_id,
            customer_id=script.customer_id,
            email=f"{script.customer_id}@customers.example",
            lines=script.lines,
            parts=script.parts,
            total=sum((part.amount for part in script.parts), Decimal("0.00")),
            placed_at=script.purchased_at,
            promised_at=script.promised_at,
        )


class ChargeCustomer(Handler[ChargeRequested]):
    """The payment provider approves what is scripted as approved, and otherwise never answers."""

    scripts = ReadScript.scripts
    approval = Timer[str]()

    def handle(self, request: ChargeRequested, ctx: Context) -> ChargeApproved | None:
        script = self.scripts.get(request.order_id)
        if script is None or script.approved_at is None:
            return None
        if script.approved_at <= ctx.now:
            return self.answer(request.order_id)
        self.approval.set(request.order_id, at=script.approved_at)
        return None

    @approval.due
    def approve(self, order_id: str, ctx: Context) -> ChargeApproved:
        return self.answer(order_id)

    def answer(self, order_id: str) -> ChargeApproved:
        return ChargeApproved(order_id=order_id, receipt=f"receipt-{order_id}")


class PickGoods(Handler[PickRequested | PaymentTaken]):
    """The clerk finds the goods at once. Those of an `unavailable` order are missed, but only once it is paid."""

    scripts = ReadScript.scripts
    first_of_two = Store[str, Literal["asked", "paid"]]()
    """What came first of the request and the payment of an order that is refused after both."""

    def handle(self, event: PickRequested | PaymentTaken, ctx: Context) -> PickConfirmed | PickRefused | None:
        script = self.scripts.get(event.order_id)
        asked = isinstance(event, PickRequested)
        if script is None or script.status != "unavailable":
            return PickConfirmed(order_id=event.order_id) if asked else None
        if script.approved_at is not None and event.order_id not in self.first_of_two:
            self.first_of_two[event.order_id] = "asked" if asked else "paid"
            return None
        return PickRefused(order_id=event.order_id, reason="not in the warehouse")


class FetchParcel(Handler[PickupRequested]):
    """The carrier fetches the parcel."""

    scripts = ReadScript.scripts
    collection = Timer[str]()

    def handle(self, request: PickupRequested, ctx: Context) -> ParcelCollected | None:
        script = self.scripts.get(request.order_id)
        if script is None or script.handed_over_at is None:
            return None
        if script.handed_over_at <= ctx.now:
            return self.answer(request.order_id)
        self.collection.set(request.order_id, at=script.handed_over_at)
        return None

    @collection.due
    def collect(self, order_id: str, ctx: Context) -> ParcelCollected:
        return self.answer(order_id)

    def answer(self, order_id: str) -> ParcelCollected:
        return ParcelCollected(order_id=order_id, tracking=f"parcel-{order_id}")


class DeliverParcel(Handler[ParcelHandedOver]):
    """The carrier delivers what was handed over."""

    scripts = ReadScript.scripts
    delivery = Timer[str]()

    def handle(self, parcel: ParcelHandedOver, ctx: Context) -> ParcelArrived | None:
        script = self.scripts.get(parcel.order_id)
        if script is None or script.delivered_at is None:
            return None
        if script.delivered_at <= ctx.now:
            return self.answer(parcel.order_id)
        self.delivery.set(parcel.order_id, at=script.delivered_at)
        return None

    @delivery.due
    def deliver(self, order_id: str, ctx: Context) -> ParcelArrived:
        return self.answer(order_id)

    def answer(self, order_id: str) -> ParcelArrived:
        return ParcelArrived(order_id=order_id)


Stage = OrderPlaced | PaymentTaken | ParcelHandedOver | OrderDelivered


class ChangeMind(Handler[Stage]):
    """The customer of a `canceled` order cancels after the last thing that is scripted for it."""

    scripts = ReadScript.scripts
    cancellation = Timer[str]()

    def handle(self, event: Stage, ctx: Context) -> OrderCancelled | None:
        script = self.scripts.get(event.order_id)
        if script is None or script.status != "canceled" or not isinstance(event, last_stage(script)):
            return None
        if last_time(script) <= ctx.now:
            return self.answer(event.order_id)
        self.cancellation.set(event.order_id, at=last_time(script))
        return None

    @cancellation.due
    def cancel(self, order_id: str, ctx: Context) -> OrderCancelled:
        return self.answer(order_id)

    def answer(self, order_id: str) -> OrderCancelled:
        return OrderCancelled(order_id=order_id, reason="changed my mind")


def last_stage(script: Scripted) -> type[Event]:
    """The last stage that will be reached: one whose time is missing ends the row, whatever stands after it."""
    reached: type[Event] = OrderPlaced
    for stage, at in (
        (PaymentTaken, script.approved_at),
        (ParcelHandedOver, script.handed_over_at),
        (OrderDelivered, script.delivered_at),
    ):
        if at is None:
            break
        reached = stage
    return reached


def last_time(script: Scripted) -> datetime:
    """The latest time that the row shows; stages may be out of order."""
    times = (script.purchased_at, script.approved_at, script.handed_over_at, script.delivered_at)
    return max(time for time in times if time is not None)


world = Service("world", handlers=[ReadScript, ChargeCustomer, PickGoods, FetchParcel, DeliverParcel, ChangeMind])
