"""Snapshots of stores: taken now and then, spread over the past, and never of what a replay could not go on from."""

from itertools import pairwise
from typing import Any

from choreo import Service
from choreo.runtime.snapshots import MOST, surplus
from choreo.state.meta import meta_entry, read_meta
from tests.runtime.test_thread import Placed, Reserve
from tests.runtime.town import Town


def town_with(**options: Any) -> Town:
    """A service that keeps a snapshot every ten inputs; what it emits comes to it too."""
    return Town(Service("inventory", handlers=[Reserve]), options={"snapshot_every_inputs": 10, **options})


def numbers(town: Town) -> list[int]:
    return town.backends["inventory"].snapshots("inventory-0").numbers()


def place(town: Town, first: int, count: int) -> None:
    for number in range(first, first + count):
        town.tell(Placed(order_id=f"o{number}", pieces=1))


def test_a_store_is_kept_every_so_many_inputs() -> None:
    """After the inputs that the settings say a store is kept as its last checkpoint left it, and says which that is."""
    town = town_with()
    place(town, 0, 4)
    assert numbers(town) == []
    place(town, 4, 8)
    taken = numbers(town)
    assert len(taken) == 2
    for number in taken:
        meta = read_meta(town.backends["inventory"].snapshots("inventory-0").open(number))
        assert meta is not None
        assert meta.checkpoint == number


def test_none_is_kept_where_none_is_wanted() -> None:
    """0 in the settings: never."""
    town = town_with(snapshot_every_inputs=0)
    place(town, 0, 12)
    assert numbers(town) == []


def test_a_new_build_begins_with_a_snapshot() -> None:
    """Other code that takes over keeps the store as it finds it; the same code again does not."""
    town = town_with(snapshot_every_inputs=1000, build="one")
    place(town, 0, 3)
    town.crash()
    town.time.settle()
    assert numbers(town) == []
    town.options["build"] = "two"
    town.crash()
    town.time.settle()
    (begun,) = numbers(town)
    place(town, 3, 3)
    town.crash()
    town.time.settle()
    assert numbers(town) == [begun]
    kept = town.backends["inventory"].snapshots("inventory-0").open(begun)
    meta = read_meta(kept)
    assert meta is not None
    assert meta.build == "one"


def test_a_store_that_begins_anew_forgets_its_snapshots() -> None:
    """What was kept of a store that can't be trusted any more can't be either."""
    town = town_with()
    place(town, 0, 12)
    assert numbers(town)
    for worker in town.workers:
        for live in worker.tasks.values():
            meta = live.meta._replace(cluster_id="another")
            live.task.entries.backend.write(dict([meta_entry(meta)]))
    town.crash()
    town.time.settle()
    place(town, 12, 1)
    assert numbers(town) == []


def test_many_snapshots_stay_spread_over_the_past() -> None:
    """Of more than MOST the one goes whose neighbours are closest: no gap is more than four times the even one."""
    kept: list[int] = []
    for number in range(10, 50_000, 10):
        kept.append(number)
        while (gone := surplus(kept, keep=10)) is not None:
            kept.remove(gone)
    assert len(kept) == MOST
    assert kept[0] == 10
    assert kept[-1] == 49_990
    gaps = [after - before for before, after in pairwise(kept)]
    assert max(gaps) <= 4 * 49_990 / MOST
    assert surplus(kept, keep=None) is None
