"""Rebuilding in virtual time: timers, flights, parts, crashes between them, and others who are at work after all."""

from collections.abc import Callable
from contextlib import closing, suppress
from itertools import count

import pytest

from choreo import Context, Service, Store, Timer
from choreo.clock import Clock
from choreo.errors import ChoreoError, StartError
from choreo.events.codec import Codec
from choreo.log.interface import TopicSpec
from choreo.record import NewRecord
from choreo.replay.rebuilding import Origins, Rebuilding
from choreo.replay.replacing import Replaced, Replacing, Story
from choreo.replay.standing import Standing
from choreo.replay.verify import Verdict, verify
from choreo.runtime.options import FaultPoint, no_faults
from choreo.runtime.plan import plan_of
from choreo.service.client import fresh_ids
from choreo.state.changelog import entries
from choreo.state.memory import MemoryBackends
from choreo.state.rebuilt import UNFINISHED, rebuilt_to
from tests.runtime.test_async import Bank, HeldOutside, RideEnded
from tests.runtime.test_async import service as fares
from tests.runtime.test_thread import ALL, Placed, Reminded, Reserve, Reserved
from tests.runtime.town import NOON, Town

ORDERS = [Placed(order_id=f"o{n}", pieces=n + 1) for n in range(8)]


class Killed(BaseException):
    """A process dies here."""


class Doubled(Reserve):
    totals = Store[str, int](default=0)
    reminder = Timer[str]()

    def handle(self, event: Placed, ctx: Context) -> Reserved:
        answer = super().handle(event, ctx)
        self.totals[event.order_id] *= 2
        return answer


Doubled.__name__ = "Reserve"  # the same handler, mended: ids of what it emits are derived from its name
OLD, NEW = Service("inventory", handlers=[Reserve]), Service("inventory", handlers=[Doubled])


def town_of(partitions: int = 2) -> Town:
    town = Town(OLD, partitions=partitions)
    town.tell(*ORDERS)
    town.wait(5)
    return town


def told(found: object) -> Story:
    del found
    return Story(NewRecord("told", None, b"began"), NewRecord("told", None, b"ended"))


def replaced(
    town: Town, service: Service, scratch: MemoryBackends, at_once: int = 1000, reach: FaultPoint = no_faults
) -> list[Replaced]:
    """The whole of it, while nobody is at work; what a worker has on disk is forgotten."""
    town.log.create_topics([TopicSpec("told", 1)])
    plan, name = plan_of(service), service.name
    instance = f"{service.scope}.{town.backends[name].instance_id()}.0"
    rebuilding = Rebuilding(Origins(service, town.log, town.log, town.registry, "code"), scratch, town.clock)
    with closing(rebuilding), closing(Standing(town.log, plan, instance, town.clock, 45.0)) as standing:
        writer = town.log.writer(instance)
        exchanges = []
        for number in range(town.partitions):
            rebuilding.redo(number, _deaf)
            exchanges.append(rebuilding.exchange(number, _deaf))
        replacing = Replacing(f"{service.scope}.changelog", writer, standing, "ada (mended)", reach)
        replacing.at_once = at_once
        try:
            return replacing.replace(exchanges, forget_in(town, name), told)
        finally:
            writer.close()


def _deaf(done: int, total: int) -> None:
    del done, total


def forget_in(town: Town, name: str) -> Callable[[int], None]:
    def forget(partition: int) -> None:
        with closing(town.backends[name].open(f"{name}-{partition}")) as store:
            store.wipe()

    return forget


def restarted(town: Town, service: Service) -> None:
    town.services = (service,)
    town.start()
    town.time.settle()


def leave(town: Town) -> None:
    for worker in town.workers:
        worker.abandon()


def verdict_of(town: Town) -> Verdict:
    tasks = town.workers[0].tasks
    return verify(town.services[0], town.log, town.registry, lambda n: tasks[n].task.entries.backend)


def totals(town: Town) -> dict[str, int]:
    found = town.stored("inventory")
    return {key[8:-1].decode()[1:]: int(v[1:]) for key, v in found.items() if key.startswith(b"\x01totals\x00")}


