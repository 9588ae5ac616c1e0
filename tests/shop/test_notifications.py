"""Notifications alone: each piece of news is one mail to the customer's address."""

from decimal import Decimal

from services.shop.inventory.events import StockRejected
from services.shop.notifications.service import notifications
from services.shop.orders.events import CancellationRefused, OrderOverdue
from services.shop.payments.events import PaymentDeclined, PaymentRefunded
from services.shop.shipping.events import ParcelHandedOver
from tests.shop.bench import Bench
from tests.shop.words import NOON, placed


class Outbox:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []

    def send(self, key: str, to: str, subject: str) -> None:
        self.sent.append((to, subject))


def test_the_customer_is_told_each_piece_of_news() -> None:
    """Every kind of news becomes one recorded call with its own subject, to the address of the order."""
    outbox = Outbox()
    bench = Bench(notifications, mailer=outbox)
    bench.tell(
        placed("tea"),
        StockRejected(order_id="o1", reason=""),
        PaymentDeclined(order_id="o1", reason="no funds"),
        PaymentRefunded(order_id="o1", amount=Decimal("11.00")),
        ParcelHandedOver(order_id="o1", tracking="t1"),
        OrderOverdue(order_id="o1", promised_at=NOON),
        CancellationRefused(order_id="o1"),
    )
    assert [to for to, _ in outbox.sent] == ["ada@example.org"] * 6
    assert [subject for _, subject in outbox.sent] == [
        "We are sorry: we can't send your order",
        "Your payment was declined: no funds",
        "We gave you 11.00 back",
        "Your parcel t1 is on its way",
        "Your parcel is late",
        "Your order had arrived before you cancelled it",
    ]
    assert [name for name, _, _ in bench.calls] == ["send"] * 6
