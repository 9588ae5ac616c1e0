"""Figures of a worker, as another thread reads them: lag, age, parked, in flight, state."""

import threading
from typing import Any

import pytest

from choreo import Context, Event, Handler, Retry, Service, Store
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, TopicPartition
from choreo.runtime import opening
from choreo.runtime.figures import InputFigures, TaskFigures, figures_of, inputs_of, with_ends
from choreo.runtime.opening import Opening
from tests.runtime.test_async import Bank, HeldOutside
from tests.runtime.test_log_fields import Ride, Rode
from tests.runtime.town import NOON, Town

SECOND = 1_000_000


class JarEvent(Event, namespace="jam", topic="jam.jars", key="jar", abstract=True):
    jar: str


class Filled(JarEvent): ...


class Seal(Handler[Filled]):
    sealed = Store[str, int](default=0)
    retry = Retry(attempts=1)

    def handle(self, event: Filled, ctx: Context) -> None:
        if event.jar == "cracked":
            raise OSError("it leaks")
        self.sealed[event.jar] += 1


class Strict(Seal):
    retry = Retry(attempts=1, then="stop")


def only_task(town: Town) -> TaskFigures:
    figures = figures_of(town.workers[0])
    (task,) = with_ends(figures, town.log.ends(inputs_of([figures]))).tasks
    return task


def test_a_task_at_rest_has_no_lag() -> None:
    """Everything handled and committed: lag 0, nothing uncommitted, the age of its checkpoint grows with the clock."""
    town = Town(Service("jam", handlers=[Seal]))
    town.tell(*[Filled(jar=f"j{n}") for n in range(5)])
    task = only_task(town)
    assert (task.state, task.lag, task.handled, task.uncommitted, task.oldest_at) == ("running", 0, 5, 0, None)
    assert task.inputs == (InputFigures("jam.jars", 0, 5, 5),)
    assert task.checkpoint_at == NOON
    town.wait(60)
    assert town.clock.now() - (only_task(town).checkpoint_at or 0) == 60 * SECOND


def test_lag_counts_from_the_next_record_to_handle() -> None:
    """What lies at hand and what was not fetched yet both count; the oldest at hand says since when."""
    town = Town(Service("jam", handlers=[Strict]))
    town.tell(Filled(jar="cracked"))
    town.step(*[Filled(jar=f"j{n}") for n in range(3)])
    task = only_task(town)
    assert (task.state, task.lag) == ("halted", 3)
    assert task.why == "Strict failed 1 times on jam.jars[0]@0"  # what the error says may quote the event


def test_the_oldest_record_at_hand_says_since_when() -> None:
    """A record that was read and not handled yet shows when it was written."""
    town = Town(Service("jam", handlers=[Seal]))
    town.time.settle()
    worker = town.workers[0]
    town.log.append([_record(town)])
    records = worker.poll()
    worker.tasks[0].inputs.feed(records[0], 1)
    task = only_task(town)
    assert task.oldest_at == records[0].timestamp_ms * 1000
    assert (task.lag, task.handled) == (1, 0)


def test_parked_and_in_flight_are_counted() -> None:
    """Inputs behind a failing one of their key, and inputs that wait for their calls."""
    town = Town(Service("jam", handlers=[Seal]))
    town.tell(*[Filled(jar="cracked")] * 3)
    assert only_task(town).parked == 3
    outside = HeldOutside()
    riding = Town(Service("mail", handlers=[Ride], provide={"bank": Bank}), outside=outside)
    riding.step(Rode(ride="r1"), Rode(ride="r2"))
    assert only_task(riding).in_flight == 2


def test_a_restore_shows_its_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """While its changelog is read a task is `restoring`, with records done and total, and its worker is not settled."""
    town = Town(Service("jam", handlers=[Seal]))
    for n in range(30):
        town.tell(Filled(jar=f"j{n}"))
    monkeypatch.setattr(opening, "RESTORE_STEP", 10)
    town.lose_stores()
    worker = town.workers[0]
    assert not figures_of(worker).settled
    seen: list[tuple[int, int]] = []
    while not figures_of(worker).settled:
        worker.step(town.clock.now(), worker.poll())
        seen += [task.restored for task in figures_of(worker).tasks if task.restored is not None]
    assert len(seen) > 2
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert {total for _, total in seen} == {seen[0][1]} != {0}
    assert only_task(town).state == "running"


def test_a_task_whose_inputs_are_apart_waits() -> None:
    """A task of which only some partitions are here says which topic is missing."""
    town = Town(Service("jam", handlers=[Seal]))
    town.time.settle()
    worker = town.workers[0]
    worker._assignment._topics = frozenset({"jam.jars", "jam.lids"})
    worker._assignment.add({TopicPartition("jam.jars", 7): 0})
    waiting = [task for task in figures_of(worker).tasks if task.state == "waiting" and task.partition == 7]
    assert [task.why for task in waiting] == ["its jam.lids is elsewhere"]


def test_a_worker_before_its_start_and_after_its_end() -> None:
    """Neither is settled: nothing may rely on it."""
    town = Town(Service("jam", handlers=[Seal]))
    town.time.settle()
    worker = town.workers[0]
    assert (figures_of(worker).settled, figures_of(worker).ended) == (True, False)
    worker.stop()
    assert (figures_of(worker).settled, figures_of(worker).ended) == (False, True)


def test_figures_can_be_read_while_the_worker_works() -> None:
    """Another thread looks all the time while tasks come and go: it never meets an error."""
    town = Town(Service("jam", handlers=[Seal]), partitions=8, log=MemoryLog())
    done, errors = threading.Event(), list[BaseException]()

    def look() -> None:
        while not done.is_set():
            try:
                for worker in town.workers:
                    figures_of(worker)
            except BaseException as error:
                errors.append(error)
                return

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(10):
        town.tell(*[Filled(jar=f"j{n}") for n in range(50)])
        town.crash()
    done.set()
    looking.join()
    assert errors == []


def _record(town: Town) -> NewRecord:
    return Codec(town.registry, (), town.log.cluster_id()).encode(Filled(jar="j"), Ids(b"e" * 16, "story", at=NOON))


def test_a_worker_is_not_settled_between_its_assignment_and_its_last_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever another thread looks while tasks are opened, the worker is not settled, until all of them run."""
    town = Town(Service("jam", handlers=[Seal]), partitions=4)
    worker = town.workers[0]
    looks: list[tuple[bool, int]] = []
    begin, finish = Opening.__init__, Opening.finish

    def look() -> None:
        looks.append((figures_of(worker).settled, len(worker.tasks)))

    def beginning(self: Opening, *arguments: Any) -> None:
        look()
        begin(self, *arguments)

    def finishing(self: Opening, *arguments: Any) -> Any:
        look()
        return finish(self, *arguments)

    monkeypatch.setattr(Opening, "__init__", beginning)
    monkeypatch.setattr(Opening, "finish", finishing)
    look()
    town.time.settle()
    assert [settled for settled, _ in looks] == [False] * 9
    assert figures_of(worker).settled
