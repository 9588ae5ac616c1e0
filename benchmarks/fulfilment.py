"""The shop of the saga figures, as a user writes it: placed, paid and reserved, shipped, delivered."""

from choreo import Context, Event, Handler, Service, Store

LIMIT = 1_000_000
"""Beyond so many cents a payment is declined."""


class OrderEvent(Event, namespace="bench", topic="bench.orders", key="order_id", abstract=True):
    """Everything about one order stays in order."""

    order_id: str


class OrderPlaced(OrderEvent):
    """A customer ordered."""

    cents: int


class StockEvent(Event, namespace="bench", topic="bench.stock", key="order_id", abstract=True):
    """What the inventory says."""

    order_id: str


class StockReserved(StockEvent):
    """The goods lie ready."""


class StockReleaseRequested(StockEvent):
    """Please put them back."""


class StockReleased(StockEvent):
    """They are back."""


class PaymentEvent(Event, namespace="bench", topic="bench.payments", key="order_id", abstract=True):
    """What the payments service says."""

    order_id: str


class PaymentTaken(PaymentEvent):
    """The customer was charged."""

    cents: int


class PaymentDeclined(PaymentEvent):
    """The bank said no."""


class RefundRequested(PaymentEvent):
    """Please give it back."""


class PaymentRefunded(PaymentEvent):
    """It was given back."""


class ParcelEvent(Event, namespace="bench", topic="bench.parcels", key="order_id", abstract=True):
    """What happens to the parcel."""

    order_id: str


class ShipmentRequested(ParcelEvent):
    """Stock and money are there: please send it."""


class ParcelSent(ParcelEvent):
    """It left the house."""


class OrderDelivered(ParcelEvent):
    """The customer has it."""


class ReserveStock(Handler[OrderPlaced]):
    """Remembers what is reserved."""

    reserved = Store[str, int]()

    def handle(self, order: OrderPlaced, ctx: Context) -> StockReserved:
        self.reserved[order.order_id] = order.cents
        return StockReserved(order_id=order.order_id)

    def compensate(self, request: StockReleaseRequested, ctx: Context) -> StockReleased:
        self.reserved.pop(request.order_id, None)
        return StockReleased(order_id=request.order_id)


class TakePayment(Handler[OrderPlaced]):
    """Remembers what was charged."""

    charged = Store[str, int]()

    def handle(self, order: OrderPlaced, ctx: Context) -> PaymentTaken | PaymentDeclined:
        if order.cents > LIMIT:
            return PaymentDeclined(order_id=order.order_id)
        self.charged[order.order_id] = order.cents
        return PaymentTaken(order_id=order.order_id, cents=order.cents)

    def compensate(self, request: RefundRequested, ctx: Context) -> PaymentRefunded:
        self.charged.pop(request.order_id, None)
        return PaymentRefunded(order_id=request.order_id)


class SendParcel(Handler[ShipmentRequested]):
    """Hands the parcel over."""

    def handle(self, request: ShipmentRequested, ctx: Context) -> ParcelSent:
        return ParcelSent(order_id=request.order_id)


class Deliver(Handler[ParcelSent]):
    """The carrier's side."""

    def handle(self, sent: ParcelSent, ctx: Context) -> OrderDelivered:
        return OrderDelivered(order_id=sent.order_id)


inventory = Service("inventory", handlers=[ReserveStock])
payments = Service("payments", handlers=[TakePayment])
shipping = Service("shipping", handlers=[SendParcel])
carrier = Service("carrier", handlers=[Deliver])
