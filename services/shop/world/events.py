"""The script of the outside world: what happens to each order, and when."""

from datetime import datetime

from choreo import Event
from services.shop.orders.events import Line, Part


class Scripted(Event, namespace="shop", topic="shop.world", key="order_id"):
    """All that the outside world will do about one order. A missing time: that answer never comes."""

    order_id: str
    customer_id: str
    status: str
    """How the order ends; "canceled" and "unavailable" mean something, the others only describe."""
    purchased_at: datetime
    approved_at: datetime | None = None
    handed_over_at: datetime | None = None
    delivered_at: datetime | None = None
    promised_at: datetime | None = None
    lines: tuple[Line, ...] = ()
    parts: tuple[Part, ...] = ()
