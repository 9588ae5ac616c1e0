"""Tests of events as records."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import Field

from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.event import Event, Value
from choreo.events.registry import MemoryRegistry
from choreo.record import Record

Money = Annotated[Decimal, Field(max_digits=12, decimal_places=2)]


class Line(Value):
    sku: str
    price: Money


class Placed(Event, namespace="shop", topic="shop.orders", key="order_id"):
    order_id: str
    lines: tuple[Line, ...]
    placed_at: datetime
    promised_at: datetime | None = None


def test_an_event_reads_back_as_it_was_written() -> None:
    """What is encoded decodes to an equal event with equal ids."""
    codec = Codec(MemoryRegistry(), [Placed], "cluster")
    event = Placed(order_id="o1", lines=(Line(sku="tea", price=Decimal("3.50")),), placed_at=datetime(2026, 1, 1, tzinfo=UTC))
    ids = Ids(b"1" * 16, "o1", at=7)
    new = codec.encode(event, ids)
    record = Record(new.topic, 0, 0, 0, new.key, new.value, new.headers)
    assert codec.decode(record) == (event, ids)
    assert new.key == b"o1"
