"""Generated orders: the same for the same seed, and as failing and late as Olist's."""

from collections import Counter
from decimal import Decimal

import pytest

from choreo.demo.generated import ENDINGS, generate
from choreo.demo.rows import Row


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return generate(8000, seed=7)


def test_a_seed_makes_the_same_orders(rows: list[Row]) -> None:
    """The same seed gives the same rows, another one gives others."""
    assert generate(50, seed=3) == generate(50, seed=3)
    assert generate(50, seed=3) != generate(50, seed=4)
    assert len({row.order_id for row in rows}) == len(rows)


def test_orders_end_as_naturally(rows: list[Row]) -> None:
    """Endings come with the shares of real orders: 97.4 % delivered, about half a percent for each way of failing."""
    assert sum(ending.weight for ending in ENDINGS) == 4071
    shares = {status: count / len(rows) for status, count in Counter(row.status for row in rows).items()}
    assert shares["delivered"] == pytest.approx(3965 / 4071, abs=0.01)
    assert shares["canceled"] == pytest.approx(20 / 4071, abs=0.003)
    assert shares["unavailable"] == pytest.approx(18 / 4071, abs=0.003)


def test_deliveries_are_late_as_naturally(rows: list[Row]) -> None:
    """8.1 % of what is delivered comes after its promised date; half is delivered within about ten days."""
    delivered = [row for row in rows if row.delivered_at and row.promised_at]
    late = sum(row.delivered_at > row.promised_at for row in delivered if row.delivered_at and row.promised_at)
    assert late / len(delivered) == pytest.approx(0.081, abs=0.012)
    days = sorted((row.delivered_at - row.purchased_at).days for row in delivered if row.delivered_at)
    assert 7 <= days[len(days) // 2] <= 13


def test_orders_are_paid_to_the_cent(rows: list[Row]) -> None:
    """The parts of a payment add up to the lines with their freight, in as many parts as there are."""
    for row in rows:
        due = sum((line.price + line.freight for line in row.lines), Decimal(0))
        assert sum(part.amount for part in row.parts) == due
        assert all(part.amount >= 0 for part in row.parts)
    assert max(len(row.parts) for row in rows) > 10


def test_a_missing_stage_ends_a_row(rows: list[Row]) -> None:
    """No stage is dated behind one that never comes."""
    for row in rows:
        stages = [row.approved_at, row.handed_over_at, row.delivered_at]
        known = [stage is not None for stage in stages]
        assert known == sorted(known, reverse=True)