ONCE = {order.order_id: order.pieces for order in ORDERS}
TWICE = {order_id: 2 * pieces for order_id, pieces in ONCE.items()}


def test_timers_come_along() -> None:
    """Timers that were set in the past fire at their time, once, after a rebuild."""
    town = town_of()
    assert totals(town) == ONCE
    leave(town)
    replaced(town, NEW, MemoryBackends())
    restarted(town, NEW)
    assert totals(town) == TWICE
    town.wait(3700)
    reminders = [event for event in town.events("town.orders", ALL) if isinstance(event, Reminded)]
    assert sorted(event.order_id for event in reminders) == sorted(ONCE)
    assert verdict_of(town).clean


def test_nothing_to_change_changes_nothing_but_the_note() -> None:
    """The same code gives the same entries: each task notes how far it was rebuilt, and no more is written."""
    town = town_of()
    leave(town)
    found = replaced(town, OLD, MemoryBackends())
    assert [(one.put, one.deleted) for one in found] == [(1, 0), (1, 0)]
    restarted(town, OLD)
    backend = town.workers[0].tasks[0].task.entries.backend
    assert rebuilt_to(backend).checkpoint > 0
    assert rebuilt_to(backend).now >= NOON


def test_what_the_changelog_has_too_much_goes() -> None:
    """Entries that nothing on the log explains get a tombstone."""
    town = town_of(1)
    leave(town)
    stray = b"\x01totals\x00sstray\x00"
    town.log.append([NewRecord("choreo.inventory.changelog", stray, b"\x0199", (), 0)])
    (found,) = replaced(town, OLD, MemoryBackends())
    assert found.deleted == 1
    restarted(town, OLD)
    assert "stray" not in totals(town)


def test_a_lost_changelog_is_written_anew() -> None:
    """Where the changelog holds nothing any more, all of it comes from the log."""
    town = town_of(1)
    wanted = town.stored("inventory")
    leave(town)
    keys = {record.key for record in town.records("choreo.inventory.changelog")}
    town.log.append([NewRecord("choreo.inventory.changelog", key, None, (), 0) for key in keys])
    replaced(town, OLD, MemoryBackends())
    restarted(town, OLD)
    assert town.stored("inventory") == wanted


@pytest.mark.parametrize("last", range(1, 14))
def test_in_parts_a_crash_leaves_a_mark(last: int) -> None:
    """More than fits one transaction is replaced under a mark: a worker that comes between refuses to start, and the
    same command ends what it began.
    """
    town = town_of()
    leave(town)
    visits = count(1)

    def reach(name: str) -> None:
        if next(visits) == last:
            raise Killed(name)

    scratch = MemoryBackends()
    died = False
    try:
        replaced(town, NEW, scratch, at_once=2, reach=reach)
    except Killed:
        died = True
    scratch.close()
    refused = None
    try:
        restarted(town, OLD)
    except StartError as error:
        refused = str(error)
    if refused is None:
        assert totals(town) in (ONCE, TWICE)
    else:
        assert died
        assert "half replaced" in refused
        assert "choreo replay rebuild inventory" in refused
        assert "ada" in refused
    leave(town)
    replaced(town, NEW, scratch, at_once=2)
    restarted(town, NEW)
    assert totals(town) == TWICE
    assert all(live.task.entries.backend.get(UNFINISHED) is None for live in town.workers[0].tasks.values())
    assert verdict_of(town).clean


def test_a_zombie_writes_nothing_over_it() -> None:
    """A worker that only slept while it was replaced commits nothing of the old state."""
    town = Town(OLD)
    town.tell(*ORDERS)
    (zombie,) = town.workers
    zombie.tasks[0].task.entries.backend.close()  # nobody has it open but the zombie, which is on another machine
    replaced(town, NEW, MemoryBackends())
    before = town.records("choreo.inventory.changelog")
    codec = Codec(town.registry, (), town.log.cluster_id())
    town.log.append([codec.encode(Placed(order_id="o1", pieces=100), fresh_ids(town.clock.now(), "late"))])
    for _ in range(5):
        with suppress(ChoreoError):
            zombie.step(town.clock.now(), zombie.poll())
    assert town.records("choreo.inventory.changelog") == before


