"""Traps of Kafka's clients and brokers that no other test of this room stands on; docs/traps.md lists them all."""

import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as KafkaPartition

from choreo.errors import FencedError, TransactionAbortedError
from choreo.log.interface import Membership, TopicSpec, Writer
from choreo.log.kafka import KafkaLog
from choreo.log.kafka_settings import KafkaSettings
from choreo.log.kafka_writer import KafkaTransaction
from choreo.log.up_to import read_up_to
from choreo.record import NewRecord, TopicPartition
from choreo.state.keys import key_codec
from choreo.state.memory import MemoryBackends
from choreo.state.restore import Restore
from choreo.testing.log_bench import eventually
from tests.kafka.broker import Broker

ZERO = TopicPartition("t", 0)


@pytest.fixture
def log(kafka_url: str) -> Iterator[KafkaLog]:
    with KafkaLog.from_url(kafka_url) as log:
        log.create_topics([TopicSpec("t", 1)])
        yield log


def values(log: KafkaLog) -> list[bytes | None]:
    """Everything committed, up to the end as of now."""
    found: list[bytes | None] = []
    with log.reader({ZERO: 0}) as reader:
        end = log.ends([ZERO])[ZERO]
        eventually(
            lambda: reader.position(ZERO) >= end, lambda: found.extend(record.value for record in reader.read(0.05))
        )
    return found


def test_the_client_is_new_enough() -> None:
    """Before 2.10 a commit during a rebalance lost the assignment; before 2.15 a rejoin could fail."""
    assert confluent_kafka.libversion()[1] >= 0x020F0000


def test_what_a_consumer_fetches_ahead_has_a_bound() -> None:
    """The queue of a consumer is bounded by us, whatever the client's default is, and the bound can be set."""
    membership = Membership("g", ("t",), "i")
    assert KafkaSettings.parse("kafka://one", {}).member(membership)["queued.max.messages.kbytes"] == 131_072
    smaller = KafkaSettings.parse("kafka://one", {"queued.max.messages.kbytes": "1024"})
    assert smaller.member(membership)["queued.max.messages.kbytes"] == "1024"


def test_an_unknown_verdict_is_asked_again() -> None:
    """A commit that answers "try again" is neither applied nor aborted: it is asked until the verdict is known."""
    calls: list[str] = []

    def commit(timeout_s: float) -> None:
        calls.append("commit")
        if len(calls) < 3:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "not known yet", False, True, False))

    producer: Any = SimpleNamespace(commit_transaction=commit, poll=lambda timeout_s: 0)
    writer: Any = SimpleNamespace(failed=lambda error, doing: calls.append("failed"))
    transaction = KafkaTransaction(writer, producer)
    transaction.commit()
    assert calls == ["commit"] * 3
    assert not transaction.open


def test_a_restore_waits_for_what_an_open_transaction_holds(log: KafkaLog) -> None:
    """The end of a restore counts open transactions: done only when what they commit is in the store."""
    entry = key_codec("store", str).encode
    writer = log.writer("w")
    transaction = writer.begin()
    transaction.append([NewRecord("t", entry("a"), b"1", (), 0)])
    eventually(lambda: log.ends([ZERO])[ZERO] == 1)
    backend = MemoryBackends().open("task")
    restore = Restore(log, backend, ZERO, None)
    assert [restore.step(100, 0.1) for _ in range(3)] == [False] * 3
    transaction.commit()
    eventually(lambda: restore.step(100, 0.05))
    assert dict(backend.scan(entry("a"))) == {entry("a"): b"1"}
    writer.close()


def test_a_look_does_not_wait_for_an_open_transaction(log: KafkaLog) -> None:
    """Who only looks gets what is committed: the end counts an open transaction, what is settled does not."""

    def seen() -> list[bytes | None]:
        return [record.value for records, _ in read_up_to(log, {ZERO: 0}, log.ends([ZERO])) for record in records]

    log.append([NewRecord("t", None, b"there", (), 0)])
    writer = log.writer("w")
    transaction = writer.begin()
    transaction.append([NewRecord("t", None, b"open", (), 0)])
    eventually(lambda: log.ends([ZERO])[ZERO] == 2)
    assert log.settled([ZERO]) == {ZERO: 1}
    assert seen() == [b"there"]
    transaction.commit()
    eventually(lambda: log.settled([ZERO])[ZERO] > 1)
    assert seen() == [b"there", b"open"]
    writer.close()


def test_a_transaction_that_takes_too_long_is_fenced_and_a_new_writer_goes_on(log: KafkaLog) -> None:
    """The broker ends it: FencedError, nothing of it is visible, and a writer made anew under the same id commits."""
    with KafkaLog.from_url(log.url, {"transaction.timeout.ms": "1000"}) as impatient:
        transaction = impatient.writer("w").begin()
        transaction.append([NewRecord("t", None, b"too late", (), 0)])
        log.append([NewRecord("t", None, b"behind it", (), 0)])
        with log.reader({ZERO: 0}) as reader:
            eventually(lambda: reader.read(0.1))  # what lies behind an open transaction shows when the broker ends it
        with pytest.raises(FencedError):
            transaction.commit()
        again = impatient.writer("w")
        after = again.begin()
        after.append([NewRecord("t", None, b"again", (), 0)])
        after.commit()
        again.close()
    assert values(log) == [b"behind it", b"again"]


ASKING = """
import sys
from choreo.log.kafka import KafkaLog
from choreo.record import TopicPartition
with KafkaLog.from_url(sys.argv[1]) as log:
    for number in range(8):
        assert log.committed(f"group-{number}", [TopicPartition("t", 0)]) == {TopicPartition("t", 0): None}
print("lived")
"""


def test_asking_a_cluster_that_knows_of_no_group_yet_does_not_end_the_process(own_broker: Broker) -> None:
    """A broker that has never coordinated a group says so: asked by an admin client, librdkafka dies of that answer."""
    command = [sys.executable, "-c", ASKING, f"kafka://{own_broker.bootstrap}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stdout) == (0, "lived\n"), done.stderr


class Forgetful(Broker):
    """Forgets a transactional id after a second, rather than after seven days."""

    def __init__(self) -> None:
        super().__init__()
        with (self.home / "server.properties").open("a") as settings:
            settings.write("\ntransactional.id.expiration.ms=1000\n")
            settings.write("transaction.remove.expired.transaction.cleanup.interval.ms=500\n")


def test_a_producer_that_the_broker_has_forgotten_is_made_anew() -> None:
    """Idle for longer than the broker remembers its id: one transaction is lost, and the writer's next one commits."""
    with Forgetful() as broker, KafkaLog.from_url(f"kafka://{broker.bootstrap}") as log:
        log.create_topics([TopicSpec("t", 1)])
        writer = log.writer("w")
        write(writer, b"first")
        wait_until_forgotten(broker)
        with pytest.raises(TransactionAbortedError):
            write(writer, b"lost")
        write(writer, b"second")
        assert values(log) == [b"first", b"second"]
        writer.close()


def write(writer: Writer, content: bytes) -> None:
    transaction = writer.begin()
    transaction.append([NewRecord("t", None, content, (), 0)])
    transaction.commit()


def wait_until_forgotten(broker: Broker) -> None:
    """The broker keeps transactional ids on a topic; one that it forgets gets a tombstone there."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "test", "log_level": 0})
    consumer.assign([KafkaPartition("__transaction_state", number, 0) for number in range(4)])
    seen: list[Message] = []

    def look() -> None:
        message = consumer.poll(0.1)
        if message is not None and message.error() is None and message.value() is None:
            seen.append(message)

    eventually(lambda: seen, look)
    consumer.close()
