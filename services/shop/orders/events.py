"""What the orders service says, and the words it shares with its neighbours."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from choreo import Event, Personal, Value

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Line(Value):
    """One line of an order."""

    product_id: str
    quantity: Annotated[int, Field(ge=1)]
    price: Money
    freight: Money


class Part(Value):
    """One of the parts in which an order is paid: a card, a voucher, a bank slip."""

    kind: str
    installments: Annotated[int, Field(ge=0)]
    amount: Money


class OrderEvent(Event, namespace="shop", topic="shop.orders", key="order_id", abstract=True):
    """Events of one order share a topic and a key, so they stay in order."""

    order_id: str


class OrderPlaced(OrderEvent, subject="customer_id"):
    """A customer placed an order."""

    customer_id: str
    email: Personal[str]
    """Where the customer reads mail."""
    lines: tuple[Line, ...]
    parts: tuple[Part, ...]
    total: Money
    """The sum of the parts: what the customer is charged."""
    placed_at: datetime
    promised_at: datetime | None = None


class OrderCancelled(OrderEvent):
    """The customer no longer wants the order."""

    reason: str = ""


class CancellationRefused(OrderEvent):
    """The order can't be cancelled any more: the customer has it."""


class OrderOverdue(OrderEvent):
    """The promised date passed and nobody has said that the parcel arrived."""

    promised_at: datetime
