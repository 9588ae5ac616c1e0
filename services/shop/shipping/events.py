"""What shipping says, what it can be asked, and its talk with the carrier."""

from choreo import Event


class ShippingEvent(Event, namespace="shop", topic="shop.shipping", key="order_id", abstract=True):
    """Events of one order's parcel stay in order."""

    order_id: str


class ShipmentRequested(ShippingEvent):
    """Stock and money are there: please send the parcel."""


class ParcelHandedOver(ShippingEvent):
    """The parcel left the house."""

    tracking: str


class OrderDelivered(ShippingEvent):
    """The customer has the parcel."""


class ParcelRecallRequested(ShippingEvent):
    """Please stop the parcel, wherever it is."""


class ParcelRecalled(ShippingEvent):
    """No parcel of the order is on its way any more."""

    was_handed_over: bool
    """It had left the house and was fetched back."""


class CarrierEvent(Event, namespace="shop", topic="shop.carrier", key="order_id", abstract=True):
    """Talk with the carrier about one order, apart from what the neighbours read."""

    order_id: str


class PickupRequested(CarrierEvent):
    """To the carrier: please fetch the parcel."""


class ParcelCollected(CarrierEvent):
    """The carrier fetched the parcel."""

    tracking: str


class ParcelArrived(CarrierEvent):
    """The carrier gave the parcel to the customer."""
