"""The memory log: the contract, and what it alone promises."""

from collections.abc import Mapping, Sequence
from threading import Thread

import pytest

from choreo.clock import VirtualClock
from choreo.errors import FencedError, LogError, StaleMemberError
from choreo.log.interface import Log, Membership, TopicSpec
from choreo.log.local_member import LocalMember
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, Record, TopicPartition
from choreo.testing.contracts import LogContract


class TestMemoryLog(LogContract):
    """The contract suite on the memory log."""

    @pytest.fixture
    def log(self) -> Log:
        return MemoryLog()


class Taker:
    """A listener that reads on where the group committed, and remembers what it was told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        self.words.append("assigned")
        return {partition: offset or 0 for partition, offset in committed.items()}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.words.append(f"revoked {len(partitions)}")

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.words.append(f"lost {len(partitions)}")


def memory_log(clock: VirtualClock | None = None) -> MemoryLog:
    log = MemoryLog(clock)
    log.create_topics([TopicSpec("orders", 2)])
    return log


def test_a_transaction_leaves_a_gap_in_each_partition_it_touched() -> None:
    """After a commit one offset is missing, as Kafka's marker takes one; other partitions stay as they were."""
    log = memory_log()
    for _ in range(2):
        transaction = log.writer("w").begin()
        transaction.append([NewRecord("orders", None, b"x", (), 0)] * 2)
        transaction.commit()
    zero, one = TopicPartition("orders", 0), TopicPartition("orders", 1)
    with log.reader({zero: 0}) as reader:
        assert [record.offset for record in reader.read(0)] == [0, 1, 3, 4]
    assert log.ends([zero, one]) == {zero: 6, one: 0}


def test_a_member_that_stalls_is_thrown_out_and_comes_back() -> None:
    """Beyond its session timeout its work is refused, the other gets everything, and its next poll tells it so."""
    clock = VirtualClock(0)
    log = memory_log(clock)
    stalled, living = Taker(), Taker()
    first = log.join(Membership("g", ("orders",), "a", session_timeout_s=10), stalled)
    second = log.join(Membership("g", ("orders",), "b", session_timeout_s=10), living)
    first.poll(0), second.poll(0)
    identity = first.identity()
    assert identity is not None
    open_since_before = log.writer("w").begin()
    open_since_before.append([NewRecord("orders", b"k", b"stale")])
    open_since_before.send_offsets(first, identity, {TopicPartition("orders", 0): 1})
    clock.move_to(9_000_000)
    second.poll(0)
    clock.move_to(12_000_000)
    second.poll(0)
    assert living.words == ["assigned", "revoked 1", "assigned"]
    with pytest.raises(StaleMemberError):
        open_since_before.commit()
    with pytest.raises(StaleMemberError):
        log.writer("x").begin().send_offsets(first, identity, {TopicPartition("orders", 0): 1})
    assert log.ends([TopicPartition("orders", n) for n in range(2)]) == {("orders", 0): 0, ("orders", 1): 0}
    first.poll(0), second.poll(0), first.poll(0)
    assert stalled.words == ["assigned", "lost 1", "assigned"]
    assert first.identity() not in (None, identity)


def test_asking_for_records_is_a_sign_of_life() -> None:
    """A scheduler that asks `has_records` instead of polling keeps the membership alive."""
    clock = VirtualClock(0)
    log = memory_log(clock)
    first = log.join(Membership("g", ("orders",), "a", session_timeout_s=10), Taker())
    second = log.join(Membership("g", ("orders",), "b", session_timeout_s=10), Taker())
    assert isinstance(first, LocalMember)
    assert isinstance(second, LocalMember)
    first.poll(0), second.poll(0)
    for _ in range(5):
        clock.move_to(clock.now() + 8_000_000)
        assert not first.has_records()
        assert not second.has_records()
    log.append([NewRecord("orders", None, b"x", (), 0)])
    assert (first.has_records(), second.has_records()) == (True, False)


def test_a_replaced_member_is_told_to_stop() -> None:
    """The zombie of a restarted instance loses its partitions, and each of its polls says that it was replaced."""
    log = memory_log()
    old, new = Taker(), Taker()
    zombie = log.join(Membership("g", ("orders",), "a"), old)
    zombie.poll(0)
    log.join(Membership("g", ("orders",), "a"), new).poll(0)
    for _ in range(2):
        with pytest.raises(FencedError):
            zombie.poll(0)
    assert (old.words, new.words) == (["assigned", "lost 2"], ["assigned"])


def test_a_waiting_poll_wakes_on_an_append() -> None:
    """A poll that waits in another thread returns as soon as there is a record, long before its timeout."""
    log = memory_log()
    member = log.join(Membership("g", ("orders",), "a"), Taker())
    member.poll(0)
    polled: list[Record] = []
    thread = Thread(target=lambda: polled.extend(member.poll(60)))
    thread.start()
    log.append([NewRecord("orders", b"k", b"wake up")])
    thread.join(10)
    assert [record.value for record in polled] == [b"wake up"]


def test_two_transactions_of_one_writer_do_not_overlap() -> None:
    """A writer has one transaction open at a time, and an ended one takes nothing more."""
    log = memory_log()
    writer = log.writer("w")
    transaction = writer.begin()
    with pytest.raises(LogError):
        writer.begin()
    transaction.commit()
    with pytest.raises(LogError):
        transaction.append([])


def test_the_cluster_id_can_be_given() -> None:
    """Two logs are different clusters unless they are told to be the same: for runs that must be repeatable."""
    assert MemoryLog().cluster_id() != MemoryLog().cluster_id()
    assert MemoryLog(cluster="same").cluster_id() == "same"
