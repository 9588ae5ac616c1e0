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

    def handle(self, request: ChargeRequested, ctx: Context) -> None:
        script = self.scripts.get(request.order_id)
        if script is not None and script.approved_at is not None:
            self.approval.set(request.order_id, at=script.approved_at)

    @approval.due
    def approve(self, order_id: str, ctx: Context) -> ChargeApproved:
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


class CarryParcel(Handler[PickupRequested | ParcelHandedOver]):
    """The carrier fetches the parcel, and delivers it once it was handed over."""

    scripts = ReadScript.scripts
    collection = Timer[str]()
    delivery = Timer[str]()

    def handle(self, event: PickupRequested | ParcelHandedOver, ctx: Context) -> None:
        script = self.scripts.get(event.order_id)
        if script is None:
            return
        if isinstance(event, PickupRequested):
            if script.handed_over_at is not None:
                self.collection.set(event.order_id, at=script.handed_over_at)
        elif script.delivered_at is not None:
            self.delivery.set(event.order_id, at=script.delivered_at)

    @collection.due
    def collect(self, order_id: str, ctx: Context) -> ParcelCollected:
        return ParcelCollected(order_id=order_id, tracking=f"parcel-{order_id}")

    @delivery.due
    def deliver(self, order_id: str, ctx: Context) -> ParcelArrived:
        return ParcelArrived(order_id=order_id)


Stage = OrderPlaced | PaymentTaken | ParcelHandedOver | OrderDelivered


class ChangeMind(Handler[Stage]):
    """The customer of a `canceled` order cancels after the last thing that is scripted for it."""

    scripts = ReadScript.scripts
    cancellation = Timer[str]()

    def handle(self, event: Stage, ctx: Context) -> None:
        script = self.scripts.get(event.order_id)
        if script is not None and script.status == "canceled" and isinstance(event, last_stage(script)):
            self.cancellation.set(event.order_id, at=last_time(script))

    @cancellation.due
    def cancel(self, order_id: str, ctx: Context) -> OrderCancelled:
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


world = Service("world", handlers=[ReadScript, ChargeCustomer, PickGoods, CarryParcel, ChangeMind])
