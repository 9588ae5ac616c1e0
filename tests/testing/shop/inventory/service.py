"""Inventory: reserves stock for orders, all lines or none."""

from choreo import Context, Handler, Service, Store
from tests.testing.shop.inventory.events import (
    ShelfCounted,
    StockRejected,
    StockReleased,
    StockReleaseRequested,
    StockReserved,
)
from tests.testing.shop.orders.events import Line, OrderPlaced


class ReserveStock(Handler[OrderPlaced]):
    """Reserve every line of an order, or none."""

    keyed_by = "warehouse"  # a store key begins with the key of the event
    stock = Store[tuple[str, str], int](default=0)  # (warehouse, sku) -> pieces
    reserved = Store[tuple[str, str], tuple[Line, ...]]()  # (warehouse, order_id) -> lines

    def handle(self, order: OrderPlaced, ctx: Context) -> StockReserved | StockRejected:
        missing = tuple(line.sku for line in order.lines if self.stock[order.warehouse, line.sku] < line.quantity)
        if missing:
            return StockRejected(order_id=order.order_id, missing=missing)
        for line in order.lines:
            self.stock[order.warehouse, line.sku] -= line.quantity
        self.reserved[order.warehouse, order.order_id] = order.lines
        return StockReserved(order_id=order.order_id, warehouse=order.warehouse)

    def compensate(self, request: StockReleaseRequested, ctx: Context) -> StockReleased:
        for line in self.reserved.pop((request.warehouse, request.order_id), ()):
            self.stock[request.warehouse, line.sku] += line.quantity
        return StockReleased(order_id=request.order_id)


class CountShelf(Handler[ShelfCounted]):
    """Take the ERP's count as the truth."""

    stock = ReserveStock.stock  # the same declaration is the same store

    def handle(self, count: ShelfCounted, ctx: Context) -> None:
        self.stock[count.warehouse, count.sku] = count.pieces


inventory = Service("inventory", handlers=[ReserveStock, CountShelf])
