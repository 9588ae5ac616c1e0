"""The whole shop under crashes, duplicates and a failing bank: what must always hold."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random

from choreo import Event
from choreo.testing import Faults, Simulation, World
from tests.testing.shop.conftest import SPEC, FakeGateway, FakePrinter
from tests.testing.shop.inventory.service import ReserveStock, inventory
from tests.testing.shop.orders.events import OrderCancelled
from tests.testing.shop.orders.service import orders
from tests.testing.shop.payments.events import PaymentRefunded, PaymentTaken
from tests.testing.shop.payments.service import payments
from tests.testing.shop.shipping.events import OrderDelivered
from tests.testing.shop.shipping.service import shipping
from tests.testing.shop.stories import counted, placed

simulation = Simulation(
    orders,
    inventory,
    payments.using(gateway=FakeGateway),
    shipping.using(printer=FakePrinter),
    sagas=[SPEC],
    faults=Faults(crash=0.02, duplicate=0.05, call_outcome_lost=0.05),
)


@simulation.workload
def customers(random: Random) -> Iterator[tuple[timedelta, Event]]:
    """A handful of orders; some are cancelled, most are delivered."""
    yield timedelta(), counted(pieces=random.randint(0, 20))
    for number in range(random.randint(1, 8)):
        order = placed(f"o{number}", quantity=random.randint(1, 4))
        yield timedelta(seconds=random.expovariate(0.1)), order
        after = timedelta(minutes=random.randint(0, 60))
        gone = random.random() < 0.3
        yield after, OrderCancelled(order_id=order.order_id) if gone else OrderDelivered(order_id=order.order_id)


@simulation.always
def stock_never_goes_below_zero(world: World) -> None:
    """No shelf gives more than lay on it."""
    assert all(pieces >= 0 for pieces in world.store(ReserveStock.stock).values())


@simulation.at_rest
def undone_orders_keep_no_money(world: World) -> None:
    """Every order ends or is visibly stuck; one that was undone has all its money back."""
    taken = {event.order_id: event.amount for event in world.events(PaymentTaken)}
    refunded = {event.order_id: event.amount for event in world.events(PaymentRefunded)}
    for order_id, status in world.sagas("order_fulfilment").items():
        assert status in ("completed", "compensated", "cancelled", "stuck")
        if status in ("compensated", "cancelled") and order_id in taken:
            assert refunded[order_id] == taken[order_id]


def test_the_shop_holds(seed: int) -> None:
    """`pytest --choreo-seeds 1000`, or `choreo simulate tests.testing.shop.test_simulation`."""
    simulation.run(seed)


def test_calls_fail_in_each_way() -> None:
    """Over some seeds calls fail, are slow, lose their outcome, and workers die and stand still in them."""
    trials = [simulation.tried(simulation.ordeal(seed)) for seed in range(40)]
    struck = {fault.kind for trial in trials for fault in trial.fate.struck if fault.site == "call"}
    assert struck == {"fail", "slow", "lose", "crash", "wreck", "stall"}
