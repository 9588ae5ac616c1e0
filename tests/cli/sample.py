"""A project as a newcomer writes it: two services and a saga, in two files."""

from pathlib import Path

SHOP = '''
"""A shop in one file."""

from choreo import Context, Event, Handler, Service, Store


class OrderEvent(Event, namespace="shop", topic="orders", key="order_id", abstract=True):
    order_id: str


class OrderPlaced(OrderEvent):
    total: int


class StockReserved(OrderEvent): ...


class ReleaseRequested(OrderEvent): ...


class StockReleased(OrderEvent): ...


class PaymentTaken(OrderEvent): ...


class PaymentDeclined(OrderEvent): ...


class ReserveStock(Handler[OrderPlaced]):
    reserved = Store[str, OrderPlaced]()

    def handle(self, order: OrderPlaced, ctx: Context) -> StockReserved:
        self.reserved[order.order_id] = order
        return StockReserved(order_id=order.order_id)

    def compensate(self, request: ReleaseRequested, ctx: Context) -> StockReleased:
        del self.reserved[request.order_id]
        return StockReleased(order_id=request.order_id)


class TakePayment(Handler[OrderPlaced]):
    def handle(self, order: OrderPlaced, ctx: Context) -> PaymentTaken | PaymentDeclined | None:
        if order.total == 0:
            return None
        return (PaymentTaken if order.total < 100 else PaymentDeclined)(order_id=order.order_id)


inventory = Service("inventory", handlers=[ReserveStock])
payments = Service("payments", handlers=[TakePayment])
'''

SAGA = """
saga: order
version: 1
namespace: shop
starts_on: OrderPlaced
correlate_by: order_id
within: 1h
steps:
  - name: reserve
    completes_on: StockReserved
    compensate: {emit: ReleaseRequested, done_on: StockReleased}
  - name: pay
    completes_on: PaymentTaken
    fails_on: PaymentDeclined
    compensate: none
"""


def write_project(directory: Path, settings: str = "") -> None:
    """shop.py and order.yaml, and a choreo.toml where there are settings."""
    (directory / "shop.py").write_text(SHOP, encoding="utf-8")
    (directory / "order.yaml").write_text(SAGA, encoding="utf-8")
    if settings:
        (directory / "choreo.toml").write_text(settings, encoding="utf-8")
