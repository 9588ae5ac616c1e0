"""Orders: keeps each order's status and notices broken promises."""

from typing import assert_never

from choreo import Context, Handler, Service, Store, Timer
from tests.testing.shop.orders.events import OrderCancelled, OrderOverdue, OrderPlaced
from tests.testing.shop.shipping.events import OrderDelivered


class TrackOrder(Handler[OrderPlaced | OrderCancelled | OrderDelivered]):
    """Know where each order stands; say so when a promise is broken."""

    open_orders = Store[str, OrderPlaced]()
    promise = Timer[str]()

    def handle(self, event: OrderPlaced | OrderCancelled | OrderDelivered, ctx: Context) -> None:
        match event:
            case OrderPlaced():
                self.open_orders[event.order_id] = event
                if event.promised_at:
                    self.promise.set(event.order_id, at=event.promised_at)
            case OrderCancelled() | OrderDelivered():
                self.open_orders.pop(event.order_id, None)
                self.promise.cancel(event.order_id)
            case _:
                assert_never(event)

    @promise.due
    def overdue(self, order_id: str, ctx: Context) -> OrderOverdue | None:
        order = self.open_orders.get(order_id)
        if order is None or order.promised_at is None:
            return None
        return OrderOverdue(order_id=order_id, promised_at=order.promised_at)


orders = Service("orders", handlers=[TrackOrder])
