"""A process that a test kills: it does one thing with a log, says `ready` and what it saw, and waits to be killed.

python -m tests.kafka.actor hold  URL TRANSACTIONAL_ID TOPIC     an open transaction with one record
python -m tests.kafka.actor read  URL INSTANCE TOPIC             a member that reads and commits
python -m tests.kafka.actor stall URL INSTANCE TOPIC             a member that stalls, then tries to commit its old work
"""

import sys
from collections.abc import Mapping, Sequence
from time import monotonic

from choreo.errors import StaleMemberError
from choreo.log.interface import Membership
from choreo.log.kafka import KafkaLog
from choreo.record import NewRecord, Record, TopicPartition

GROUP = "actors"


class Diary:
    """A listener that reads on where the group committed, and remembers what it was told."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.owned: set[TopicPartition] = set()
        self.committed: dict[TopicPartition, int | None] = {}

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        self.words.append("assigned")
        self.owned |= set(committed)
        self.committed = dict(committed)
        return {partition: offset or 0 for partition, offset in committed.items()}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.words.append("revoked")
        self.owned -= set(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.words.append("lost")
        self.owned -= set(partitions)


def say(*words: object) -> None:
    print(*words, flush=True)


def hold(log: KafkaLog, transactional_id: str, topic: str) -> None:
    """An open transaction, its record on the broker."""
    end = log.ends([TopicPartition(topic, 0)])[TopicPartition(topic, 0)]
    log.writer(transactional_id).begin().append([NewRecord(topic, None, b"open", (), 0)])
    while log.ends([TopicPartition(topic, 0)])[TopicPartition(topic, 0)] == end:
        continue
    say("ready")
    sys.stdin.readline()


def read(log: KafkaLog, instance: str, topic: str) -> None:
    """Reads and commits until it is killed."""
    diary = Diary()
    member = log.join(Membership(GROUP, (topic,), instance), diary)
    writer = log.writer(instance)
    while True:
        records = member.poll(0.1)
        identity = member.identity()
        if records and identity is not None:
            transaction = writer.begin()
            transaction.send_offsets(member, identity, {each: member.position(each) for each in diary.owned})
            transaction.commit()
            say("ready", len(records))


def stall(log: KafkaLog, instance: str, topic: str) -> None:
    """Takes one record, is stopped from outside, and goes on as if nothing had happened."""
    diary = Diary()
    member = log.join(Membership(GROUP, (topic,), instance, session_timeout_s=6), diary)
    writer = log.writer(instance)
    records: list[Record] = []
    while not records:
        records = member.poll(0.1)
    identity = member.identity()
    assert identity is not None
    say("ready")
    sys.stdin.readline()
    transaction = writer.begin()
    transaction.append([NewRecord(topic, None, b"from a zombie", (), 0)])
    try:
        transaction.send_offsets(member, identity, {each.topic_partition: 7 for each in records})
        transaction.commit()
        say("committed")
    except StaleMemberError:
        transaction.abort()
        say("stale")
    until = monotonic() + 30
    while "assigned" not in diary.words[1:] and monotonic() < until:
        member.poll(0.1)
    say(*diary.words)
    member.close()


if __name__ == "__main__":
    act = {"hold": hold, "read": read, "stall": stall}[sys.argv[1]]
    with KafkaLog.from_url(sys.argv[2]) as opened:
        act(opened, sys.argv[3], sys.argv[4])
