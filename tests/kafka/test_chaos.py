"""Kafka under kills: writers and members that die or stall, a broker that goes and comes back."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from time import monotonic

import pytest

from choreo.errors import LogError, LogUnavailableError, StaleMemberError
from choreo.log.interface import Membership, TopicSpec, Writer
from choreo.log.kafka import KafkaLog
from choreo.log.kafka_member import KafkaMember
from choreo.record import NewRecord, Record, TopicPartition
from choreo.testing.log_bench import eventually
from tests.kafka.actor import GROUP, Diary
from tests.kafka.broker import Broker

TOPIC = "chaos"
ZERO, ONE = TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)


@pytest.fixture
def log(kafka_url: str) -> Iterator[KafkaLog]:
    with KafkaLog.from_url(kafka_url) as log:
        log.create_topics([TopicSpec(TOPIC, 2)])
        yield log


@contextmanager
def actor(what: str, log: KafkaLog, name: str) -> Iterator[subprocess.Popen[str]]:
    """An actor that has said `ready`."""
    command = [sys.executable, "-m", "tests.kafka.actor", what, log.url, name, TOPIC]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert said(process).startswith("ready")
        yield process
    finally:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def read(log: KafkaLog, *partitions: TopicPartition, timeout_s: float = 20.0) -> list[Record]:
    """All that is visible up to the ends as of now."""
    ends, records, until = log.ends(partitions), [], monotonic() + timeout_s
    with log.reader(dict.fromkeys(partitions, 0)) as reader:
        while any(reader.position(each) < ends[each] for each in partitions):
            assert monotonic() < until, f"readers are held back for more than {timeout_s:g} s"
            records += reader.read(0.05)
    return records


def test_a_restarted_writer_frees_the_readers_within_two_seconds(log: KafkaLog) -> None:
    """kill -9 inside a transaction holds readers back only until the same transactional id is back."""
    with actor("hold", log, "tid") as process:
        log.append([NewRecord(TOPIC, None, b"behind it", (), 0)])
        process.kill()
    with log.reader({ZERO: 0}) as reader:
        for _ in range(3):
            assert reader.read(0.1) == []
    killed = monotonic()
    writer = log.writer("tid")
    assert [record.value for record in read(log, ZERO)] == [b"behind it"]
    assert monotonic() - killed < 2
    writer.close()


def test_a_killed_member_is_back_within_three_seconds(log: KafkaLog) -> None:
    """kill -9, then the same instance again: it owns its partitions and reads on, 45 s of session or not."""
    log.append([NewRecord(TOPIC, None, b"before", (), 0)])
    with actor("read", log, "worker") as process:
        process.kill()
        process.wait()
    killed = monotonic()
    log.append([NewRecord(TOPIC, None, b"after", (), 0)])
    with actor("read", log, "worker"):
        assert monotonic() - killed < 3
    eventually(lambda: log.committed(GROUP, [ZERO])[ZERO] == log.ends([ZERO])[ZERO])


def test_a_stalled_member_commits_nothing_of_its_old_work(log: KafkaLog) -> None:
    """Stopped beyond its session, it wakes and commits: refused. Another owns its partitions; then it joins again."""
    log.append([NewRecord(TOPIC, None, b"work", (), number) for number in (0, 1)])
    diary = Diary()
    with actor("stall", log, "stalled") as process:
        os.kill(process.pid, signal.SIGSTOP)
        living = log.join(Membership(GROUP, (TOPIC,), "living", session_timeout_s=6), diary)
        records: list[Record] = []
        eventually(lambda: len(records) == 2, lambda: records.extend(living.poll(0.1)))
        commit(log.writer("living"), living, {ZERO: 1, ONE: 1})
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdin is not None
        print(file=process.stdin, flush=True)
        answers: list[str] = []
        thread = Thread(target=lambda: answers.extend((said(process), said(process))))
        thread.start()
        eventually(lambda: len(answers) == 2, lambda: living.poll(0.1))
        thread.join()
    assert answers[0] == "stale"
    # when the session ran out unnoticed by the client, it may say "revoked" for what is lost
    assert answers[1] in ("assigned lost assigned", "assigned revoked assigned")
    assert log.committed(GROUP, [ZERO, ONE]) == {ZERO: 1, ONE: 1}
    assert [record.value for record in read(log, ZERO, ONE)] == [b"work", b"work"]
    living.close()


def test_a_new_owner_waits_for_the_transaction_of_its_predecessor(log: KafkaLog) -> None:
    """Offsets that a transaction in flight is about to commit are what the next owner is told."""
    log.append([NewRecord(TOPIC, None, b"work", (), number % 2) for number in range(10)])
    first, second = Diary(), Diary()
    old = log.join(Membership(GROUP, (TOPIC,), "a"), first)
    eventually(lambda: len(first.owned) == 2, lambda: old.poll(0.05))
    identity = old.identity()
    assert identity is not None
    writer = log.writer("w")
    transaction = writer.begin()
    transaction.send_offsets(old, identity, {ZERO: 5, ONE: 5})
    new = log.join(Membership(GROUP, (TOPIC,), "b"), second)
    waiting = Thread(target=lambda: eventually(lambda: len(second.owned) == 1, lambda: new.poll(0.05)))
    other = Thread(target=lambda: eventually(lambda: len(first.owned) == 1, lambda: old.poll(0.05)))
    waiting.start()
    other.start()
    eventually(lambda: "revoked" in first.words)
    transaction.commit()
    waiting.join()
    other.join()
    assert first.committed | second.committed == {ZERO: 5, ONE: 5}
    writer.close(), old.close(), new.close()


def commit(writer: Writer, member: object, offsets: dict[TopicPartition, int]) -> None:
    assert isinstance(member, KafkaMember)
    identity = member.identity()
    assert identity is not None
    transaction = writer.begin()
    transaction.send_offsets(member, identity, offsets)
    transaction.commit()


class Copier:
    """A worker in small: copies a topic to another, one transaction a batch, and rewinds when one fails."""

    def __init__(self, log: KafkaLog) -> None:
        self.log = log
        self.diary = Diary()
        self.member = log.join(Membership(GROUP, (TOPIC,), "copier"), self.diary)
        self.writer = log.writer("copier")
        self.failures: list[LogError] = []

    def step(self) -> None:
        records = self.member.poll(0.1, 50)
        identity = self.member.identity()
        if not records or identity is None:
            return
        try:
            transaction = self.writer.begin()
            transaction.append([NewRecord("copy", each.key, each.value, (), each.partition) for each in records])
            transaction.send_offsets(self.member, identity, {p: self.member.position(p) for p in self.diary.owned})
            transaction.commit()
        except StaleMemberError as failure:
            self.failures.append(failure)
        except LogError as failure:
            self.failures.append(failure)
            self.writer.close()
            self.again()

    def again(self) -> None:
        """A new writer, and back to what is committed; until the log is there again."""
        while True:
            try:
                self.writer = self.log.writer("copier")
                for partition, offset in self.log.committed(GROUP, sorted(self.diary.owned)).items():
                    self.member.seek(partition, offset or 0)
                return
            except LogUnavailableError as failure:
                self.failures.append(failure)

    def close(self) -> None:
        self.member.close()
        self.writer.close()


def test_a_broker_that_is_killed_and_comes_back_loses_nothing(own_broker: Broker) -> None:
    """kill -9 of the broker in the middle of transactions: every record is copied once."""
    count = 3_000
    with KafkaLog.from_url(f"kafka://{own_broker.bootstrap}") as log:
        log.create_topics([TopicSpec(TOPIC, 2), TopicSpec("copy", 2)])
        log.append([NewRecord(TOPIC, None, b"%d" % number, (), number % 2) for number in range(count)])
        copier = Copier(log)
        copied = [TopicPartition("copy", 0), TopicPartition("copy", 1)]
        while sum(log.ends(copied).values()) < count // 3:
            copier.step()
        restart = Thread(target=own_broker.restart)
        restart.start()
        while restart.is_alive():
            copier.step()
        eventually(
            lambda: all(copier.member.position(each) >= end for each, end in log.ends([ZERO, ONE]).items()), copier.step
        )
        copies = sorted(int(record.value or b"") for record in read(log, *copied))
        copier.close()
    assert copies == list(range(count))
