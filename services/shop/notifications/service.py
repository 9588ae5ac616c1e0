"""Notifications: mails the customer whatever happens to the order."""

from typing import Protocol, assert_never

from choreo import Context, Handler, Service, Store
from services.shop.inventory.events import StockRejected
from services.shop.orders.events import CancellationRefused, OrderOverdue, OrderPlaced
from services.shop.payments.events import PaymentDeclined, PaymentRefunded
from services.shop.shipping.events import ParcelHandedOver

News = StockRejected | PaymentDeclined | PaymentRefunded | ParcelHandedOver | OrderOverdue | CancellationRefused


class Mailer(Protocol):
    """Sends a mail once per `key`."""

    def send(self, key: str, to: str, subject: str) -> None: ...


class SilentMailer:
    """Sends nothing: the customers of the demo are no real ones."""

    def send(self, key: str, to: str, subject: str) -> None: ...


def open_mailer() -> Mailer:
    return SilentMailer()


class RememberAddress(Handler[OrderPlaced]):
    """Keep where to write to."""

    addresses = Store[str, str]()

    def handle(self, order: OrderPlaced, ctx: Context) -> None:
        self.addresses[order.order_id] = order.email


class TellCustomer(Handler[News]):
    """One mail for each piece of news."""

    mailer: Mailer
    addresses = RememberAddress.addresses

    def handle(self, event: News, ctx: Context) -> None:
        address = self.addresses[event.order_id]  # there: a cause is handled before what it caused
        ctx.call("send", self.mailer.send, address, subject=subject_of(event))


def subject_of(event: News) -> str:
    """What the mail is about, in one line."""
    match event:
        case StockRejected():
            return "We are sorry: we can't send your order"
        case PaymentDeclined(reason=reason):
            return f"Your payment was declined: {reason}"
        case PaymentRefunded(amount=amount):
            return f"We gave you {amount} back"
        case ParcelHandedOver(tracking=tracking):
            return f"Your parcel {tracking} is on its way"
        case OrderOverdue():
            return "Your parcel is late"
        case CancellationRefused():
            return "Your order had arrived before you cancelled it"
        case _:
            assert_never(event)


notifications = Service("notifications", handlers=[RememberAddress, TellCustomer], provide={"mailer": open_mailer})
