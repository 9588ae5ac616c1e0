"""Shipping: has parcels fetched, follows them, and fetches them back."""

from typing import Literal, assert_never

from choreo import Context, Handler, Service, Store, Value
from services.shop.shipping.events import (
    OrderDelivered,
    ParcelArrived,
    ParcelCollected,
    ParcelHandedOver,
    ParcelRecalled,
    ParcelRecallRequested,
    PickupRequested,
    ShipmentRequested,
)


class Parcel(Value):
    """Where the parcel of one order is."""

    state: Literal["waiting", "under way", "delivered", "recalled"]
    handed_over: bool = False


class ShipParcel(Handler[ShipmentRequested | ParcelCollected | ParcelArrived]):
    """Send each order's parcel once; what the carrier says about a recalled one counts as nothing."""

    parcels = Store[str, Parcel]()

    def handle(
        self, event: ShipmentRequested | ParcelCollected | ParcelArrived, ctx: Context
    ) -> PickupRequested | ParcelHandedOver | OrderDelivered | None:
        order_id = event.order_id
        parcel = self.parcels.get(order_id)
        match event:
            case ShipmentRequested():
                if parcel is not None:
                    return None
                self.parcels[order_id] = Parcel(state="waiting")
                return PickupRequested(order_id=order_id)
            case ParcelCollected():
                if parcel is None or parcel.state != "waiting":
                    return None
                self.parcels[order_id] = Parcel(state="under way", handed_over=True)
                return ParcelHandedOver(order_id=order_id, tracking=event.tracking)
            case ParcelArrived():
                if parcel is None or parcel.state != "under way":
                    return None
                self.parcels[order_id] = Parcel(state="delivered", handed_over=True)
                return OrderDelivered(order_id=order_id)
            case _:
                assert_never(event)

    def compensate(self, request: ParcelRecallRequested, ctx: Context) -> ParcelRecalled:
        parcel = self.parcels.get(request.order_id)
        handed_over = parcel is not None and parcel.handed_over
        self.parcels[request.order_id] = Parcel(state="recalled", handed_over=handed_over)
        return ParcelRecalled(order_id=request.order_id, was_handed_over=handed_over)


shipping = Service("shipping", handlers=[ShipParcel])