def test_what_came_meanwhile_is_redone_too() -> None:
    """A rebuild goes on with what the service did since it last looked."""
    town = town_of(1)
    with closing(
        Rebuilding(Origins(OLD, town.log, town.log, town.registry, "code"), MemoryBackends(), town.clock)
    ) as rebuilding:
        first = rebuilding.redo(0, _deaf)
        town.tell(Placed(order_id="o1", pieces=100), Placed(order_id="new", pieces=1))
        assert rebuilding.redo(0, _deaf) > first
        live = dict(entries(town.workers[0].tasks[0].task.entries.backend))
        assert dict(entries(rebuilding.renewal(0).scratch)) == live


class Quiet(Reserve):
    totals = Store[str, int](default=0)
    reminder = Timer[str]()

    def handle(self, event: Placed, ctx: Context) -> Reserved | None:  # type: ignore[override]  # it says less
        answer = super().handle(event, ctx)
        return answer if event.pieces > 4 else None


Quiet.__name__ = "Reserve"


def test_other_code_begins_anew() -> None:
    """What was redone by other code is thrown away, also what that would have emitted."""
    town, scratch = town_of(1), MemoryBackends()
    for service, code, events in ((OLD, "old", 8), (Service("inventory", handlers=[Quiet]), "new", 4)):
        with closing(
            Rebuilding(Origins(service, town.log, town.log, town.registry, code), scratch, town.clock)
        ) as rebuilding:
            assert rebuilding.renewal(0).checkpoint == 0
            rebuilding.redo(0, _deaf)
            found = rebuilding.emitted.others(town.log, _deaf)
            assert (found.events, found.others, found.letters) == (events, 0, 0)
    assert totals(town) == ONCE


class Hasty(Clock):
    """A second goes by with each look."""

    def __init__(self) -> None:
        self._now = NOON

    def now(self) -> int:
        self._now += 1_000_000
        return self._now


def test_somebody_else_at_work_is_found() -> None:
    """A worker of the group elsewhere keeps its tasks: the rebuild says so, and that it must be stopped."""
    town = town_of()
    elsewhere = f"{OLD.scope}.elsewhere.0"
    clock = Hasty()
    with pytest.raises(StartError) as refused:
        Standing(town.log, plan_of(OLD), elsewhere, clock, 3.0)
    assert "does not stand still" in str(refused.value)
    assert "on other machines too" in str(refused.value)


def test_somebody_who_comes_meanwhile_is_found() -> None:
    """A worker that joins once all was held ends the right to replace anything."""
    town = town_of()
    leave(town)
    with closing(Standing(town.log, plan_of(OLD), "choreo.inventory.memory.0", town.clock, 45.0)) as standing:
        standing.identity()
        town.backends = {"inventory": MemoryBackends("elsewhere")}
        town.start()
        (worker,) = town.workers
        for _ in range(4):
            worker.step(town.clock.now(), worker.poll())
            standing.beat()
        with pytest.raises(StartError, match="does not stand still"):
            standing.identity()


@pytest.mark.parametrize("stop", range(1, 9))
def test_an_interrupted_rebuild_keeps_what_is_in_flight(stop: int) -> None:
    """Left behind any checkpoint, it goes on as if it had never stopped, calls on their way included."""
    outside = HeldOutside()
    service = fares(Bank())
    town = Town(service, outside=outside)
    town.step(*[RideEnded(ride=f"r{n}", kilometres=n + 1) for n in range(3)])
    while outside.open:
        outside.release(len(outside.open) // 2)
        town.step()
        town.clock.move_to(town.clock.now() + 300_000)
        town.step()
    live = dict(entries(town.workers[0].tasks[0].task.entries.backend))
    scratch = MemoryBackends()
    origins = Origins(service, town.log, town.log, town.registry, "code")
    with closing(Rebuilding(origins, scratch, town.clock)) as first:
        last = town.workers[0].tasks[0].meta.checkpoint
        assert last >= 8
        assert first.redo(0, _deaf, stop) == stop
    with closing(Rebuilding(origins, scratch, town.clock)) as second:
        assert second.renewal(0).checkpoint == stop
        assert second.redo(0, _deaf) == last
        assert dict(entries(second.renewal(0).scratch)) == live
