"""Nested sagas under crashes, duplicates and cancellations at any moment: all levels end alike."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from random import Random

from choreo import Context, Event, Handler, Service
from choreo.testing import Faults, Simulation, World
from tests.saga import mall
from tests.saga.mall import SPECS


class Pick(Handler[mall.PickWanted]):
    def handle(self, wanted: mall.PickWanted, ctx: Context) -> mall.Picked | mall.PickRefused:
        picked = mall.PickRefused if wanted.order_id.endswith("1") else mall.Picked
        return picked(shipment_id=wanted.shipment_id, order_id=wanted.order_id)

    def compensate(self, wanted: mall.UnpickWanted, ctx: Context) -> mall.Unpicked:
        return mall.Unpicked(shipment_id=wanted.shipment_id, order_id=wanted.order_id)


class Load(Handler[mall.LoadWanted]):
    def handle(self, wanted: mall.LoadWanted, ctx: Context) -> mall.Loaded:
        return mall.Loaded(delivery_id=wanted.delivery_id, shipment_id=wanted.shipment_id)

    def compensate(self, wanted: mall.UnloadWanted, ctx: Context) -> mall.Unloaded:
        return mall.Unloaded(delivery_id=wanted.delivery_id, shipment_id=wanted.shipment_id)


class Pay(Handler[mall.PaymentWanted]):
    def handle(self, wanted: mall.PaymentWanted, ctx: Context) -> mall.PaymentTaken | mall.PaymentRefused:
        return (mall.PaymentRefused if wanted.order_id.endswith("2") else mall.PaymentTaken)(order_id=wanted.order_id)


crew = Service("crew", handlers=[Pick, Load])
till = Service("till", handlers=[Pay])
simulation = Simulation(crew, till, sagas=SPECS, faults=Faults(crash=0.03, duplicate=0.1))
ends: Counter[str] = Counter()
"""How orders ended, over all runs of this process."""


@simulation.workload
def customers(random: Random) -> Iterator[tuple[timedelta, Event]]:
    """Some orders can't be picked, some not be paid, some are cancelled at once or later."""
    for number in range(5):
        yield timedelta(seconds=random.random()), mall.OrderPlaced(order_id=f"o{number}")
        if random.random() < 0.5:
            yield timedelta(milliseconds=random.randint(0, 200)), mall.OrderCancelled(order_id=f"o{number}")


@simulation.at_rest
def all_levels_end_alike(world: World) -> None:
    """What an order nests is complete where it is, and gone where it isn't."""
    levels = [world.sagas(name) for name in ("order", "shipping", "delivery")]
    for key, status in levels[0].items():
        assert status in ("completed", "compensated", "cancelled"), f"{key} {status}"
        nested = [levels[1].get(f"S-{key}"), levels[2].get(f"D-S-{key}")]
        assert nested == ["completed"] * 2 if status == "completed" else set(nested) <= {"compensated", None}, nested
        ends[status] += 1


def test_all_levels_end_alike_in_every_run() -> None:
    """No run leaves anything done below an order that was undone, and all ends are met."""
    for seed in range(8):
        simulation.run(seed)
    assert set(ends) == {"completed", "compensated", "cancelled"}
