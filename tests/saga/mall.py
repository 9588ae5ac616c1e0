"""The events of three sagas that nest each other, `nested/*.yaml`: an order ships, and shipping delivers. Each has a
key of its own.
"""

from collections.abc import Mapping
from pathlib import Path

from choreo.events.event import Event
from choreo.saga.spec import Spec, load_spec

FOLDER = Path(__file__).parent / "nested"
SPECS = tuple(FOLDER / f"{name}.yaml" for name in ("order", "shipping", "delivery"))


class OrderEvent(Event, namespace="mall", topic="mall.orders", key="order_id", abstract=True):
    order_id: str


class OrderPlaced(OrderEvent):
    by_hand: bool = False


class OrderCancelled(OrderEvent): ...


class OrderKept(OrderEvent): ...


class PaymentWanted(OrderEvent): ...


class PaymentTaken(OrderEvent): ...


class PaymentRefused(OrderEvent): ...


class ShipmentEvent(Event, namespace="mall", topic="mall.shipments", key="shipment_id", abstract=True):
    shipment_id: str
    order_id: str


class ShipmentWanted(ShipmentEvent):
    by_hand: bool = False


class ShipmentStopped(ShipmentEvent): ...


class ShipmentUndone(ShipmentEvent): ...


class ShipmentKept(ShipmentEvent): ...


class ShipmentReady(ShipmentEvent): ...


class ShipmentDropped(ShipmentEvent): ...


class ShipmentCancelled(ShipmentEvent): ...


class PickWanted(ShipmentEvent): ...


class Picked(ShipmentEvent): ...


class PickRefused(ShipmentEvent): ...


class UnpickWanted(ShipmentEvent): ...


class Unpicked(ShipmentEvent): ...


class UnpickFailed(ShipmentEvent): ...


class DeliveryEvent(Event, namespace="mall", topic="mall.deliveries", key="delivery_id", abstract=True):
    delivery_id: str
    shipment_id: str


class DeliveryWanted(DeliveryEvent):
    by_hand: bool = False


class DeliveryUndone(DeliveryEvent): ...


class DeliveryKept(DeliveryEvent): ...


class Delivered(DeliveryEvent): ...


class DeliveryDropped(DeliveryEvent): ...


class LoadWanted(DeliveryEvent): ...


class Loaded(DeliveryEvent): ...


class UnloadWanted(DeliveryEvent): ...


class Unloaded(DeliveryEvent): ...


class HandedOver(DeliveryEvent): ...


CATALOGUE: Mapping[str, type[Event]] = {
    event.contract.full_name: event
    for base in (OrderEvent, ShipmentEvent, DeliveryEvent)
    for event in base.__subclasses__()
}


def load(name: str) -> Spec:
    """One of the three specs."""
    return load_spec(FOLDER / f"{name}.yaml", CATALOGUE)
