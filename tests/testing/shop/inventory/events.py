"""What the inventory says, and what it can be asked to undo."""

from typing import Annotated

from pydantic import Field

from choreo import Event
from choreo.types import Json


class InventoryEvent(Event, namespace="shop", topic="shop.inventory", key="order_id", abstract=True):
    order_id: str


class StockReserved(InventoryEvent):
    """Every line of the order lies ready in the warehouse."""

    warehouse: str


class StockRejected(InventoryEvent):
    """At least one line is short; nothing was reserved."""

    missing: tuple[str, ...]


class StockReleaseRequested(InventoryEvent):
    """Please put the order's lines back."""

    warehouse: str


class StockReleased(InventoryEvent):
    """The order's lines are back on the shelf."""


class ShelfCounted(
    Event, namespace="erp", topic="erp.stock.v1", key="warehouse", external=True, wire=Json(only={"type": "COUNT"})
):
    """The ERP counted a shelf: its own topic, plain JSON, no envelope."""

    warehouse: Annotated[str, Field(alias="whs")]
    sku: Annotated[str, Field(alias="item")]
    pieces: Annotated[int, Field(alias="qtyOnHand")]
