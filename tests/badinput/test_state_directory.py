"""A state directory that is old, damaged or another's: never trusted in silence, and whole again from the log."""

from functools import partial
from pathlib import Path

import pytest

from choreo.clock import SystemClock, VirtualClock
from choreo.errors import StateError, StateInUseError
from choreo.events.registry import DirectoryRegistry, MemoryRegistry
from choreo.log.embedded import EmbeddedLog
from choreo.log.memory import MemoryLog, MemoryPartition
from choreo.record import TopicPartition
from choreo.replay.verify import verify
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import create_topics
from choreo.runtime.virtual import VirtualTime
from choreo.runtime.worker import Worker
from choreo.state.backend import Backends
from choreo.state.memory import MemoryBackends
from choreo.state.rocks import RocksBackends
from tests.badinput.post import Parcel, caught_up, parcels, post, running, sorted_parcels, step_until, wait_for
from tests.runtime.town import NOON, Town

HOUR = 3_600_000_000
CHANGELOG = TopicPartition("choreo.post.changelog", 0)
FOR_EVER_S = 1e9


class Office:
    """The service on one memory log, in virtual time, now on this machine and now on that one."""

    def __init__(self) -> None:
        self.town = Town(post)
        for worker in self.town.workers:
            worker.abandon()

    def work(self, backends: Backends, *events: Parcel, tombstones_kept_s: float = 86_400) -> None:
        """One life on these stores: handle these events, then stop in order."""
        town = self.town
        site = Site(town.log, town.registry, backends, town.clock)
        options = RunOptions(start_from="earliest", checkpoint_dry_s=0, tombstones_kept_s=tombstones_kept_s)
        worker = Worker(post, site, options)
        worker.start()
        town.workers, town.time = [worker], VirtualTime(town.clock, [worker])
        town.time.settle()
        town.tell(*events)
        self.stored = town.stored("post")
        worker.stop()

    def compact(self) -> None:
        """What a broker does to a changelog in time: the last record of a key stays, a tombstone goes with its key."""
        log = self.town.log
        assert isinstance(log, MemoryLog)
        partition = log.partition(CHANGELOG)
        assert isinstance(partition, MemoryPartition)
        last = {record.key: record for record in partition.records}
        partition.records[:] = [each for each in partition.records if each is last[each.key] and each.value is not None]
        partition.offsets[:] = [record.offset for record in partition.records]

    def sorted(self) -> dict[tuple[str, int], int]:
        return dict(sorted_parcels(self.town.log, self.town.registry))


def away_for(hours: float, tombstones_kept_s: float = 86_400) -> tuple[Office, dict[tuple[str, int], int]]:
    """A store knows a parcel; on another machine the parcel is forgotten, its tombstone too; then the store is back."""
    office, here, there = Office(), MemoryBackends("here"), MemoryBackends("there")
    office.work(here, Parcel(number="gone"), Parcel(number="stays"))
    office.town.clock.move_to(NOON + 60_000_000)
    office.work(there, Parcel(number="gone", weight=-1))
    office.compact()
    office.town.clock.move_to(NOON + round(hours * HOUR))
    office.work(here, Parcel(number="gone"), Parcel(number="stays"), tombstones_kept_s=tombstones_kept_s)
    return office, office.sorted()


def test_a_stale_store_is_wiped_so_that_nothing_deleted_comes_back() -> None:
    """A store away for more than half of delete.retention.ms is restored anew: what was deleted meanwhile stays so."""
    _, found = away_for(hours=13)
    assert found == {("gone", 1): 2, ("stays", 1): 1, ("stays", 2): 1}


def test_without_that_rule_a_deleted_entry_would_come_back() -> None:
    """The same story under a rule that never finds a store stale: the count goes on from what was deleted."""
    _, found = away_for(hours=13, tombstones_kept_s=FOR_EVER_S)
    assert found == {("gone", 1): 1, ("gone", 2): 1, ("stays", 1): 1, ("stays", 2): 1}


def test_a_restored_store_goes_on_counting_its_checkpoints() -> None:
    """After the wipe the journal has no gap and no number twice, so a replay still agrees with the store."""
    office, _ = away_for(hours=13)
    site = MemoryBackends("anywhere")
    office.work(site, Parcel(number="more"))
    verdict = verify(post, office.town.log, office.town.registry, lambda number: site.open(f"post-{number}"))
    assert verdict.clean, verdict


def test_a_store_of_another_log_is_wiped() -> None:
    """A state directory that was used on another log holds nothing that is true here."""
    used, office = MemoryBackends("used"), Office()
    elsewhere = Office()
    elsewhere.work(used, Parcel(number="a"), Parcel(number="a"), Parcel(number="elsewhere"))
    office.work(used, Parcel(number="a"))
    assert office.sorted() == {("a", 1): 1}
    assert not any(b"elsewhere" in key for key in office.stored)


def test_a_damaged_store_is_refused_and_whole_again_once_it_is_deleted(tmp_path: Path) -> None:
    """The error says to delete it; then the changelog gives it all back, and the next parcel is counted on."""
    log, registry = MemoryLog(SystemClock()), MemoryRegistry()
    create_topics(log, [plan_of(post)], 1)
    log.append(parcels(log, registry, "a", "a"))
    directory = tmp_path / "state"
    for number in (1, 2, 3):
        backends = RocksBackends(directory)
        if number == 2:
            (directory / "post-0" / "CURRENT").write_text("garbage\n")
            log.append(parcels(log, registry, "a"))
            worker = Worker(post, Site(log, registry, backends, SystemClock()), RunOptions())
            worker.start()
            with pytest.raises(StateError, match="restored from the changelog"):
                step_until(worker, partial(getattr, worker, "ready"), SystemClock())
            worker.abandon()
            for file in (directory / "post-0").iterdir():
                file.unlink()
        else:
            with running(log, registry, backends):
                wait_for(lambda: caught_up(log))
        backends.close()
    assert sorted_parcels(log, registry) == {("a", times): 1 for times in (1, 2, 3)}


def test_a_directory_in_use_is_refused_and_taken_over_when_it_is_free(tmp_path: Path) -> None:
    """While a service has it, a second start is refused and disturbs nothing; after it, the next one goes on there."""
    registry = DirectoryRegistry(tmp_path / "schemas")
    with EmbeddedLog(tmp_path / "log") as log:
        create_topics(log, [plan_of(post)], 1)
        first = RocksBackends(tmp_path / "state")
        with running(log, registry, first):
            log.append(parcels(log, registry, "a"))
            wait_for(lambda: caught_up(log))
            with pytest.raises(StateInUseError, match="has it open") as raised:
                RocksBackends(tmp_path / "state", wait_s=0.1, pause=lambda seconds: None)
            assert "a state directory of its own" in str(raised.value.hint)
            log.append(parcels(log, registry, "a"))
            wait_for(lambda: caught_up(log))
        first.close()
        second = RocksBackends(tmp_path / "state")
        with running(log, registry, second):
            log.append(parcels(log, registry, "a"))
            wait_for(lambda: caught_up(log))
        second.close()
        assert sorted_parcels(log, registry) == {("a", times): 1 for times in (1, 2, 3)}


def test_a_clock_that_went_back_makes_no_store_stale() -> None:
    """A store that was written in the future of this clock is kept: what it holds is on the changelog anyhow."""
    office, here = Office(), MemoryBackends("here")
    office.work(here, Parcel(number="a"))
    office.town.clock = VirtualClock(NOON - 48 * HOUR)
    office.work(here, Parcel(number="a"))
    assert office.sorted() == {("a", 1): 1, ("a", 2): 1}
