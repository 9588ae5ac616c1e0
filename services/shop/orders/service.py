"""Orders: keeps the open orders and notices broken promises."""

from typing import assert_never

from choreo import Context, Handler, Service, Store, Timer
from services.shop.inventory.events import StockRejected
from services.shop.orders.events import OrderCancelled, OrderOverdue, OrderPlaced
from services.shop.payments.events import PaymentDeclined
from services.shop.shipping.events import OrderDelivered

Closed = OrderCancelled | OrderDelivered | StockRejected | PaymentDeclined


class TrackOrder(Handler[OrderPlaced | Closed]):
    """Know which orders are open; say so when a promise is broken. A late order goes on: lateness fails nothing."""

    open_orders = Store[str, OrderPlaced]()
    promise = Timer[str]()

    def handle(self, event: OrderPlaced | Closed, ctx: Context) -> None:
        match event:
            case OrderPlaced():
                self.open_orders[event.order_id] = event
                if event.promised_at is not None:
                    self.promise.set(event.order_id, at=event.promised_at)
            case OrderCancelled() | OrderDelivered() | StockRejected() | PaymentDeclined():
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
