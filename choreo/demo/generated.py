"""Makes orders that fail and dawdle as real ones do: a seeded generator with Olist's natural rates.

The rates and quantiles below are statistics, rounded, of the "Brazilian E-Commerce Public Dataset by Olist"
(kaggle.com/olistbr/brazilian-ecommerce), CC BY-NC-SA 4.0, attribution: Olist. No row of it is in here.
Endings and delays: the first 4,071 orders of the official file. Amounts, lines, parts: 5,172 delivered orders of it.
"""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from random import Random
from typing import NamedTuple, TypeVar

from choreo.demo.rows import Row, RowLine, RowPart

T = TypeVar("T")


class Ending(NamedTuple):
    """How orders end: their status, how many stages they show (approved, handed over, delivered), how many of 4,071."""

    status: str
    stages: int
    weight: int


ENDINGS = (
    Ending("delivered", 3, 3964),
    Ending("delivered", 2, 1),
    Ending("shipped", 2, 43),
    Ending("unavailable", 1, 18),
    Ending("processing", 1, 15),
    Ending("invoiced", 1, 10),
    Ending("canceled", 1, 9),
    Ending("canceled", 0, 8),
    Ending("canceled", 2, 2),
    Ending("canceled", 3, 1),
)

Quantiles = Sequence[tuple[float, float]]
"""(share of the orders, value at or below which they lie), rising in both."""

# Hours. A negative delay is a stage that is dated before the one that it follows: real disorder, kept.
APPROVAL_H: Quantiles = (
    (0, 0),
    (0.1, 0.2),
    (0.5, 0.4),
    (0.75, 15.1),
    (0.9, 34.9),
    (0.95, 48.1),
    (0.99, 91.2),
    (1, 262.3),
)
HAND_OVER_H: Quantiles = (
    *((0, -146.5), (0.01, -1.6), (0.02, 0.9), (0.05, 6.2), (0.1, 11.1), (0.25, 21.1), (0.5, 43.7)),
    *((0.75, 85.3), (0.9, 145.9), (0.95, 196.6), (0.99, 412.5), (1, 2432.7)),
)
DELIVERY_H: Quantiles = (
    *((0, 0), (0.01, 18.8), (0.05, 26.6), (0.1, 43.1), (0.25, 97.2), (0.5, 169.4)),
    *((0.75, 281.6), (0.9, 455.6), (0.95, 579.7), (0.99, 937.5), (1, 3191.8)),
)
PROMISE_H: Quantiles = (
    *((0, 49.3), (0.01, 132.2), (0.05, 249.3), (0.25, 436.5), (0.5, 558.4)),
    *((0.75, 679.8), (0.95, 937.5), (0.99, 1202.2), (1, 2092.6)),
)
MARGIN_H: Quantiles = (  # from delivery to promise: below zero is late, as 8.1 % of the orders are
    *((0, -2701.9), (0.01, -395.6), (0.02, -280.6), (0.05, -111.7), (0.081, 0), (0.1, 25.7), (0.25, 155.7)),
    *((0.5, 275.6), (0.75, 388.5), (0.9, 509.7), (0.95, 631.0), (0.99, 828.3), (1, 1427.3)),
)
PRICE: Quantiles = (
    *((0, 2.9), (0.05, 16.9), (0.25, 39.9), (0.5, 75.9), (0.75, 135.0)),
    *((0.9, 230.0), (0.95, 350.0), (0.99, 843.0), (1, 4799.0)),
)
FREIGHT: Quantiles = (
    (0, 0),
    (0.02, 7.4),
    (0.25, 13.0),
    (0.5, 16.2),
    (0.75, 21.5),
    (0.95, 44.8),
    (0.99, 84.0),
    (1, 256.1),
)
LINES = ((1, 0.8973), (2, 0.0787), (3, 0.0151), (4, 0.0052), (5, 0.0012), (6, 0.0015), (7, 0.0006), (8, 0.0004))
PARTS = ((1, 0.9637), (2, 0.0246), (3, 0.0027), (5, 0.0018), (11, 0.0036), (15, 0.0026), (26, 0.0010))
KINDS = (("credit_card", 0.79), ("boleto", 0.19), ("debit_card", 0.02))
INSTALLMENTS = ((1, 0.32), (2, 0.16), (3, 0.14), (4, 0.09), (5, 0.08), (6, 0.05), (8, 0.07), (10, 0.09))

