"""Archives of a real Kafka: what retention deletes there is replayed from them, and a restore keeps the order."""

from pathlib import Path

import pytest
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient

from choreo.errors import ArchiveError
from choreo.log.kafka import KafkaLog
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, Record, TopicPartition
from choreo.replay.archive import Archive
from choreo.replay.archive_restore import Restore
from choreo.replay.archived_log import ArchivedLog
from tests.cli.conftest import Choreo
from tests.cli.conftest import choreo as choreo
from tests.cli.conftest import directory as directory
from tests.cli.conftest import project as project
from tests.cli.test_archives import RUN, place, rows
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url
from tests.replay.archived import archived, filled, places, records_of, write

pytestmark = pytest.mark.kafka
ZERO = TopicPartition("orders", 0)


def delete_first_half(log: KafkaLog, url: str, bootstrap: str) -> None:
    """Every topic but changelogs begins at its middle from now on, by Kafka's own delete_records."""
    prefix = url.rpartition("prefix=")[2].rstrip(".")
    every = [one for one in places(log, *log.topics()) if not one.topic.endswith("changelog")]
    ends = log.ends(every)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    halves = [KafkaPartition(f"{prefix}.{one.topic}", one.partition, ends[one] // 2) for one in every if ends[one] > 1]
    for answer in admin.delete_records(halves).values():
        answer.result()
    assert {one: start for one, start in log.starts(every).items() if start} == {
        one: ends[one] // 2 for one in every if ends[one] > 1
    }


def test_half_a_kafka_and_its_archive_verify_clean(
    project: Path, choreo: Choreo, kafka_url: str, kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Archived, half deleted, verify is clean through the archive; from the archive alone it is clean too."""
    monkeypatch.setenv("CHOREO_LOG_URL", kafka_url)
    monkeypatch.setenv("CHOREO_RUN_START_FROM", "earliest")
    Path("choreo.toml").write_text('[project]\nservices = ["shop.py"]\nsagas = "order.yaml"\n')
    place(choreo, 1, 12)
    written = rows(choreo, "archives", "write", "--to", "kept")
    assert {row["missing"] for row in written} == {0}
    assert not rows(choreo, "archives", "write", "--to", "kept")
    with KafkaLog.from_url(kafka_url) as log:
        before, ends = log.topics(), log.ends(places(log, *log.topics()))
        delete_first_half(log, kafka_url, kafka_bootstrap)
        assert "orders" in {row["topic"] for row in written}
        choreo("replay", "verify", *RUN, code=1)
        assert choreo("replay", "verify", *RUN, "--archive", "kept").stdout.count("clean") == 3
        assert (log.topics(), log.ends(list(ends))) == (before, ends)
    place(choreo, 13, 16)
    assert choreo("replay", "verify", *RUN, "--archive", "kept").stdout.count("clean") == 3


def test_a_kafka_log_is_archived_byte_by_byte(tmp_path: Path, kafka_url: str) -> None:
    """With markers, aborted records, and everything that a record may lack: the archive has what a reader is given."""
    with KafkaLog.from_url(kafka_url) as log:
        filled(log=log)
        writer = log.writer("aborts")
        transaction = writer.begin()
        transaction.append([record_again(records_of(log, ZERO)[0])])
        transaction.abort()
        writer.close()
        write(log, tmp_path / "a")
        archive = Archive(tmp_path / "a")
        for one in places(log, "orders"):
            assert archived(archive, one) == records_of(log, one)
            assert archive.series(one).ends == log.ends([one])[one]
        assert archive.topics["orders"].config == {"cleanup.policy": "delete"}


def record_again(record: Record) -> NewRecord:
    return NewRecord(record.topic, record.key, record.value, record.headers, record.partition)


def test_an_archive_is_restored_into_kafka(tmp_path: Path, kafka_url: str) -> None:
    """Order, keys, values, headers and times are the same; offsets count from 0; interrupted, it goes on where it was.

    What was restored is read with its archive by the offsets that it had.
    """
    source = filled(records=60)
    write(source, tmp_path / "a")
    archive = Archive(tmp_path / "a")
    with KafkaLog.from_url(kafka_url) as log:
        first = Restore(log, archive, ["orders"])
        first.make_topics()
        with pytest.raises(KeyboardInterrupt):
            first.run(interrupted)
        half = Restore(log, archive, ["orders"])
        assert 0 < half.left < 60
        half.run(lambda done, total: None)
        assert Restore(log, archive, ["orders"]).left == 0
        for one in places(source, "orders"):
            found = records_of(log, one)
            assert [record.offset for record in found] == list(range(30))
            assert [record[3:] for record in found] == [record[3:] for record in records_of(source, one)]
            assert records_of(ArchivedLog(log, archive), one) == records_of(source, one)
        log.append([record_again(records_of(source, ZERO)[0])])
        with pytest.raises(ArchiveError, match="is not empty"):
            Restore(log, archive, ["orders"])
        with pytest.raises(ArchiveError, match="this archive is of log"):
            ArchivedLog(log, archive)
        assert ArchivedLog(MemoryLog(), archive).cluster_id() == source.cluster_id()


def interrupted(done: int, total: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("left_out", ["nothing", ".changelog"])
def test_a_group_goes_on_in_a_restored_kafka(
    project: Path, choreo: Choreo, kafka_url: str, monkeypatch: pytest.MonkeyPatch, left_out: str
) -> None:
    """Offsets are counted anew like the records: what comes now is handled, what was handled is not handled again; also
    where no changelogs were archived, once the services are rebuilt through the archive.
    """
    monkeypatch.setenv("CHOREO_RUN_START_FROM", "earliest")
    Path("choreo.toml").write_text('[project]\nservices = ["shop.py"]\nsagas = "order.yaml"\n')
    old, new = ("--log", f"{kafka_url}old."), ("--log", f"{kafka_url}new.")
    place(choreo, 1, 12, *old)
    with KafkaLog.from_url(f"{kafka_url}old.") as log:
        topics = [name for name in log.topics() if not name.endswith(left_out)]
    choreo("archives", "write", *topics, "--to", "kept", *old)
    Path("kept/archive.json").write_text('{"format": 1, "cluster_id": "another"}')  # one broker stands for two clusters
    monkeypatch.delenv("CHOREO_RUN_START_FROM")
    monkeypatch.setenv("CHOREO_RUN_STATE_DIR", "other")
    choreo("archives", "restore", "--from", "kept", *new, "--why", "another cluster", "--yes")
    with KafkaLog.from_url(f"{kafka_url}new.") as log:
        every = places(log, "orders")
        ends = log.ends(every)
        for group in ("choreo.inventory", "choreo.payments", "choreo.saga.order"):
            assert log.committed(group, every) == ends
    for service in ("inventory", "payments", "saga.order") if left_out == ".changelog" else ():
        choreo("replay", "rebuild", service, "--archive", "kept", *new, "--why", "no changelogs", "--yes")
    place(choreo, 13, 16, *new)
    with KafkaLog.from_url(f"{kafka_url}new.") as log:
        found = [dict(record.headers)["choreo"][2:18] for one in every for record in records_of(log, one)]
    assert len(set(found)) == len(found), "an input that was handled before would be answered by the same ids again"
    stood = {row["key"]: row["status"] for row in rows(choreo, "sagas", "list", *new)}
    assert stood == {f"o{n}": "completed" if n < 10 else "compensated" for n in range(1, 17)}
