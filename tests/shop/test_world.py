"""The outside world alone: it answers as scripted, at the scripted time, and only to what it has seen."""

from datetime import timedelta
from decimal import Decimal

import pytest

from choreo import Event
from services.shop.inventory.events import PickConfirmed, PickRefused, PickRequested
from services.shop.orders.events import OrderCancelled, OrderPlaced
from services.shop.payments.events import ChargeApproved, ChargeRequested, PaymentTaken
from services.shop.shipping.events import (
    OrderDelivered,
    ParcelArrived,
    ParcelCollected,
    ParcelHandedOver,
    PickupRequested,
)
from services.shop.world.events import Scripted
from services.shop.world.service import world
from tests.shop.bench import Bench
from tests.shop.words import NOON, lines, parts, scripted

CHARGE = ChargeRequested(order_id="o1", amount=Decimal("5.50"), parts=())
TAKEN = PaymentTaken(order_id="o1", amount=Decimal("5.50"), receipt="r1")
PICK = PickRequested(order_id="o1", pieces=1)
PICKUP = PickupRequested(order_id="o1")
HANDED_OVER = ParcelHandedOver(order_id="o1", tracking="t1")
DELIVERED = OrderDelivered(order_id="o1")
CANCELLED = OrderCancelled(order_id="o1", reason="changed my mind")
LATER = NOON + timedelta(days=400)


def playing(script: Scripted) -> Bench:
    """The world after the customer has bought."""
    bench = Bench(world)
    bench.tell(script)
    bench.wait_until(NOON)
    return bench


def test_the_customer_buys_once_at_the_scripted_time() -> None:
    """A script, however often it is told, is one order at its time, charged with the sum of its parts."""
    bench = Bench(world)
    bench.tell(scripted(), scripted())
    assert bench.wait_until(NOON - timedelta(seconds=1)) == []
    assert bench.wait_until(LATER) == [
        OrderPlaced(
            order_id="o1",
            customer_id="c1",
            email="c1@customers.example",
            lines=lines("tea"),
            parts=parts("4.00", "1.50"),
            total=Decimal("5.50"),
            placed_at=NOON,
            promised_at=NOON + timedelta(days=10),
        )
    ]


@pytest.mark.parametrize(
    ("request_", "answer", "hours"),
    [
        (CHARGE, ChargeApproved(order_id="o1", receipt="receipt-o1"), 1),
        (PICKUP, ParcelCollected(order_id="o1", tracking="parcel-o1"), 2),
        (HANDED_OVER, ParcelArrived(order_id="o1"), 3),
    ],
)
def test_an_answer_comes_at_its_time(request_: Event, answer: Event, hours: int) -> None:
    """Provider and carrier answer what they were asked at the time of the row, not before."""
    bench = playing(scripted("delivered", 1, 2, 3))
    assert bench.tell(request_) == []
    assert bench.wait_until(NOON + timedelta(hours=hours, seconds=-1)) == []
    assert bench.wait_until(NOON + timedelta(hours=hours)) == [answer]


def test_a_time_that_is_past_is_answered_at_once() -> None:
    """Stages out of order: who is asked after the scripted time answers without waiting."""
    bench = playing(scripted("delivered", 5, 2, 3))
    now = NOON + timedelta(hours=5)
    assert bench.tell(PICKUP, at=now) == [ParcelCollected(order_id="o1", tracking="parcel-o1")]
    assert bench.tell(HANDED_OVER) == [ParcelArrived(order_id="o1")]
    assert bench.wait_until(LATER) == []


@pytest.mark.parametrize("request_", [CHARGE, PICKUP, HANDED_OVER])
def test_a_missing_time_is_never_answered(request_: Event) -> None:
    """Where the row shows no time there is no answer, ever."""
    bench = playing(scripted("created"))
    bench.tell(request_)
    assert bench.wait_until(LATER) == []


def test_nobody_answers_unasked() -> None:
    """Without a request of the shop the world stays silent, whatever the row shows."""
    assert playing(scripted("delivered", 1, 2, 3)).wait_until(LATER) == []


def test_goods_are_found_at_once_unless_unavailable() -> None:
    """The clerk confirms every order whose goods are there."""
    assert playing(scripted("delivered", 1)).tell(PICK) == [PickConfirmed(order_id="o1")]


@pytest.mark.parametrize("first_then_second", [(PICK, TAKEN), (TAKEN, PICK)])
def test_unavailable_goods_are_missed_after_payment(first_then_second: tuple[Event, Event]) -> None:
    """Goods of an unavailable order that is paid are missed once, after the request and the payment."""
    first, second = first_then_second
    bench = playing(scripted("unavailable", 1))
    assert bench.tell(first) == []
    assert bench.tell(second) == [PickRefused(order_id="o1", reason="not in the warehouse")]


def test_unavailable_goods_of_an_unpaid_order_are_missed_at_once() -> None:
    """Where the row shows no approval there is no payment to wait for."""
    assert playing(scripted("unavailable")).tell(PICK) == [PickRefused(order_id="o1", reason="not in the warehouse")]


def test_a_customer_without_patience_cancels_at_once() -> None:
    """Where the row shows nothing after the purchase, the order is cancelled right after it was placed."""
    bench = Bench(world)
    bench.tell(scripted("canceled"))
    bought, cancelled = bench.wait_until(NOON)
    assert isinstance(bought, OrderPlaced)
    assert cancelled == CANCELLED


@pytest.mark.parametrize("stages", [[TAKEN], [TAKEN, HANDED_OVER], [TAKEN, HANDED_OVER, DELIVERED]])
def test_the_customer_cancels_after_the_last_stage_shown(stages: list[Event]) -> None:
    """A cancellation comes after the last time that the row shows, and only when that stage was seen."""
    bench = playing(scripted("canceled", *range(1, len(stages) + 1)))
    end = NOON + timedelta(hours=len(stages))
    bench.tell(*stages[:-1])
    assert CANCELLED not in bench.wait_until(end)
    assert CANCELLED in bench.tell(stages[-1])
    assert CANCELLED not in bench.wait_until(LATER)


def test_a_cancellation_waits_for_the_latest_time_of_the_row() -> None:
    """Stages out of order: the customer cancels after the latest of them."""
    bench = playing(scripted("canceled", 9, 2))
    bench.tell(HANDED_OVER, at=NOON + timedelta(hours=3))
    assert bench.wait_until(NOON + timedelta(hours=8)) == []
    assert bench.wait_until(NOON + timedelta(hours=9)) == [CANCELLED]


def test_a_gap_in_the_row_ends_it() -> None:
    """A row that shows a hand-over but no approval is cancelled without the stage that never comes."""
    bench = playing(scripted("canceled", None, 2))
    assert bench.wait_until(NOON + timedelta(hours=2)) == [CANCELLED]


def test_an_order_without_a_script_is_served_and_then_left() -> None:
    """An order that somebody emits by hand finds its goods; nobody pays, carries or cancels it."""
    bench = Bench(world)
    assert bench.tell(CHARGE, PICKUP, HANDED_OVER, DELIVERED) == []
    assert bench.tell(PICK) == [PickConfirmed(order_id="o1")]
    assert bench.wait_until(LATER) == []
