"""Orders alone: a promise that passes is said once, while the order is open."""

from datetime import timedelta

import pytest

from choreo import Event
from services.shop.inventory.events import StockRejected
from services.shop.orders.events import OrderCancelled, OrderOverdue
from services.shop.orders.service import TrackOrder, orders
from services.shop.payments.events import PaymentDeclined
from services.shop.shipping.events import OrderDelivered
from tests.shop.bench import Bench
from tests.shop.words import NOON, placed

PROMISED = NOON + timedelta(days=3)


def test_a_broken_promise_is_said_once() -> None:
    """When the promised date passes the order is overdue, once, and stays open."""
    bench = Bench(orders)
    bench.tell(placed(promised_at=PROMISED))
    assert bench.wait_until(PROMISED - timedelta(seconds=1)) == []
    assert bench.wait_until(PROMISED) == [OrderOverdue(order_id="o1", promised_at=PROMISED)]
    assert bench.wait_until(PROMISED + timedelta(days=9)) == []
    assert "o1" in bench.stored(TrackOrder.open_orders)


@pytest.mark.parametrize(
    "closing",
    [
        OrderDelivered(order_id="o1"),
        OrderCancelled(order_id="o1"),
        StockRejected(order_id="o1", reason=""),
        PaymentDeclined(order_id="o1", reason=""),
    ],
)
def test_a_closed_order_is_never_overdue(closing: Event) -> None:
    """What was delivered, cancelled, rejected or declined breaks no promise."""
    bench = Bench(orders)
    bench.tell(placed(promised_at=PROMISED), closing)
    assert bench.due == []
    assert bench.wait_until(PROMISED) == []
    assert bench.stored(TrackOrder.open_orders) == {}


def test_an_order_without_a_promise_is_never_overdue() -> None:
    """No promised date, no timer."""
    bench = Bench(orders)
    bench.tell(placed())
    assert bench.due == []
