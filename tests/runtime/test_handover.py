"""Handing over: between workers, between releases, in the midst of a restore or of a failing commit; exactly once."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from choreo import Context, Event, Handler, Service, Store
from choreo.clock import SystemClock
from choreo.errors import StartError, TransactionAbortedError
from choreo.log.local import GroupOffsets, Routed
from choreo.log.memory import MemoryLog
from choreo.record import TopicPartition
from choreo.runtime import opening
from choreo.runtime.assignment import start_offsets
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.worker import Worker
from choreo.service.service import Service as DeclaredService
from choreo.state.memory import MemoryBackends
from tests.runtime.town import Town

HOUR_S = 3_600.0


class Asked(Event, namespace="handover", topic="handover.asked", key="case"):
    case: str


class Told(Event, namespace="handover", topic="handover.told", key="case"):
    case: str


class Counted(Event, namespace="handover", topic="handover.counted", key="case"):
    case: str
    times: int


class CountAsked(Handler[Asked]):
    asked = Store[str, int](default=0)

    def handle(self, event: Asked, ctx: Context) -> Counted:
        self.asked[event.case] += 1
        return Counted(case=event.case, times=self.asked[event.case])


class CountTold(Handler[Told]):
    told = Store[str, int](default=0)

    def handle(self, event: Told, ctx: Context) -> Counted:
        self.told[event.case] += 1
        return Counted(case=event.case, times=self.told[event.case])


CASES = [f"c{number}" for number in range(40)]
desk = Service("desk", handlers=[CountAsked])
newer_desk = Service("desk", handlers=[CountAsked, CountTold])


def worker_of(town: Town, number: int, service: DeclaredService = desk, checkpoint_s: float = 0.0) -> Worker:
    """One more worker, on stores of its own; it commits when it is told to go, or `checkpoint_s` later."""
    options = RunOptions(
        start_from="earliest", worker=number, checkpoint_dry_s=checkpoint_s, checkpoint_interval_s=checkpoint_s or 0.25
    )
    worker = Worker(service, Site(town.log, town.registry, MemoryBackends(f"w{number}"), town.clock), options)
    worker.start()
    return worker


def turn(town: Town, workers: Sequence[Worker], done: Callable[[], bool] = lambda: False, turns: int = 200) -> None:
    """Everybody polls and steps in turn, until it is done or nothing more can be expected."""
    for _ in range(turns):
        for worker in workers:
            worker.step(town.clock.now(), worker.poll())
        if done():
            return


def counted(town: Town) -> Counter[tuple[str, int]]:
    return Counter((e.case, e.times) for e in town.events("handover.counted", (Counted,)) if isinstance(e, Counted))


def empty_town(log: MemoryLog | None = None, service: DeclaredService = desk, partitions: int = 4) -> Town:
    """A town whose topics are there and whose workers have gone."""
    town = Town(service, partitions=partitions, log=log)
    for worker in town.workers:
        worker.abandon()
    town.workers, town.time = [], type(town.time)(town.clock, [])
    return town


def test_a_release_that_reads_one_more_topic_splits_no_task() -> None:
    """While the old release holds some partitions, the new one opens only tasks it has whole; the rest waits for it."""
    town = empty_town(service=newer_desk)
    old, new = worker_of(town, 0), worker_of(town, 1, newer_desk)
    turn(town, [old, new], turns=20)
    town.tell(*[Told(case=case) for case in CASES], *[Asked(case=case) for case in CASES])
    turn(town, [old, new], turns=20)
    assert sorted(old.tasks) == [0, 1]
    assert sorted(new.tasks) == [2, 3]
    half = counted(town)
    assert len(CASES) < half.total() < 2 * len(CASES)
    old.stop()
    turn(town, [new], lambda: counted(town).total() == 2 * len(CASES))
    assert sorted(new.tasks) == [0, 1, 2, 3]
    assert counted(town) == {(case, 1): 2 for case in CASES}


def test_a_rebalance_in_the_midst_of_a_restore_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that restores keeps polling; when half of its tasks are taken away meanwhile, all end up whole."""
    monkeypatch.setattr(opening, "RESTORE_STEP", 5)
    town = empty_town(partitions=2)
    first = worker_of(town, 0)
    town.tell(*[Asked(case=case) for case in CASES])
    turn(town, [first], lambda: counted(town).total() == len(CASES))
    first.stop()
    second = worker_of(town, 1)
    turn(town, [second], turns=2)
    assert not second.ready
    third = worker_of(town, 2)
    turn(town, [second, third], lambda: second.ready and third.ready and len(second.tasks) == len(third.tasks) == 1)
    assert sorted([*second.tasks, *third.tasks]) == [0, 1]
    town.tell(*[Asked(case=case) for case in CASES])
    turn(town, [second, third], lambda: counted(town).total() == 2 * len(CASES))
    assert counted(town) == {(case, times): 1 for case in CASES for times in (1, 2)}


class RefusingLog(MemoryLog):
    """A log that refuses so many transactions of the service, as one does whose group has moved on."""

    refusals = 0

    def commit(self, routed: Routed, offsets: GroupOffsets, transactional: bool) -> list[int]:
        if self.refusals and transactional:
            self.refusals -= 1
            raise TransactionAbortedError("the group has moved on")
        return super().commit(routed, offsets, transactional)


def test_work_that_can_not_be_committed_at_a_handover_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """The commit on the way out may be refused: that is no error of the worker, and the next owner does the work."""
    log = RefusingLog(SystemClock())
    town = empty_town(log, partitions=2)
    slow = worker_of(town, 0, checkpoint_s=HOUR_S)
    town.tell(*[Asked(case=case) for case in CASES])
    turn(town, [slow], lambda: slow.handled == len(CASES))
    assert counted(town).total() == 0
    second = worker_of(town, 1)
    log.refusals = 1
    with caplog.at_level(logging.WARNING, "choreo.runtime"):
        turn(town, [slow, second], lambda: len(second.tasks) == 1)
    assert (log.refusals, "was refused" in caplog.text) == (0, True)
    turn(town, [slow, second], turns=10)
    slow.stop()
    turn(town, [second], lambda: counted(town).total() == len(CASES))
    assert counted(town) == {(case, 1): 1 for case in CASES}


def test_a_fenced_writer_is_made_anew_and_the_work_done_again(caplog: pytest.LogCaptureFixture) -> None:
    """A transaction that took too long costs the writer its id: the worker takes another and repeats, exactly once."""
    town = empty_town(partitions=2)
    worker = worker_of(town, 0)
    turn(town, [worker], lambda: worker.ready)
    town.log.writer("choreo.desk.w0.0")  # what the broker does to a transaction that has expired
    town.tell(*[Asked(case=case) for case in CASES])
    with caplog.at_level(logging.WARNING, "choreo.runtime"):
        turn(town, [worker], lambda: counted(town).total() == len(CASES))
    assert "was fenced" in caplog.text
    assert counted(town) == {(case, 1): 1 for case in CASES}


def test_records_that_were_deleted_unread_stop_the_start() -> None:
    """Retention took what the group had not read: the error counts it and says what to do, and nothing is skipped."""
    there, gone = TopicPartition("t", 0), TopicPartition("t", 1)
    committed: dict[TopicPartition, int | None] = {there: 5, gone: 7}
    with pytest.raises(StartError, match="4 records were deleted") as raised:
        start_offsets(committed, {there: 5, gone: 11}, {}, "earliest", {})
    assert "t[1]: committed 7, the log begins at 11" in str(raised.value)
    assert "on purpose" in str(raised.value.hint)
