"""A log and its archive, read as one: the log's contract as far as reading goes, and what it alone promises."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from choreo.errors import ArchiveError, LogError, UnknownTopicError
from choreo.log.interface import Listener, Log, Member, Membership, Reader, Restorer, Topic, TopicSpec, Writer
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, Position, TopicPartition
from choreo.replay.archive import Archive
from choreo.replay.archived_log import ArchivedLog
from choreo.testing.log_contract_records import PositionsContract, RecordsContract, TopicsContract
from choreo.testing.log_contract_transactions import TransactionsContract
from tests.replay.archived import fill, filled, forget, places, records_of, write

ZERO, ONE = TopicPartition("orders", 0), TopicPartition("orders", 1)


class Forgetting(Log):
    """Writes to a log in memory. Before anything is read, all of it is archived and the older half is forgotten."""

    def __init__(self, directory: Path) -> None:
        self.url = "memory:"
        self._live = MemoryLog()
        self._directory = directory

    def past(self) -> ArchivedLog:
        """The log as whoever looks back sees it."""
        write(self._live, self._directory, list(self._live.topics()))
        for place in places(self._live, *self._live.topics()):
            known = self._live.partition(place)
            forget(self._live, place, max(known.start, (known.start + known.end) // 2))
        return ArchivedLog(self._live, Archive(self._directory))

    def cluster_id(self) -> str:
        return self.past().cluster_id()

    def topics(self) -> Mapping[str, Topic]:
        return self.past().topics()

    def config(self, topic: str) -> Mapping[str, str]:
        return self.past().config(topic)

    def reader(self, start: Mapping[TopicPartition, int]) -> Reader:
        return self.past().reader(start)

    def starts(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:  # type: ignore[override]  # what the suite gives
        return self.past().starts(partitions)

    def ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:  # type: ignore[override]  # as above
        return self.past().ends(partitions)

    def offsets_at(self, partitions: Sequence[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:  # type: ignore[override]  # as above
        return self.past().offsets_at(partitions, timestamp_ms)

    def committed(self, group: str, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int | None]:  # type: ignore[override]  # as above
        return self.past().committed(group, partitions)

    def create_topics(self, specs: Sequence[TopicSpec]) -> None:  # type: ignore[override]  # as above
        self._live.create_topics(specs)

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        return self._live.append(records)

    def writer(self, transactional_id: str) -> Writer:
        return self._live.writer(transactional_id)

    def join(self, membership: Membership, listener: Listener) -> Member:
        return self._live.join(membership, listener)

    def restorer(self, cluster_id: str) -> Restorer:
        return self._live.restorer(cluster_id)

    def close(self) -> None:
        self._live.close()


class TestArchivedLog(TopicsContract, RecordsContract, PositionsContract, TransactionsContract):
    """The log's contract, read through an archive: half of every partition comes from it."""

    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[Log]:
        with Forgetting(tmp_path / "archive") as log:
            yield log


@pytest.mark.parametrize("forgotten", [0.0, 0.3, 1.0])
def test_records_come_once_each_wherever_they_lie(tmp_path: Path, forgotten: float) -> None:
    """From any offset on: before, within and after what the archive covers, overlap or none, each record comes once."""
    log = filled(records=60)
    write(log, tmp_path)
    fill(log, 30)
    whole = {place: records_of(log, place) for place in places(log, "orders")}
    for place in whole:
        until = Archive(tmp_path).series(place).ends or 0
        forget(log, place, round(until * forgotten))
    past = ArchivedLog(log, Archive(tmp_path))
    assert past.starts(list(whole)) == dict.fromkeys(whole, 0)
    assert past.ends(list(whole)) == past.settled(list(whole)) == log.ends(list(whole))
    for place, records in whole.items():
        for start in range(0, log.ends([place])[place] + 2):
            with past.reader({place: start}) as reader:
                found = [*reader.read(0, 7), *reader.read(0, 7)]
                assert found == [record for record in records if record.offset >= start][: len(found)]
                while batch := reader.read(0, 7):
                    found += batch
                assert found == [record for record in records if record.offset >= start]
                assert reader.position(place) == max(start, past.ends([place])[place])


