"""What the inventory says, what it can be asked to undo, its talk with the clerk and with its own shelves."""

from typing import Annotated

from pydantic import Field

from choreo import Event


class InventoryEvent(Event, namespace="shop", topic="shop.inventory", key="order_id", abstract=True):
    """Events of one order's reservation stay in order."""

    order_id: str


class StockReserved(InventoryEvent):
    """Every line of the order lies ready."""


class StockRejected(InventoryEvent):
    """The order can't be served; nothing stays reserved."""

    reason: str


class StockReleaseRequested(InventoryEvent):
    """Please put the order's lines back."""


class StockReleased(InventoryEvent):
    """The order's lines are back on the shelf."""


class WarehouseEvent(Event, namespace="shop", topic="shop.warehouse", key="order_id", abstract=True):
    """Talk inside the warehouse about one order, apart from what the neighbours read."""

    order_id: str


class PickRequested(WarehouseEvent):
    """To the warehouse clerk: please lay the lines ready."""

    pieces: int


class PickConfirmed(WarehouseEvent):
    """The clerk laid the lines ready."""


class PickRefused(WarehouseEvent):
    """The clerk could not find the goods."""

    reason: str


class LineEvent(WarehouseEvent, abstract=True):
    """The answer of a shelf about one line of an order."""

    line: int
    """Position of the line in the order, from 0."""


class LineHeld(LineEvent):
    """The pieces of this line are held."""


class LineShort(LineEvent):
    """Too few pieces; none is held."""


class LineReleased(LineEvent):
    """Nothing is held for this line any more."""


class StockEvent(Event, namespace="shop", topic="shop.stock", key="product_id", abstract=True):
    """Events of one product's shelf stay in order."""

    product_id: str


class StockCounted(StockEvent):
    """So many pieces lie on the shelf, free to be held."""

    pieces: Annotated[int, Field(ge=0)]


class LineRequested(StockEvent):
    """Please hold pieces for one line of an order."""

    order_id: str
    line: int
    quantity: Annotated[int, Field(ge=1)]


class LineReleaseRequested(StockEvent):
    """Please hold nothing any more for this line."""

    order_id: str
    line: int
