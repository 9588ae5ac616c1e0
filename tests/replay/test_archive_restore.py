"""Restoring: an archive becomes a log again, with offsets, ids and times where the log can, whatever interrupts it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from choreo.errors import ArchiveError, LogError, PartitionCountError, StateInUseError, UnknownTopicError
from choreo.events.envelope import foreign_ids
from choreo.events.registry import DirectoryRegistry, MemoryRegistry
from choreo.log.embedded import EmbeddedLog
from choreo.log.embedded_client import EmbeddedClient
from choreo.log.interface import Log, TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, TopicPartition
from choreo.replay import archive_restore
from choreo.replay.archive import Archive
from choreo.replay.archive_restore import Restore, give_schemas
from tests.replay.archived import fill, filled, forget, places, records_of, write

ZERO, ONE = TopicPartition("orders", 0), TopicPartition("orders", 1)


def restored(log: Log, directory: Path) -> int:
    """One run of `archives restore`; answers how many records it put back."""
    archive = Archive(directory)
    restore = Restore(log, archive, list(archive.topics))
    left = restore.left
    restore.make_topics()
    restore.run(lambda done, total: None)
    return left


@pytest.fixture(params=["memory", "embedded"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    with MemoryLog() if request.param == "memory" else EmbeddedLog(tmp_path / "restored") as log:
        yield log


@pytest.mark.parametrize("forgotten", [0, 11])
def test_a_restored_log_is_the_same_log(tmp_path: Path, empty: Log, forgotten: int) -> None:
    """Every record at its offset with its time, partitions as long as they were, the ids of log and topic."""
    log = filled()
    forget(log, ZERO, forgotten)
    write(log, tmp_path / "a")
    assert restored(empty, tmp_path / "a") == len(records_of(log, ZERO)) + len(records_of(log, ONE))
    for place in places(log, "orders"):
        assert records_of(empty, place) == records_of(log, place)
    assert empty.ends([ZERO, ONE]) == log.ends([ZERO, ONE])
    assert empty.starts([ONE]) == log.starts([ONE])
    assert empty.starts([ZERO]) == {ZERO: forgotten}
    assert empty.cluster_id() == log.cluster_id()
    assert empty.topics() == log.topics()
    assert empty.config("orders") == log.config("orders")
    whole = records_of(log, ZERO)
    for record in whole:
        first = next(one.offset for one in whole if one.timestamp_ms >= record.timestamp_ms)
        assert empty.offsets_at([ZERO], record.timestamp_ms) == {ZERO: first}
        assert foreign_ids(empty.cluster_id(), record) == foreign_ids(log.cluster_id(), record)


def test_a_restored_log_goes_on(tmp_path: Path, empty: Log) -> None:
    """What is written after a restore lies behind it, survives a new start, and can be archived behind what was."""
    log = filled()
    write(log, tmp_path / "a")
    restored(empty, tmp_path / "a")
    before = records_of(empty, ZERO)
    fill(empty, 12)
    if isinstance(empty, EmbeddedLog):
        empty.close()
        empty = EmbeddedLog(tmp_path / "restored")
    after = records_of(empty, ZERO)
    assert after[: len(before)] == before
    assert len(after) == len(before) + 6
    assert after[len(before)].offset >= log.ends([ZERO])[ZERO]
    (written,) = write(empty, tmp_path / "a")
    assert (written.records, written.missing) == (12, 0)
    empty.close()


def test_another_process_sees_a_restored_log(tmp_path: Path) -> None:
    """Who reads beside the owner sees where partitions begin and how topics were made, and can't restore."""
    log = filled()
    forget(log, ZERO, 11)
    write(log, tmp_path / "a")
    with EmbeddedLog(tmp_path / "restored") as owner:
        restored(owner, tmp_path / "a")
        with EmbeddedClient(tmp_path / "restored") as beside:
            assert beside.starts([ZERO, ONE]) == {ZERO: 11, ONE: 0}
            assert beside.config("orders") == {"cleanup.policy": "delete"}
            assert records_of(beside, ZERO) == records_of(log, ZERO)
            with pytest.raises(UnknownTopicError):
                beside.config("ordres")
            with pytest.raises(StateInUseError):
                beside.restorer(log.cluster_id())


