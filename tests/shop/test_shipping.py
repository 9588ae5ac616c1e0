"""Shipping alone: one parcel an order, fetched back when asked."""

import pytest

from services.shop.shipping.events import (
    OrderDelivered,
    ParcelArrived,
    ParcelCollected,
    ParcelHandedOver,
    ParcelRecalled,
    ParcelRecallRequested,
    PickupRequested,
    ShipmentRequested,
)
from services.shop.shipping.service import shipping
from tests.shop.bench import Bench

SHIP = ShipmentRequested(order_id="o1")
COLLECTED = ParcelCollected(order_id="o1", tracking="t1")
ARRIVED = ParcelArrived(order_id="o1")
RECALL = ParcelRecallRequested(order_id="o1")


@pytest.fixture
def bench() -> Bench:
    return Bench(shipping)


def test_a_parcel_is_sent_once(bench: Bench) -> None:
    """A shipment asked for twice is one parcel, handed over and delivered once."""
    assert bench.tell(SHIP, SHIP) == [PickupRequested(order_id="o1")]
    assert bench.tell(COLLECTED, COLLECTED) == [ParcelHandedOver(order_id="o1", tracking="t1")]
    assert bench.tell(ARRIVED, ARRIVED) == [OrderDelivered(order_id="o1")]


@pytest.mark.parametrize(("before", "handed_over"), [([], False), ([SHIP], False), ([SHIP, COLLECTED], True)])
def test_a_recall_says_whether_the_parcel_had_left(
    bench: Bench, before: list[ShipmentRequested | ParcelCollected], handed_over: bool
) -> None:
    """A recall is always answered, the same each time, and after it the carrier's news counts as nothing."""
    bench.tell(*before)
    answer = ParcelRecalled(order_id="o1", was_handed_over=handed_over)
    assert bench.tell(RECALL, RECALL) == [answer, answer]
    assert bench.tell(SHIP, COLLECTED, ARRIVED) == []
