"""What the payments service says, what it can be asked to undo, and its talk with the payment provider."""

from choreo import Event
from services.shop.orders.events import Money, Part


class PaymentEvent(Event, namespace="shop", topic="shop.payments", key="order_id", abstract=True):
    """Events of one order's payment stay in order."""

    order_id: str


class PaymentTaken(PaymentEvent):
    """The customer was charged."""

    amount: Money
    receipt: str


class PaymentDeclined(PaymentEvent):
    """The provider said no; nothing was charged."""

    reason: str


class RefundRequested(PaymentEvent):
    """Please give back whatever was charged for the order."""


class PaymentRefunded(PaymentEvent):
    """Nothing is charged for the order any more."""

    amount: Money
    """What had been taken for the order; 0.00 where nothing had."""


class BankEvent(Event, namespace="shop", topic="shop.bank", key="order_id", abstract=True):
    """Talk with the payment provider about one order, apart from what the neighbours read."""

    order_id: str


class ChargeRequested(BankEvent):
    """To the provider: please charge the customer, in these parts."""

    amount: Money
    parts: tuple[Part, ...]


class ChargeApproved(BankEvent):
    """The provider charged the whole amount."""

    receipt: str


class ChargeDeclined(BankEvent):
    """The provider said no and charged nothing."""

    reason: str