START = datetime(2018, 1, 8, tzinfo=UTC)
ORDERS_A_DAY = 140
"""99,441 orders in about two years."""
CENT = Decimal("0.01")


def generate(count: int, seed: int) -> list[Row]:
    """`count` orders from `START` on; the same seed makes the same orders."""
    random = Random(seed)
    products = [_identifier(random) for _ in range(max(1, count * 2 // 3))]
    placed_at = START
    rows = []
    for _ in range(count):
        placed_at += timedelta(seconds=round(random.expovariate(ORDERS_A_DAY / 86_400)))
        rows.append(_row(random, placed_at, products))
    return rows


def _row(random: Random, placed_at: datetime, products: Sequence[str]) -> Row:
    ending = random.choices(ENDINGS, [ending.weight for ending in ENDINGS])[0]
    approved_at = placed_at + _draw_hours(random, APPROVAL_H)
    handed_over_at = approved_at + _draw_hours(random, HAND_OVER_H)
    delivered_at = handed_over_at + _draw_hours(random, DELIVERY_H)
    if ending.stages == 3:
        # Drawn from the delivery, so that as many orders come late as really do.
        promised_at = max(placed_at + timedelta(days=2), delivered_at + _draw_hours(random, MARGIN_H))
    else:
        promised_at = placed_at + _draw_hours(random, PROMISE_H)
    lines = tuple(
        RowLine(random.choice(products), _draw_amount(random, PRICE), _draw_amount(random, FREIGHT))
        for _ in range(_choose(random, LINES))
    )
    return Row(
        order_id=_identifier(random),
        customer_id=_identifier(random),
        status=ending.status,
        purchased_at=placed_at,
        approved_at=approved_at if ending.stages >= 1 else None,
        handed_over_at=handed_over_at if ending.stages >= 2 else None,
        delivered_at=delivered_at if ending.stages >= 3 else None,
        promised_at=promised_at,
        lines=lines,
        parts=_pay(random, sum((line.price + line.freight for line in lines), Decimal(0))),
    )


def _pay(random: Random, total: Decimal) -> tuple[RowPart, ...]:
    """The total in its parts, to the cent: whoever pays in several parts pays with vouchers."""
    count = _choose(random, PARTS)
    if count == 1:
        kind = _choose(random, KINDS)
        return (RowPart(kind, _choose(random, INSTALLMENTS) if kind == "credit_card" else 1, total),)
    each = (total / count).quantize(CENT, ROUND_DOWN)
    return tuple(RowPart("voucher", 1, amount) for amount in (*[each] * (count - 1), total - each * (count - 1)))


def _choose(random: Random, shares: Sequence[tuple[T, float]]) -> T:
    return random.choices([value for value, _ in shares], [share for _, share in shares])[0]


def _draw(random: Random, quantiles: Quantiles) -> float:
    """A value of that distribution, straight between the quantiles."""
    share = random.random()
    above = bisect_right(quantiles, share, key=lambda quantile: quantile[0])
    (low_share, low), (high_share, high) = quantiles[above - 1], quantiles[min(above, len(quantiles) - 1)]
    return low + (high - low) * (share - low_share) / (high_share - low_share)


def _draw_hours(random: Random, quantiles: Quantiles) -> timedelta:
    return timedelta(seconds=round(_draw(random, quantiles) * 3600))


def _draw_amount(random: Random, quantiles: Quantiles) -> Decimal:
    return Decimal(str(round(_draw(random, quantiles), 2))).quantize(CENT)


def _identifier(random: Random) -> str:
    return f"{random.getrandbits(128):032x}"
