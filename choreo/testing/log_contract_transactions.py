"""The log's contract, second part: transactions, their offsets, fencing."""

import pytest

from choreo.errors import FencedError, RecordTooLargeError, StaleMemberError, UnknownTopicError
from choreo.log.interface import MAX_RECORD_BYTES, Identity
from choreo.record import NewRecord, Record, TopicPartition
from choreo.testing.log_bench import POLL_S, Bench, eventually
from choreo.testing.log_contract_records import BenchFixture


class TransactionsContract(BenchFixture):
    """Records of a transaction become visible together, or not at all."""

    def test_nothing_is_visible_before_the_commit(self, bench: Bench) -> None:
        """Readers and members see a transaction's records only once it is committed, and then all of them."""
        topics = bench.topic(2), bench.topic(2)
        member = bench.join("member", *topics)
        eventually(lambda: len(member.owned) == 4, member.poll)
        transaction = bench.writer().begin()
        transaction.append([NewRecord(topic, None, topic.encode(), (), n) for topic in topics for n in range(2)])
        found: list[Record] = []
        with bench.log.reader(dict.fromkeys(bench.partitions(*topics), 0)) as reader:
            for _ in range(5):
                assert reader.read(POLL_S) == []
                assert member.poll() == []
            transaction.commit()
            eventually(lambda: len(found) >= 4, lambda: found.extend(reader.read(POLL_S)))
            eventually(lambda: len(member.records) >= 4, member.poll)
        expected = sorted((topic, n) for topic in topics for n in range(2))
        assert sorted((r.topic, r.partition) for r in found) == expected
        assert sorted((r.topic, r.partition) for r in member.records) == expected

    def test_an_abort_leaves_nothing(self, bench: Bench) -> None:
        """Aborted records are never read; the writer goes on."""
        topic = bench.topic()
        writer = bench.writer()
        dropped = writer.begin()
        dropped.append([NewRecord(topic, b"k", b"dropped")])
        dropped.abort()
        kept = writer.begin()
        kept.append([NewRecord(topic, b"k", b"kept")])
        kept.commit()
        assert bench.values(topic) == [b"kept"]

    def test_records_keep_their_order_within_and_between_transactions(self, bench: Bench) -> None:
        """In a partition, order is that of the appends, transaction after transaction."""
        topic = bench.topic()
        writer = bench.writer()
        for n in range(5):
            transaction = writer.begin()
            transaction.append([NewRecord(topic, b"k", b"%d-a" % n), NewRecord(topic, b"k", b"%d-b" % n)])
            transaction.append([NewRecord(topic, b"k", b"%d-c" % n)])
            transaction.commit()
        assert bench.values(topic) == [b"%d-%s" % (n, part) for n in range(5) for part in (b"a", b"b", b"c")]

    def test_a_receipt_gives_the_offset_of_its_last_record(self, bench: Bench) -> None:
        """Each append's receipt is empty before the commit and says afterwards where its last record lies."""
        topic = bench.topic()
        transaction = bench.writer().begin()
        first = transaction.append([NewRecord(topic, b"k", b"a"), NewRecord(topic, b"k", b"b")])
        second = transaction.append([NewRecord(topic, b"k", b"c")])
        assert [receipt.offset for receipt in (first, second)] == [None, None]
        transaction.commit()
        offsets = {record.value: record.offset for record in bench.read(topic)}
        assert [receipt.offset for receipt in (first, second)] == [offsets[b"b"], offsets[b"c"]]

    def test_an_empty_transaction_commits(self, bench: Bench) -> None:
        """A transaction of nothing commits, and the writer goes on."""
        topic = bench.topic()
        writer = bench.writer()
        writer.begin().commit()
        transaction = writer.begin()
        transaction.append([NewRecord(topic, b"k", b"after")])
        transaction.commit()
        assert bench.values(topic) == [b"after"]

    def test_a_record_too_large_leaves_the_writer_usable(self, bench: Bench) -> None:
        """An oversized record is refused at once; its transaction can be aborted and the next one commits."""
        topic = bench.topic()
        writer = bench.writer()
        transaction = writer.begin()
        transaction.append([NewRecord(topic, b"k", b"before")])
        with pytest.raises(RecordTooLargeError):
            transaction.append([NewRecord(topic, b"k", b"x" * (MAX_RECORD_BYTES + 1))])
        transaction.abort()
        again = writer.begin()
        again.append([NewRecord(topic, b"k", b"after")])
        again.commit()
        assert bench.values(topic) == [b"after"]

    def test_a_missing_topic_leaves_the_writer_usable(self, bench: Bench) -> None:
        """A record for a topic that does not exist is refused before the commit is through."""
        topic = bench.topic()
        writer = bench.writer()
        transaction = writer.begin()

        def write() -> None:
            transaction.append([NewRecord(f"{bench.name}.missing", b"k", b"v")])
            transaction.commit()

        with pytest.raises(UnknownTopicError):
            write()
        transaction.abort()
        again = writer.begin()
        again.append([NewRecord(topic, b"k", b"after")])
        again.commit()
        assert bench.values(topic) == [b"after"]

    def test_a_large_transaction_comes_through_whole(self, bench: Bench) -> None:
        """Thousands of records over several partitions are all there after one commit."""
        topic = bench.topic(4)
        transaction = bench.writer().begin()
        for first in range(0, 5000, 1000):
            transaction.append([NewRecord(topic, b"%d" % n, b"%d" % n) for n in range(first, first + 1000)])
        transaction.commit()
        assert sorted(int(value or b"") for value in bench.values(topic)) == list(range(5000))


