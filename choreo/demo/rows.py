"""One order as the outside world will have it: the row that a demo run is made of."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple


class RowLine(NamedTuple):
    """One piece of one product."""

    product_id: str
    price: Decimal
    freight: Decimal


class RowPart(NamedTuple):
    """One part of the payment."""

    kind: str
    installments: int
    amount: Decimal


class Row(NamedTuple):
    """An order and when each stage is answered (aware, UTC); None: that answer never comes."""

    order_id: str
    customer_id: str
    status: str
    purchased_at: datetime
    approved_at: datetime | None
    handed_over_at: datetime | None
    delivered_at: datetime | None
    promised_at: datetime | None
    lines: tuple[RowLine, ...]
    parts: tuple[RowPart, ...]

    @property
    def times(self) -> tuple[datetime, ...]:
        """Every time that the row shows, the promise included."""
        shown = (self.purchased_at, self.approved_at, self.handed_over_at, self.delivered_at, self.promised_at)
        return tuple(time for time in shown if time is not None)


def demand(rows: Iterable[Row]) -> dict[str, int]:
    """Pieces that all orders together ask for, by product."""
    pieces: dict[str, int] = {}
    for row in rows:
        for line in row.lines:
            pieces[line.product_id] = pieces.get(line.product_id, 0) + 1
    return pieces
