"""Inventory: reserves all lines of an order or none. Orders and shelves talk by events, each keyed by what it keeps."""

from datetime import datetime
from typing import assert_never

from choreo import Context, Handler, Service, Store
from services.shop.inventory.events import (
    LineHeld,
    LineReleased,
    LineReleaseRequested,
    LineRequested,
    LineShort,
    PickConfirmed,
    PickRefused,
    PickRequested,
    StockCounted,
    StockRejected,
    StockReleased,
    StockReleaseRequested,
    StockReserved,
)
from services.shop.inventory.reservation import NOTHING_RESERVED, Reservation
from services.shop.orders.events import OrderPlaced

Asked = list[LineRequested | PickRequested]
Rejected = list[StockRejected | LineReleaseRequested]
Answer = LineHeld | LineShort | LineReleased | PickConfirmed | PickRefused


class ReserveStock(Handler[OrderPlaced | Answer]):
    """Reserve every line of an order, or none: one request a line to its shelf, one to the clerk."""

    reservations = Store[str, Reservation]()

    def handle(
        self, event: OrderPlaced | Answer, ctx: Context
    ) -> Asked | Rejected | StockReserved | StockReleased | None:
        if isinstance(event, OrderPlaced):
            return self.ask(event)
        reservation = self.reservations.get(event.order_id, NOTHING_RESERVED)
        match event:
            case LineReleased():
                return self.line_is_back(event, reservation)
            case _ if reservation.state != "asking":
                return None  # rejected or being released: every line that was asked for is asked back already
            case LineHeld():
                return self.settle(event.order_id, reservation.with_held(event.line))
            case PickConfirmed():
                return self.settle(event.order_id, reservation.with_pick())
            case LineShort():
                return self.reject(event.order_id, reservation.without(event.line), "a line is short")
            case PickRefused():
                return self.reject(event.order_id, reservation, event.reason)
            case _:
                assert_never(event)

    def compensate(self, request: StockReleaseRequested, ctx: Context) -> list[LineReleaseRequested] | StockReleased:
        reservation = self.reservations.get(request.order_id, NOTHING_RESERVED).released(answer=True)
        self.reservations[request.order_id] = reservation
        if reservation.state == "released":
            return StockReleased(order_id=request.order_id)
        return self.release_lines(request.order_id, reservation)

    def ask(self, order: OrderPlaced) -> Asked | None:
        if order.order_id in self.reservations:
            return None  # asked for already, or released before it was asked for
        self.reservations[order.order_id] = Reservation.of(line.product_id for line in order.lines)
        requests: Asked = [
            LineRequested(product_id=line.product_id, order_id=order.order_id, line=number, quantity=line.quantity)
            for number, line in enumerate(order.lines)
        ]
        return [*requests, PickRequested(order_id=order.order_id, pieces=sum(line.quantity for line in order.lines))]

    def settle(self, order_id: str, reservation: Reservation) -> StockReserved | None:
        if not reservation.is_complete:
            self.reservations[order_id] = reservation
            return None
        self.reservations[order_id] = reservation.reserved()
        return StockReserved(order_id=order_id)

    def reject(self, order_id: str, reservation: Reservation, reason: str) -> Rejected:
        self.reservations[order_id] = reservation = reservation.released(answer=False)
        return [StockRejected(order_id=order_id, reason=reason), *self.release_lines(order_id, reservation)]

    def release_lines(self, order_id: str, reservation: Reservation) -> list[LineReleaseRequested]:
        return [
            LineReleaseRequested(product_id=reservation.products[line], order_id=order_id, line=line)
            for line in reservation.outstanding
        ]

    def line_is_back(self, event: LineReleased, reservation: Reservation) -> StockReleased | None:
        if event.line not in reservation.outstanding:
            return None
        self.reservations[event.order_id] = after = reservation.with_line_back(event.line)
        return StockReleased(order_id=event.order_id) if after.state == "released" and after.answer else None


class KeepShelf(Handler[LineRequested]):
    """Hold pieces of one product, each line once; what was asked back before it came is never held."""

    stock = Store[str, int](default=0)
    held = Store[tuple[str, str, int], int]()
    """Pieces by (product_id, order_id, line); 0 once the line was asked back."""

    def handle(self, request: LineRequested, ctx: Context) -> LineHeld | LineShort | LineReleased:
        line = (request.product_id, request.order_id, request.line)
        if line in self.held:
            if self.held[line] == 0:
                return LineReleased(order_id=request.order_id, line=request.line)
            return LineHeld(order_id=request.order_id, line=request.line)
        free = self.stock[request.product_id] - request.quantity
        if free < 0:
            return LineShort(order_id=request.order_id, line=request.line)
        self.stock[request.product_id] = free
        self.held[line] = request.quantity
        return LineHeld(order_id=request.order_id, line=request.line)

    def compensate(self, request: LineReleaseRequested, ctx: Context) -> LineReleased:
        line = (request.product_id, request.order_id, request.line)
        self.stock[request.product_id] += self.held.get(line, 0)
        self.held[line] = 0
        return LineReleased(order_id=request.order_id, line=request.line)


class CountShelf(Handler[StockCounted]):
    """Take a count as the truth about the free pieces; one that comes again knows nothing of those held since."""

    stock = KeepShelf.stock
    counted_at = Store[str, datetime]()
    """When the count was emitted that a shelf goes by, by product_id."""

    def handle(self, count: StockCounted, ctx: Context) -> None:
        last = self.counted_at.get(count.product_id)
        if last is None or last < ctx.emitted_at:
            self.stock[count.product_id] = count.pieces
            self.counted_at[count.product_id] = ctx.emitted_at


inventory = Service("inventory", handlers=[ReserveStock, KeepShelf, CountShelf])
