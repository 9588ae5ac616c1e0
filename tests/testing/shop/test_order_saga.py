"""The whole shop: what the customer sees when steps fail, time out or are cancelled."""

from datetime import timedelta
from decimal import Decimal

from choreo.testing import Scenario, like
from tests.testing.shop.conftest import FakeGateway, FakeMailer
from tests.testing.shop.inventory.events import StockReleased, StockReleaseRequested, StockReserved
from tests.testing.shop.inventory.service import ReserveStock
from tests.testing.shop.orders.events import OrderCancelled, OrderOverdue
from tests.testing.shop.payments.events import (
    DayClosed,
    PaymentDeclined,
    PaymentTaken,
    PaymentUnknown,
    RefundRequested,
    TakingsFiled,
)
from tests.testing.shop.shipping.events import OrderDelivered, ParcelHandedOver
from tests.testing.shop.stories import NOON, counted, placed


def test_a_paid_order_is_shipped(shop: Scenario) -> None:
    """Stock and money together start the parcel; delivery ends the saga."""
    shop.given(counted(pieces=5))
    shop.when(placed("o1")).then_saga("order_fulfilment", "o1", "waiting", waits_for=OrderDelivered)
    assert shop.events(ParcelHandedOver)[0].tracking == "label-o1"
    shop.when(OrderDelivered(order_id="o1")).then_saga("order_fulfilment", "o1", "completed")


def test_a_declined_card_gives_the_stock_back(shop: Scenario, gateway: FakeGateway, mailer: FakeMailer) -> None:
    """A declined payment releases what was reserved, and the customer is told."""
    gateway.declines = "no funds"
    shop.given(counted(pieces=5)).when(placed("o1"))
    shop.then(
        like(StockReserved, order_id="o1"),
        PaymentDeclined(order_id="o1", reason="no funds"),
        like(StockReleaseRequested, order_id="o1"),
        StockReleased(order_id="o1"),
    )
    shop.then_saga("order_fulfilment", "o1", "compensated").then_stored(ReserveStock.stock, {("vienna", "tea"): 5})
    assert mailer.sent == [("ada@example.org", "Your payment was declined: no funds")]


def test_a_silent_bank_is_asked_again_then_undone(shop: Scenario, gateway: FakeGateway) -> None:
    """Retries wait in virtual time; after the last one the payment counts as 'may have happened'."""
    gateway.down = True
    shop.given(counted(pieces=5)).when(placed("o1")).after(minutes=5)
    shop.then(
        like(StockReserved),
        like(PaymentUnknown),
        like(RefundRequested),
        like(StockReleaseRequested),
        like(StockReleased),
    )
    gateway.down = False
    shop.after(minutes=5).then_saga("order_fulfilment", "o1", "compensated")


def test_cancelling_after_the_parcel_left_is_refused(shop: Scenario) -> None:
    """Beyond the pivot there is only forward."""
    shop.given(counted(pieces=5), placed("o1"), OrderDelivered(order_id="o1"))
    shop.when(OrderCancelled(order_id="o1")).then_saga("order_fulfilment", "o1", "completed")


def test_a_broken_promise_is_noticed(shop: Scenario) -> None:
    """The promise timer fires at its time, once, even across a restart."""
    promised = NOON + timedelta(days=3)
    shop.given(counted(pieces=5), placed("o1", promised_at=promised)).restart().after(days=3)
    shop.then(OrderOverdue(order_id="o1", promised_at=promised))
    assert len(shop.events(PaymentTaken)) == 1


def test_a_day_is_filed_once(shop: Scenario) -> None:
    """The day's payments are added up and filed when the day is closed."""
    shop.given(counted(pieces=5), placed("o1", quantity=1), placed("o2", quantity=2))
    shop.when(DayClosed(day=NOON.date())).then(TakingsFiled(day=NOON.date(), total=Decimal("13.50")))
    shop.when(DayClosed(day=NOON.date())).then(TakingsFiled(day=NOON.date(), total=Decimal("0.00")))
