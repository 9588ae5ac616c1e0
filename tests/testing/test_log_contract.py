"""The contract suite finds what it is there to find: logs with one planted fault each."""

from collections.abc import Callable, Sequence

import pytest

from choreo.errors import ChoreoError
from choreo.log.local import GroupOffsets, LocalTransaction, Routed
from choreo.log.local_member import LocalMember
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, Position, TopicPartition
from choreo.testing import log_bench
from choreo.testing.contracts import LogContract
from choreo.testing.log_bench import Bench

CONTRACT = LogContract()


class Salted(MemoryLog):
    """Keys go where another hash sends them."""

    def route(self, records: Sequence[NewRecord]) -> Routed:
        return super().route([r._replace(partition=sum(r.key or b"") % 2) for r in records])


class Reversing(MemoryLog):
    """Records of one append lie in the wrong order."""

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        return super().append(list(reversed(records)))


class Truthless(MemoryLog):
    """None and empty are the same to it."""

    def _keep(self, routed: Routed, offsets: GroupOffsets, transactional: bool) -> list[int]:
        emptied = [(partition, record._replace(value=record.value or b"")) for partition, record in routed]
        return super()._keep(emptied, offsets, transactional)


class Forgetful(MemoryLog):
    """Group offsets of transactions are dropped."""

    def commit(self, routed: Routed, offsets: GroupOffsets, transactional: bool) -> list[int]:
        return super().commit(routed, {}, transactional)


class Unfenced(MemoryLog):
    """The first writer of an id lives for ever."""

    def epoch(self, transactional_id: str) -> int:
        return 1


class Doubling(MemoryLog):
    """Transactions write their records twice."""

    def commit(self, routed: Routed, offsets: GroupOffsets, transactional: bool) -> list[int]:
        return super().commit(routed * 2 if transactional else routed, offsets, transactional)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A faulty log never comes true: do not wait for it."""
    monkeypatch.setattr(log_bench, "DEADLINE_S", 0.3)


@pytest.mark.parametrize(
    ("log", "test"),
    [
        (Salted, CONTRACT.test_a_key_goes_where_javas_client_puts_it),
        (Reversing, CONTRACT.test_records_of_a_partition_keep_their_order),
        (Forgetful, CONTRACT.test_offsets_are_committed_with_the_records),
        (Forgetful, CONTRACT.test_a_group_goes_on_where_it_committed),
        (Unfenced, CONTRACT.test_a_later_writer_fences_the_earlier),
        (Doubling, CONTRACT.test_an_abort_leaves_nothing),
        (Doubling, CONTRACT.test_a_large_transaction_comes_through_whole),
    ],
)
def test_a_planted_fault_is_found(log: Callable[[], MemoryLog], test: Callable[[Bench], None]) -> None:
    """A log that breaks one promise fails the test of that promise, which a sound log passes."""
    test(Bench(MemoryLog()))
    with pytest.raises((AssertionError, pytest.fail.Exception, ChoreoError)):
        test(Bench(log()))


def test_a_log_that_confuses_none_and_empty_is_found() -> None:
    """A tombstone that comes back as an empty value fails."""
    with pytest.raises(AssertionError):
        CONTRACT.test_a_record_comes_back_as_it_was(Bench(Truthless()), b"k", None, ())


def test_a_log_without_the_fencing_rule_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that takes offsets under any identity fails."""
    monkeypatch.setattr(LocalMember, "check", lambda self, identity: None)
    with pytest.raises(pytest.fail.Exception):
        CONTRACT.test_an_identity_from_before_a_rebalance_is_stale(Bench(MemoryLog()))
    with pytest.raises(pytest.fail.Exception):
        CONTRACT.test_a_member_that_never_joined_commits_nothing(Bench(MemoryLog()))


def test_a_log_that_shows_open_transactions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Records that are visible before their commit fail."""

    def at_once(self: LocalTransaction, records: Sequence[NewRecord]) -> object:
        return self._log.append(records)

    monkeypatch.setattr(LocalTransaction, "append", at_once)
    for test in (CONTRACT.test_nothing_is_visible_before_the_commit, CONTRACT.test_an_abort_leaves_nothing):
        with pytest.raises(AssertionError):
            test(Bench(MemoryLog()))


def test_two_owners_of_a_partition_are_found() -> None:
    """The diary of a log that gives a partition away before it was given up shows the overlap."""
    orders = (TopicPartition("orders", 0),)
    sound = [("a", "assigned", orders), ("a", "revoked", orders), ("b", "assigned", orders)]
    assert log_bench.overlaps(sound) == []
    assert log_bench.overlaps([sound[0], sound[2]]) == list(orders)
