"""Payments alone: one charge an order, and all of it back when asked."""

from decimal import Decimal

import pytest

from services.shop.payments.events import (
    ChargeApproved,
    ChargeDeclined,
    ChargeRequested,
    PaymentDeclined,
    PaymentRefunded,
    PaymentTaken,
    RefundRequested,
)
from services.shop.payments.service import payments
from tests.shop.bench import Bench
from tests.shop.words import parts, placed

APPROVED = ChargeApproved(order_id="o1", receipt="r1")
REFUND = RefundRequested(order_id="o1")
TAKEN = PaymentTaken(order_id="o1", amount=Decimal("11.00"), receipt="r1")


def refunded(amount: str) -> PaymentRefunded:
    return PaymentRefunded(order_id="o1", amount=Decimal(amount))


@pytest.fixture
def bench() -> Bench:
    return Bench(payments)


def test_the_sum_of_the_parts_is_charged_once(bench: Bench) -> None:
    """However often an order is placed, its provider is asked once, for the sum of its parts."""
    order = placed("tea", amounts=("4.00", "5.50", "1.50"))
    asked = ChargeRequested(order_id="o1", amount=Decimal("11.00"), parts=parts("4.00", "5.50", "1.50"))
    assert bench.tell(order, order) == [asked]
    assert bench.tell(APPROVED, APPROVED) == [TAKEN]


def test_an_order_for_nothing_is_paid(bench: Bench) -> None:
    """An order that costs nothing takes the same road with 0.00."""
    bench.tell(placed(amounts=("0.00",)))
    assert bench.tell(APPROVED) == [PaymentTaken(order_id="o1", amount=Decimal("0.00"), receipt="r1")]


def test_a_refund_gives_back_what_was_taken(bench: Bench) -> None:
    """What was taken is given back; asked again, the answer is the same."""
    bench.tell(placed(), APPROVED)
    assert bench.tell(REFUND) == [refunded("11.00")]
    assert bench.tell(REFUND) == [refunded("11.00")]


def test_an_approval_after_the_refund_counts_as_nothing(bench: Bench) -> None:
    """Where nothing was taken 0.00 goes back, and an approval that comes later takes nothing."""
    bench.tell(placed())
    assert bench.tell(REFUND, APPROVED) == [refunded("0.00")]
    assert bench.tell(REFUND) == [refunded("0.00")]


def test_a_refund_before_the_order_voids_it(bench: Bench) -> None:
    """An order that comes after its own refund is never charged."""
    assert bench.tell(REFUND, placed(), APPROVED) == [refunded("0.00")]


def test_a_declined_charge_takes_nothing(bench: Bench) -> None:
    """A refusal of the provider declines the payment, and there is nothing to give back."""
    bench.tell(placed())
    told = bench.tell(ChargeDeclined(order_id="o1", reason="no funds"), APPROVED, REFUND)
    assert told == [PaymentDeclined(order_id="o1", reason="no funds"), refunded("0.00")]
