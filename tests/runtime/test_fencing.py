"""Fencing: what was worked out under an old right is never committed, and a failed checkpoint is taken again,
exactly.
"""

from collections import Counter

import pytest

from choreo import Service
from choreo.clock import SystemClock
from choreo.errors import FencedError, StartError
from choreo.log.memory import MemoryLog
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import Worker
from choreo.state.memory import MemoryBackends
from tests.runtime.test_thread import ALL, Placed, Reminded, Reserve, Reserved
from tests.runtime.town import NOON, Town

POINTS = ["begun", "appended", "offsets_sent", "committed", "stored"]


class Killed(BaseException):
    """A process dies here."""


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_at_any_point_of_a_checkpoint_loses_and_repeats_nothing(point: str) -> None:
    """Whatever the last thing was that a killed worker did, each event is answered once and the stores agree."""
    lives = Counter[str]()

    def reach(name: str) -> None:
        lives[name] += 1
        if name == f"checkpoint.{point}" and lives[name] in (2, 4):
            raise Killed

    town = Town(Service("inventory", handlers=[Reserve]), partitions=2, reach=reach)
    for number in range(6):
        try:
            town.tell(*[Placed(order_id=f"o{n}", pieces=1) for n in range(4)])
        except Killed:
            town.crash()
            town.time.settle()
        assert number < 6
    answers = Counter((e.order_id, e.total) for e in town.events("town.orders", ALL) if isinstance(e, Reserved))
    assert answers == Counter({(f"o{n}", total): 1 for n in range(4) for total in range(1, 7)})
    ids = [ids.event_id for ids in town.ids("town.orders")]
    assert len(ids) == len(set(ids))


def test_a_zombie_with_a_due_timer_commits_nothing() -> None:
    """A worker that was thrown out of its group wakes up with a timer to fire: its successor alone speaks."""
    town = Town(Service("inventory", handlers=[Reserve]))
    town.tell(Placed(order_id="o1", pieces=1))
    (zombie,) = town.workers
    town.backends = {"inventory": MemoryBackends()}
    town.start()
    town.time.settle()
    town.clock.move_to(NOON + 2 * 3_600_000_000)
    step_on(zombie, town.clock.now(), polling=False)
    with pytest.raises(FencedError):
        step_on(zombie, town.clock.now())
    assert town.events("town.orders", (Reminded,)) == []
    town.wait(1)
    assert town.events("town.orders", (Reminded,)) == [Reminded(order_id="o1")]


def step_on(worker: Worker, now: int, *, polling: bool = True) -> None:
    """Five steps, enough for everything that was asked for to happen."""
    for _ in range(5):
        worker.step(now, worker.poll() if polling else ())


def test_two_workers_share_the_tasks_and_hand_them_over() -> None:
    """A second worker takes its part of the partitions with their stores; when it leaves, they come back."""
    service = Service("inventory", handlers=[Reserve])
    town = Town(service, partitions=4)
    town.tell(*[Placed(order_id=f"o{n}", pieces=1) for n in range(12)])
    site = Site(town.log, town.registry, MemoryBackends("second"), town.clock)
    second = Worker(service, site, RunOptions(start_from="earliest", checkpoint_dry_s=0, worker=1))
    second.start()
    both = [town.workers[0], second]
    for _ in range(20):
        for worker in both:
            worker.step(town.clock.now(), worker.poll())
    assert sorted([*both[0].tasks, *both[1].tasks]) == [0, 1, 2, 3]
    assert len(both[1].tasks) == 2
    town.tell(*[Placed(order_id=f"o{n}", pieces=1) for n in range(12)])
    step_on(second, town.clock.now())
    second.stop()
    for _ in range(20):
        both[0].step(town.clock.now(), both[0].poll())
    town.tell(*[Placed(order_id=f"o{n}", pieces=1) for n in range(12)])
    totals = Counter((e.order_id, e.total) for e in town.events("town.orders", ALL) if isinstance(e, Reserved))
    assert totals == Counter({(f"o{n}", total): 1 for n in range(12) for total in (1, 2, 3)})


def test_a_first_start_on_a_full_topic_must_be_told_where_to_begin() -> None:
    """Nobody mails two years of customers by accident: the error counts the records and names the choices."""
    log = MemoryLog(SystemClock())
    town = Town(Service("inventory", handlers=[Reserve]), log=log)
    town.tell(*[Placed(order_id=f"o{n}", pieces=1) for n in range(12)])
    again = Service("again", handlers=[Reserve])
    create_topics(log, [plan_of(again)], 1)
    worker = Worker(again, Site(log, town.registry, MemoryBackends(), town.clock), RunOptions())
    worker.start()
    with pytest.raises(StartError, match=r"hold 2\d records: town.orders") as raised:
        step_on(worker, NOON)
    assert "--start-from earliest" in str(raised.value)
    worker.abandon()
    worker = Worker(again, Site(log, town.registry, MemoryBackends(), town.clock), RunOptions(start_from="latest"))
    worker.start()
    step_on(worker, NOON)
    assert worker.handled == 0