class FencingContract(BenchFixture):
    """One living writer per transactional id."""

    def test_a_later_writer_fences_the_earlier(self, bench: Bench) -> None:
        """Of two writers with one transactional id the older gets a FencedError, and nothing of it is visible."""
        topic = bench.topic()
        old = bench.writer("same")
        transaction = old.begin()
        transaction.append([NewRecord(topic, b"k", b"zombie")])
        new = bench.writer("same")
        with pytest.raises(FencedError):
            transaction.commit()
        living = new.begin()
        living.append([NewRecord(topic, b"k", b"living")])
        living.commit()
        assert bench.values(topic) == [b"living"]

    def test_other_ids_are_left_alone(self, bench: Bench) -> None:
        """Writers of different ids write side by side."""
        topic = bench.topic()
        first, second = bench.writer("first").begin(), bench.writer("second").begin()
        first.append([NewRecord(topic, b"k", b"first")])
        second.append([NewRecord(topic, b"k", b"second")])
        second.commit()
        first.commit()
        assert sorted(bench.values(topic), key=str) == [b"first", b"second"]


class OffsetsContract(BenchFixture):
    """Offsets of a group are committed with the records that were made of what was read, or not at all."""

    def test_offsets_are_committed_with_the_records(self, bench: Bench) -> None:
        """Before the commit the group has committed nothing; afterwards records and offsets are both there."""
        source, target = bench.topic(2), bench.topic()
        member = bench.join("member", source)
        eventually(lambda: len(member.owned) == 2, member.poll)
        transaction = bench.writer().begin()
        transaction.append([NewRecord(target, b"k", b"made")])
        offsets = {TopicPartition(source, 0): 3, TopicPartition(source, 1): 5}
        transaction.send_offsets(member.member, member.identity, offsets)
        transaction.commit()
        assert bench.committed(source) == offsets
        assert bench.values(target) == [b"made"]

    def test_an_abort_commits_no_offsets(self, bench: Bench) -> None:
        """The group's offsets stay as they were when the transaction is aborted."""
        source = bench.topic()
        partition = TopicPartition(source, 0)
        member = bench.join("member", source)
        eventually(lambda: member.owned, member.poll)
        writer = bench.writer()
        kept = writer.begin()
        kept.send_offsets(member.member, member.identity, {partition: 1})
        kept.commit()
        dropped = writer.begin()
        dropped.send_offsets(member.member, member.identity, {partition: 2})
        dropped.abort()
        assert bench.committed(source) == {partition: 1}

    def test_a_transaction_may_hold_offsets_only(self, bench: Bench) -> None:
        """A transaction without records commits its offsets."""
        source = bench.topic()
        partition = TopicPartition(source, 0)
        member = bench.join("member", source)
        eventually(lambda: member.owned, member.poll)
        transaction = bench.writer().begin()
        transaction.send_offsets(member.member, member.identity, {partition: 7})
        transaction.commit()
        assert bench.committed(source) == {partition: 7}

    def test_a_member_that_never_joined_commits_nothing(self, bench: Bench) -> None:
        """An identity that no group ever gave is refused, before the first poll and after it."""
        source = bench.topic()
        member = bench.join("member", source)
        writer = bench.writer()
        assert member.member.identity() is None
        for identity in (Identity("", -1), Identity("nobody", 1)):
            transaction = writer.begin()
            with pytest.raises(StaleMemberError):
                transaction.send_offsets(member.member, identity, {TopicPartition(source, 0): 9})
            transaction.abort()
            eventually(lambda: member.owned, member.poll)
        assert bench.committed(source) == {TopicPartition(source, 0): None}
