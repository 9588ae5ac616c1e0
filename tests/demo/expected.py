"""What must become of each order, from the CSV alone: reads the files by itself and knows nothing of choreo.

The rules are those of the shop: paid, picked, handed over, delivered as the row says; `unavailable` is rejected,
`canceled` is cancelled by the customer after the last stage that the row shows.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

STAGES = ("order_approved_at", "order_delivered_carrier_date", "order_delivered_customer_date")
WAITS = {0: "shop.PaymentTaken", 1: "shop.ParcelHandedOver", 2: "shop.OrderDelivered"}
"""What an order waits for that shows so many stages."""


class Expected(NamedTuple):
    """One order at its end."""

    status: str
    waits_for: tuple[str, ...]
    taken: Decimal
    refunded: Decimal | None
    """None: no refund is due. 0.00: one was asked for, but nothing had been taken."""
    refused: bool
    """The customer wanted to cancel a delivered order."""
    overdue: bool
    """The promised date passed while the order was open."""


class Outcome(NamedTuple):
    """Every order by its id, and the pieces left of each product."""

    orders: dict[str, Expected]
    stock: dict[str, int]


def expected(directory: Path, prefix: str = "stratified_", suffix: str = "") -> Outcome:
    """Compute it. Pieces left = those of orders that were undone: the shop begins with exactly what is asked for."""

    def table(name: str) -> Iterator[dict[str, str]]:
        with (directory / f"{prefix}{name}{suffix}.csv").open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)

    paid: dict[str, Decimal] = {}
    for part in table("order_payments"):
        paid[part["order_id"]] = paid.get(part["order_id"], Decimal(0)) + Decimal(part["payment_value"])
    orders = {row["order_id"]: expect(row, paid.get(row["order_id"], Decimal(0))) for row in table("orders")}
    stock: Counter[str] = Counter()
    for item in table("order_items"):
        undone = orders[item["order_id"]].status in ("compensated", "cancelled")
        stock[item["product_id"]] += 1 if undone else 0
    return Outcome(orders, dict(stock))


def expect(row: dict[str, str], paid: Decimal) -> Expected:
    """The end of one order. ISO times compare as text."""
    reached = 0
    while reached < len(STAGES) and row[STAGES[reached]]:
        reached += 1
    taken = paid if reached >= 1 else Decimal(0)
    # No stage is answered before its predecessor was: the latest time so far counts.
    end = max([row["order_purchase_timestamp"], *(row[stage] for stage in STAGES[:reached])])
    promised = row["order_estimated_delivery_date"]
    late = bool(promised) and promised < end
    if row["order_status"] == "unavailable":
        return Expected("compensated", (), taken, taken, False, late)
    if row["order_status"] == "canceled" and reached < len(STAGES):
        last = max(time for time in (row["order_purchase_timestamp"], *(row[stage] for stage in STAGES)) if time)
        return Expected("cancelled", (), taken, taken, False, bool(promised) and promised < last)
    if reached == len(STAGES):
        return Expected("completed", (), taken, None, row["order_status"] == "canceled", late)
    return Expected("waiting", (WAITS[reached],), taken, None, False, bool(promised))
