"""The sample shop as a simulation: what must always hold, whatever crashes, comes twice, or comes late."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from choreo import Event
from choreo.testing import Faults, Simulation, World
from services.shop.inventory.events import StockCounted
from services.shop.inventory.service import KeepShelf, inventory
from services.shop.notifications.service import notifications
from services.shop.orders.events import Line, Part
from services.shop.orders.service import TrackOrder, orders
from services.shop.payments.events import PaymentRefunded, PaymentTaken
from services.shop.payments.service import payments
from services.shop.shipping.events import OrderDelivered
from services.shop.shipping.service import shipping
from services.shop.world.events import Scripted
from services.shop.world.service import world as outside

SPEC = Path(__file__).parents[2] / "saga_specs" / "order_fulfilment.yaml"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PRODUCTS = ("tea", "cup", "pot")
ORDERS = 20

simulation = Simulation(
    orders, inventory, payments, shipping, notifications, outside, sagas=[SPEC], faults=Faults(crash=0.02)
)


@simulation.workload
def customers(random: Random) -> Iterator[tuple[timedelta, Event]]:
    """Some shelves are nearly empty; some orders are cancelled, some can't be served, most are delivered."""
    for product in PRODUCTS:
        yield timedelta(), StockCounted(product_id=product, pieces=random.randint(0, 30))
    yield timedelta(seconds=1), scripted(random, 0, NOON + timedelta(seconds=1))
    at = NOON + timedelta(seconds=1)
    for number in range(1, ORDERS):
        wait = timedelta(seconds=round(random.expovariate(0.1), 3))
        at += wait
        yield wait, scripted(random, number, at)


def scripted(random: Random, number: int, at: datetime) -> Scripted:
    """What happens to one order: minutes lie between the stages."""
    status = random.choices(("delivered", "canceled", "unavailable"), (8, 2, 1))[0]
    times = [at := at + timedelta(seconds=random.randint(0, 300)) for _ in range(random.choice((3, 3, 3, 2, 1)))]
    times_or_never = [*times, None, None]
    price = Decimal(random.randint(100, 9999)) / 100
    lines = tuple(
        Line(product_id=random.choice(PRODUCTS), quantity=random.randint(1, 3), price=price, freight=Decimal("1.00"))
        for _ in range(random.randint(1, 2))
    )
    return Scripted(
        order_id=f"o{number}",
        customer_id=f"c{number}",
        status=status,
        purchased_at=times[0],
        approved_at=times_or_never[0],
        handed_over_at=times_or_never[1],
        delivered_at=times_or_never[2],
        promised_at=at + timedelta(seconds=random.randint(-60, 60)),
        lines=lines,
        parts=(Part(kind="card", installments=1, amount=price),),
    )


@simulation.always
def stock_never_goes_below_zero(world: World) -> None:
    """No shelf holds out more pieces than lay on it."""
    stock = world.store(KeepShelf.stock)
    assert all(pieces >= 0 for pieces in stock.values()), stock


@simulation.at_rest
def every_piece_is_held_once(world: World) -> None:
    """What lies free and what is held are together what was counted."""
    counted = {event.product_id: event.pieces for event in world.events(StockCounted)}
    held = world.store(KeepShelf.held)
    for product, free in world.store(KeepShelf.stock).items():
        taken = sum(pieces for (shelf, _, _), pieces in held.items() if shelf == product)
        assert free + taken == counted[product], f"{product}: {free} free, {taken} held, {counted[product]} counted"


@simulation.at_rest
def undone_orders_keep_no_money(world: World) -> None:
    """Every order that was told of has a saga; one that went back gave all the money back."""
    taken = {event.order_id: event.amount for event in world.events(PaymentTaken)}
    refunded = {event.order_id: event.amount for event in world.events(PaymentRefunded)}
    sagas = world.sagas("order_fulfilment")
    assert set(sagas) == {event.order_id for event in world.events(Scripted)}
    for order_id, status in sagas.items():
        assert status in ("waiting", "completed", "compensated", "cancelled"), f"{order_id} is {status}"
        if status in ("compensated", "cancelled"):
            assert refunded.get(order_id, 0) == taken.get(order_id, 0), order_id


@simulation.at_rest
def nobody_is_charged_twice(world: World) -> None:
    """Money is taken once an order, and a parcel arrives once."""
    for cls in (PaymentTaken, OrderDelivered):
        names = [event.order_id for event in world.events(cls)]
        assert len(names) == len(set(names)), f"{cls.__name__}: {sorted(names)}"


@simulation.at_rest
def closed_orders_are_closed(world: World) -> None:
    """An order that was delivered is not open any more."""
    open_orders = world.store(TrackOrder.open_orders)
    for event in world.events(OrderDelivered):
        assert event.order_id not in open_orders, f"{event.order_id} was delivered and is open"
