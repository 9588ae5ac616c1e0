"""What the log on Kafka promises beyond the contract: prefixes, replicas, retention, callbacks that fail."""

from collections.abc import Iterator, Mapping
from statistics import median
from time import monotonic

import pytest
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # re-exported without __all__
    AdminClient,
    ConfigResource,
    ResourceType,
)

from choreo.errors import LogError, PartitionCountError
from choreo.log.interface import Membership, TopicSpec
from choreo.log.kafka import KafkaLog
from choreo.record import NewRecord, Record, TopicPartition
from choreo.testing.log_bench import eventually
from tests.kafka.actor import Diary

ZERO = TopicPartition("orders", 0)


@pytest.fixture
def log(kafka_url: str) -> Iterator[KafkaLog]:
    with KafkaLog.from_url(kafka_url) as log:
        log.create_topics([TopicSpec("orders", 1)])
        yield log


def delete_before(log: KafkaLog, topic: str, offset: int) -> None:
    """What retention does."""
    bootstrap, _, prefix = log.url.removeprefix("kafka://").partition("?prefix=")
    partition = KafkaPartition(f"{prefix}.{topic}", 0, offset)
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for answer in admin.delete_records([partition]).values():
        answer.result(20)


def test_a_prefix_separates_environments(kafka_bootstrap: str, log: KafkaLog) -> None:
    """The same names under two prefixes are two topics, two groups, two writers; each sees only its own."""
    with KafkaLog.from_url(f"{log.url}-other") as other:
        other.create_topics([TopicSpec("orders", 3)])
        writers = log.writer("same"), other.writer("same")
        for writer in writers:
            transaction = writer.begin()
            transaction.append([NewRecord("orders", b"k", b"v", (), 0)])
            transaction.commit()
        assert {name: topic.partitions for name, topic in log.topics().items()} == {"orders": 1}
        assert {name: topic.partitions for name, topic in other.topics().items()} == {"orders": 3}
        diary = Diary()
        member = other.join(Membership("group", ("orders",), "i"), diary)
        eventually(lambda: diary.owned, lambda: member.poll(0.05))
        assert {each.topic for each in diary.owned} == {"orders"}
        member.close()
        for writer in writers:
            writer.close()
    with KafkaLog.from_url(f"kafka://{kafka_bootstrap}") as everything:
        assert sum(name.endswith(".orders") for name in everything.topics()) >= 2


def test_topics_keep_their_own_settings(log: KafkaLog) -> None:
    """Kafka's topic keys are passed on; `replication.factor` is taken out; making them again changes nothing."""
    spec = TopicSpec("compacted", 2, {"cleanup.policy": "compact", "replication.factor": "1"})
    log.create_topics([spec])
    log.create_topics([spec])
    bootstrap, _, prefix = log.url.removeprefix("kafka://").partition("?prefix=")
    resource = ConfigResource(ResourceType.TOPIC, f"{prefix}.compacted")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    (answer,) = admin.describe_configs([resource]).values()
    assert answer.result(20)["cleanup.policy"].value == "compact"
    with pytest.raises(PartitionCountError):
        log.create_topics([TopicSpec("compacted", 3)])


def test_a_poll_returns_with_the_first_record(log: KafkaLog) -> None:
    """A long timeout is how long to wait for nothing, not for a full batch."""
    diary = Diary()
    member = log.join(Membership("group", ("orders",), "i"), diary)
    eventually(lambda: diary.owned, lambda: member.poll(0.05))
    log.append([NewRecord("orders", b"k", b"v")])
    asked = monotonic()
    records: list[Record] = []
    while not records:  # a poll may come back early with nothing, when it reached the end
        records = member.poll(20)
    assert monotonic() - asked < 5
    member.close()


class Clumsy(Diary):
    """A listener whose first assignment fails."""

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        if "failed" not in self.words:
            self.words.append("failed")
            raise LogError("not yet")
        return super().assigned(committed)