def test_interrupted_it_goes_on(tmp_path: Path, empty: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any batch, the same restore ends with every record once."""
    log = filled(records=60)
    write(log, tmp_path / "a")
    monkeypatch.setattr(archive_restore, "WRITE_AT_ONCE", 7)
    archive = Archive(tmp_path / "a")
    whole = {place: records_of(log, place) for place in places(log, "orders")}
    steps = 0
    while not (restore := Restore(empty, archive, ["orders"])).complete:
        restore.make_topics()

        def interrupted(done: int, total: int) -> None:
            raise KeyboardInterrupt

        if restore.left:
            with pytest.raises(KeyboardInterrupt):
                restore.run(interrupted)
        else:
            restore.run(interrupted)  # only the markers behind the last record were missing
        steps += 1
    assert steps == 11
    assert {place: records_of(empty, place) for place in whole} == whole
    assert empty.ends([ZERO, ONE]) == log.ends([ZERO, ONE])


def test_a_log_with_other_records_is_refused(tmp_path: Path, empty: Log) -> None:
    """A log of its own, and one that went on since it was restored, are left as they are."""
    write(filled(), tmp_path / "a")
    empty.create_topics([TopicSpec("orders", 2)])
    empty.append([NewRecord("orders", b"k", b"mine", (), 0)])
    with pytest.raises(LogError, match="topics of its own"):
        restored(empty, tmp_path / "a")
    assert [record.value for record in records_of(empty, ZERO)] == [b"mine"]
    other = MemoryLog()
    restored(other, tmp_path / "a")
    fill(other, 3)
    with pytest.raises(ArchiveError, match="is not empty"):
        restored(other, tmp_path / "a")
    assert restored(MemoryLog(), tmp_path / "a") == 40


def test_a_log_of_the_same_id_with_other_records_is_refused(tmp_path: Path) -> None:
    """The id alone proves nothing: what is there must be the beginning of the archive."""
    log = filled()
    write(log, tmp_path / "a")
    same = MemoryLog(cluster=log.cluster_id())
    same.create_topics([TopicSpec("orders", 2)])
    same.append([NewRecord("orders", b"k", b"mine", (), 0)])
    with pytest.raises(ArchiveError, match="is not empty"):
        restored(same, tmp_path / "a")
    narrow = MemoryLog(cluster=log.cluster_id())
    narrow.create_topics([TopicSpec("orders", 1)])
    with pytest.raises(PartitionCountError):
        restored(narrow, tmp_path / "a")


def test_a_compacted_topic_gets_an_id_of_its_own(tmp_path: Path, empty: Log) -> None:
    """So that no store is trusted that was restored from the changelog of the former log."""
    log = MemoryLog()
    log.create_topics([TopicSpec("choreo.x.changelog", 1, {"cleanup.policy": "compact"})])
    log.append([NewRecord("choreo.x.changelog", b"k", b"v")])
    write(log, tmp_path / "a", ["choreo.x.changelog"])
    restored(empty, tmp_path / "a")
    made = empty.topics()["choreo.x.changelog"].topic_id
    assert made
    assert made != log.topics()["choreo.x.changelog"].topic_id


def test_a_restore_brings_the_schemas(tmp_path: Path) -> None:
    """A registry in a directory, or in memory, knows what archived values name, by the same ids."""
    registry, log = MemoryRegistry(), MemoryLog()
    schema = {"type": "record", "name": "Placed", "namespace": "shop", "fields": [{"name": "n", "type": "int"}]}
    assert registry.keep(17, "shop.Placed", schema)
    log.create_topics([TopicSpec("orders", 1)])
    log.append([NewRecord("orders", None, b"\0\0\0\0\x11\x02")])
    write(log, tmp_path / "a", registry=registry)
    for fresh in (MemoryRegistry(), DirectoryRegistry(tmp_path / "fresh")):
        assert give_schemas(Archive(tmp_path / "a"), fresh) == []
        assert fresh.schema(17) == schema
        assert fresh.ids() == {17: "shop.Placed"}
        assert not fresh.keep(17, "shop.Other", schema)
    kept = DirectoryRegistry(tmp_path / "a" / "schemas")
    assert kept.register("shop.Placed", schema) == 17
    assert list(kept.ids()) == [17]
