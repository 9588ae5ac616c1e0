"""Event classes that several tests use: an order as a shop has it, and one event with a field of every type."""

from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Literal, NewType
from uuid import UUID

from pydantic import Field

from choreo.events.event import Event, Value
from choreo.events.fields import Personal
from choreo.record import NewRecord, Record
from choreo.types import Fixed, Int32, Millis

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
Sku = NewType("Sku", str)


class Line(Value):
    sku: str
    quantity: Annotated[int, Field(ge=1)]
    price: Money


class OrderEvent(Event, namespace="shop", topic="shop.orders", key="order_id", abstract=True):
    """Events of one order share a topic and a key, so they stay in order."""

    order_id: str


class OrderPlaced(OrderEvent, subject="customer_id"):
    """A customer placed an order."""

    customer_id: str
    email: Personal[str]
    """Where the customer reads mail: masked on screens, erased with the customer."""
    warehouse: str
    lines: tuple[Line, ...]
    total: Money
    card_token: Personal[str]
    placed_at: datetime
    promised_at: datetime | None = None


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Flag(StrEnum):
    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"

    @classmethod
    def _missing_(cls, value: object) -> "Flag":
        return cls.UNKNOWN


class Card(Value):
    number: str


class Transfer(Value):
    number: str
    """The same field as a card has: only the name on the wire tells them apart."""


class Node(Value):
    name: str
    size: Size
    children: tuple["Node", ...] = ()


class AllTypes(Event, namespace="test", topic="types", key=("uid", "day")):
    uid: UUID
    day: date
    text: str
    number: int
    small: Int32
    ratio: float
    yes: bool
    raw: bytes
    digest: Annotated[bytes, Fixed(4)]
    money: Money
    moment: datetime
    rough: Millis
    hour: time
    colour: Colour
    size: Size
    flag: Flag
    mood: Literal["good", "bad"]
    sku: Sku
    tags: tuple[str, ...]
    numbers: list[int]
    prices: dict[str, Money]
    maybe_lines: tuple[Line, ...] | None
    maybe_money: Money | None
    either: int | str | Annotated[Decimal, Field(max_digits=5, decimal_places=1)] | None
    paid_by: Card | Transfer | None


class Everything(AllTypes, namespace="test", topic="everything", key=("uid", "day")):
    """And a record within itself, which is read and written by fastavro."""

    tree: Node


def kept(new: NewRecord, offset: int = 0) -> Record:
    """The record as a log would give it back."""
    return Record(new.topic, 0, offset, 1_700_000_000_000, new.key, new.value, new.headers)