def test_a_failing_listener_loses_nothing(log: KafkaLog) -> None:
    """What a listener raises comes out of `poll`; the next poll asks it again, and every record is read."""
    log.append([NewRecord("orders", b"k", b"%d" % number) for number in range(50)])
    diary = Clumsy()
    member = log.join(Membership("group", ("orders",), "i"), diary)
    with pytest.raises(LogError, match="not yet"):
        eventually(lambda: diary.owned, lambda: member.poll(0.05))
    values: list[bytes | None] = []
    eventually(lambda: len(values) >= 50, lambda: values.extend(each.value for each in member.poll(0.05)))
    assert values == [b"%d" % number for number in range(50)]
    assert diary.words == ["failed", "assigned"]
    member.close()


def test_an_assignment_keeps_what_is_paused(log: KafkaLog) -> None:
    """A partition paused before its assignment stays silent after it."""
    log.append([NewRecord("orders", b"k", b"v")])

    class Pausing(Diary):
        def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
            member.pause(committed)
            return super().assigned(committed)

    diary = Pausing()
    member = log.join(Membership("group", ("orders",), "i"), diary)
    eventually(lambda: diary.owned, lambda: member.poll(0.05))
    assert [member.poll(0.1) for _ in range(4)] == [[]] * 4
    member.resume([ZERO])
    eventually(lambda: member.poll(0.05))
    member.close()


def test_a_group_whose_next_record_is_deleted_stops(log: KafkaLog) -> None:
    """Retention took the records that a group has not read: a LogError that says so, never a silent jump."""
    log.append([NewRecord("orders", b"k", b"%d" % number) for number in range(10)])
    delete_before(log, "orders", 4)
    diary = Diary()  # goes on at 0
    member = log.join(Membership("group", ("orders",), "i"), diary)
    with pytest.raises(LogError, match="are gone") as caught:
        eventually(lambda: member.poll(0.05), lambda: member.poll(0.05))
    assert str(caught.value.at) == "orders[0]@0"
    assert "start_from" in str(caught.value.hint)
    member.close()


def test_a_reader_begins_with_the_first_record_that_is_there(log: KafkaLog) -> None:
    """An offset before the first record means the first."""
    log.append([NewRecord("orders", b"k", b"%d" % number) for number in range(10)])
    delete_before(log, "orders", 4)
    assert log.starts([ZERO]) == {ZERO: 4}
    with log.reader({ZERO: 0}) as reader:
        records = []
        eventually(lambda: reader.position(ZERO) == 10, lambda: records.extend(reader.read(0.05)))
    assert [record.offset for record in records] == [4, 5, 6, 7, 8, 9]


def test_transactions_in_a_row_do_not_wait_for_each_other(log: KafkaLog) -> None:
    """A checkpoint right behind another is not sent back for a tenth of a second."""
    diary = Diary()
    member = log.join(Membership("group", ("orders",), "i"), diary)
    eventually(lambda: diary.owned, lambda: member.poll(0.05))
    identity, writer = member.identity(), log.writer("w")
    assert identity is not None
    took = []
    for number in range(40):
        began = monotonic()
        transaction = writer.begin()
        transaction.append([NewRecord("orders", b"k", b"%d" % number)])
        transaction.send_offsets(member, identity, {ZERO: number})
        transaction.commit()
        took.append(monotonic() - began)
    assert sorted(took)[len(took) // 2] < 0.09
    writer.close(), member.close()


def test_a_resumed_partition_is_read_at_once(log: KafkaLog) -> None:
    """What waits on a partition that was paused alone comes soon after `resume`. Left to itself, the client's thread
    notices up to a second later, half a second in the middle.
    """
    diary, waits = Diary(), []
    member = log.join(Membership("group", ("orders",), "i"), diary)
    eventually(lambda: diary.owned, lambda: member.poll(0.05))
    read: list[Record] = []
    for turn in range(9):
        member.pause([ZERO])
        paused_for = monotonic() + 0.13 * turn  # the thread wakes once a second: each turn meets it elsewhere
        eventually(lambda: monotonic() >= paused_for, lambda: member.poll(0.02))  # noqa: B023  # called at once
        log.append([NewRecord("orders", b"k", b"v")])
        began = monotonic()
        member.resume([ZERO])
        eventually(lambda: len(read) > turn, lambda: read.extend(member.poll(0.05)))  # noqa: B023  # called at once
        waits.append(monotonic() - began)
    member.close()
    assert median(waits) < 0.2