def test_a_time_is_looked_for_in_both(tmp_path: Path) -> None:
    """The first record at or after a time is the archive's, or the log's behind it, or the end."""
    log = filled(records=60)
    write(log, tmp_path)
    fill(log, 30)
    whole = records_of(log, ZERO)
    forget(log, ZERO, whole[15].offset)
    past = ArchivedLog(log, Archive(tmp_path))
    for record in whole:
        first = next(one.offset for one in whole if one.timestamp_ms >= record.timestamp_ms)
        assert past.offsets_at([ZERO], record.timestamp_ms) == {ZERO: first}
    assert past.offsets_at([ZERO], whole[-1].timestamp_ms + 1) == past.ends([ZERO])


def test_a_topic_that_is_gone_is_still_read(tmp_path: Path) -> None:
    """A topic that only the archive has is listed, with its settings, and read to its end."""
    log = filled()
    write(log, tmp_path)
    whole, topic, ends = records_of(log, ONE), log.topics()["orders"], log.ends([ZERO, ONE])
    del log._topics["orders"], log._partitions["orders"]  # type: ignore[attr-defined]  # nobody can delete a topic
    log.create_topics([TopicSpec("others", 1)])
    past = ArchivedLog(log, Archive(tmp_path))
    assert past.topics() == {"orders": topic, "others": log.topics()["others"]}
    assert past.config("orders") == {"cleanup.policy": "delete"}
    assert records_of(past, ONE) == whole
    assert past.ends([ZERO, ONE]) == ends
    assert past.committed("group", [ZERO]) == {ZERO: None}
    with pytest.raises(UnknownTopicError):
        past.starts([TopicPartition("orders", 2)])
    with pytest.raises(UnknownTopicError):
        past.ends([TopicPartition("ordres", 0)])


def test_retention_goes_on_while_the_archive_is_read(tmp_path: Path) -> None:
    """What the log loses between the opening of a reader and the end of the archive's part comes from the archive."""
    log = filled(records=60)
    write(log, tmp_path)
    fill(log, 30)
    whole = records_of(log, ZERO)
    forget(log, ZERO, whole[5].offset)
    past = ArchivedLog(log, Archive(tmp_path))
    with past.reader({ZERO: 0}) as reader:
        found = reader.read(0, 3)
        forget(log, ZERO, whole[25].offset)
        while batch := reader.read(0, 3):
            found += batch
    assert found == whole


def test_an_archive_alone_is_a_log(tmp_path: Path) -> None:
    """Beside an empty log the archive is all there is, under the id of the log that was archived."""
    log = filled()
    write(log, tmp_path)
    past = ArchivedLog(MemoryLog(), Archive(tmp_path))
    assert past.cluster_id() == log.cluster_id()
    assert past.topics() == log.topics()
    assert records_of(past, ZERO) == records_of(log, ZERO)
    assert past.ends([ZERO, ONE]) == log.ends([ZERO, ONE])


def test_the_archive_of_another_log_is_refused(tmp_path: Path) -> None:
    """A log that has other records in the archive's topics is not read with it; nor is a topic that was made again."""
    log = filled()
    write(log, tmp_path)
    with pytest.raises(ArchiveError, match="this archive is of log"):
        ArchivedLog(filled(records=60), Archive(tmp_path))
    log._topics["orders"] = log.topics()["orders"]._replace(topic_id="another")  # type: ignore[attr-defined]
    past = ArchivedLog(log, Archive(tmp_path))
    with pytest.raises(ArchiveError, match="made again"):
        past.reader({ZERO: 0})


def test_nothing_is_written(tmp_path: Path) -> None:
    """Whatever would change the log raises, and says where."""
    log = filled()
    write(log, tmp_path)
    before = log.ends([ZERO, ONE])
    past = ArchivedLog(log, Archive(tmp_path))
    for attempt in (
        lambda: past.append([NewRecord("orders", None, b"x")]),
        lambda: past.create_topics([TopicSpec("x", 1)]),
        lambda: past.writer("w"),
        lambda: past.join(Membership("g", ("orders",), "i"), None),  # type: ignore[arg-type]  # it does not come to that
        lambda: past.restorer("x"),
    ):
        with pytest.raises(LogError, match="read with its archive"):
            attempt()
    assert log.ends([ZERO, ONE]) == before
    assert list(log.topics()) == ["orders"]
    past.close()
    assert records_of(log, ZERO)
