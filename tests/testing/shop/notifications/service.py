"""Notifications: one handler, several events."""

from typing import Protocol

from choreo import Context, Handler, Service, Store
from tests.testing.shop.orders.events import OrderOverdue, OrderPlaced
from tests.testing.shop.payments.events import PaymentDeclined, PaymentRefunded
from tests.testing.shop.shipping.events import ParcelHandedOver

News = PaymentDeclined | PaymentRefunded | ParcelHandedOver | OrderOverdue


class Mailer(Protocol):
    async def send(self, key: str, to: str, subject: str) -> None: ...


async def open_mailer() -> Mailer:
    raise NotImplementedError


class RememberAddress(Handler[OrderPlaced]):
    addresses = Store[str, str]()

    def handle(self, order: OrderPlaced, ctx: Context) -> None:
        self.addresses[order.order_id] = order.email


class TellCustomer(Handler[News]):
    """Mail the customer whatever happens to the order."""

    mailer: Mailer
    addresses = RememberAddress.addresses

    async def handle(self, event: News, ctx: Context) -> None:
        address = self.addresses[event.order_id]  # there: a cause is handled before what it caused
        await ctx.call("send", self.mailer.send, address, subject=self.subject(event))

    def subject(self, event: News) -> str:
        match event:
            case PaymentDeclined(reason=reason):
                return f"Your payment was declined: {reason}"
            case PaymentRefunded(amount=amount):
                return f"We sent you {amount} back"
            case ParcelHandedOver(tracking=tracking):
                return f"Your parcel {tracking} is on its way"
            case OrderOverdue():
                return "Your parcel is late"


notifications = Service("notifications", handlers=[RememberAddress, TellCustomer], provide={"mailer": open_mailer})
