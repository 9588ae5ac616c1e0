"""What the payments service says, and what it can be asked to undo."""

from datetime import date

from choreo import Event
from tests.testing.shop.orders.events import Money


class PaymentEvent(Event, namespace="shop", topic="shop.payments", key="order_id", abstract=True):
    order_id: str


class PaymentTaken(PaymentEvent):
    """The customer's card was charged."""

    amount: Money
    receipt: str
    day: date


class PaymentDeclined(PaymentEvent):
    """The bank said no; nothing was charged."""

    reason: str


class PaymentUnknown(PaymentEvent):
    """The bank gave no answer in time: the card may have been charged."""

    reason: str


class RefundRequested(PaymentEvent):
    """Please give back whatever was charged for the order."""


class PaymentRefunded(PaymentEvent):
    """Nothing is charged for the order any more."""

    amount: Money


class TakingsEvent(Event, namespace="shop", topic="shop.takings", key="day", abstract=True):
    day: date


class DayClosed(TakingsEvent):
    """No more payments count for this day."""


class TakingsFiled(TakingsEvent):
    """The bookkeeper has the day's takings."""

    total: Money
