"""The log's contract, third part: members of groups, rebalances, resuming."""

import pytest

from choreo.errors import StaleMemberError, UnknownTopicError
from choreo.log.interface import Identity
from choreo.record import NewRecord, TopicPartition
from choreo.testing.log_bench import Bench, Watched, eventually, overlaps, quiet
from choreo.testing.log_contract_records import BenchFixture


def commit_position(bench: Bench, name: str, watched: Watched) -> None:
    """Commit, for this member, what it was handed out."""
    transaction = bench.writer(name).begin()
    transaction.send_offsets(watched.member, watched.identity, watched.next_offsets())
    transaction.commit()


class ReadingContract(BenchFixture):
    """What a single member reads."""

    def test_a_single_member_gets_every_partition(self, bench: Bench) -> None:
        """Alone in its group, a member owns all partitions of all its topics, none of them committed yet."""
        topics = bench.topic(3), bench.topic(3)
        member = bench.join("member", *topics)
        assert member.member.identity() is None
        eventually(lambda: len(member.owned) == 6, member.poll)
        assert member.owned == set(bench.partitions(*topics))
        assert set(member.committed.values()) == {None}
        assert member.identity == member.identity

    def test_a_member_reads_what_was_and_what_comes(self, bench: Bench) -> None:
        """Records from before and after the join arrive once each, in order within a partition."""
        topic = bench.topic(2)
        bench.append(topic, *(b"%d" % n for n in range(20)), key=b"a")
        member = bench.join("member", topic)
        eventually(lambda: len(member.records) >= 20, member.poll)
        bench.append(topic, *(b"%d" % n for n in range(20, 30)), key=b"a")
        eventually(lambda: len(member.records) >= 30, member.poll)
        assert member.values == [b"%d" % n for n in range(30)]

    def test_a_poll_gives_no_more_than_its_limit(self, bench: Bench) -> None:
        """`limit` bounds one poll; the rest comes with the next ones."""
        topic = bench.topic(2)
        bench.log.append([NewRecord(topic, b"%d" % n, b"%d" % n) for n in range(40)])
        member = bench.join("member", topic)
        eventually(lambda: member.owned, lambda: member.poll(6))

        def poll() -> None:
            assert len(member.poll(6)) <= 6

        eventually(lambda: len(member.records) >= 40, poll)
        assert sorted(int(value or b"") for value in member.values) == list(range(40))

    def test_a_position_passes_markers_and_reaches_the_end(self, bench: Bench) -> None:
        """A member that has read everything stands at `ends`, over commit markers too."""
        topic = bench.topic()
        (partition,) = bench.partitions(topic)
        member = bench.join("member", topic)
        writer = bench.writer()
        for n in range(3):
            transaction = writer.begin()
            transaction.append([NewRecord(topic, b"k", b"%d" % n)])
            transaction.commit()

        def at_the_end() -> bool:  # as of now: the last marker may come after its commit was answered
            return member.member.position(partition) == bench.log.ends([partition])[partition]

        eventually(lambda: len(member.values) == 3 and at_the_end(), member.poll)
        assert member.values == [b"0", b"1", b"2"]

    def test_seek_goes_back_and_forth(self, bench: Bench) -> None:
        """After a seek the member reads on from that offset."""
        topic = bench.topic()
        (partition,) = bench.partitions(topic)
        positions = bench.log.append([NewRecord(topic, b"k", b"%d" % n) for n in range(5)])
        member = bench.join("member", topic)
        eventually(lambda: len(member.records) >= 5, member.poll)
        member.member.seek(partition, positions[1].offset)
        assert member.member.position(partition) == positions[1].offset
        eventually(lambda: len(member.records) >= 9, member.poll)
        assert member.values[5:] == [b"1", b"2", b"3", b"4"]

    def test_a_paused_partition_is_silent_and_loses_nothing(self, bench: Bench) -> None:
        """While one partition is paused the other goes on; after `resume` the records of the pause come."""
        topic = bench.topic(2)
        paused, other = bench.partitions(topic)
        member = bench.join("member", topic)
        eventually(lambda: len(member.owned) == 2, member.poll)
        member.member.pause([paused])
        bench.append(topic, b"held", partition=0)
        bench.append(topic, b"free", partition=1)
        eventually(lambda: member.records, member.poll)
        for _ in range(5):
            member.poll()
        assert [(r.partition, r.value) for r in member.records] == [(other.partition, b"free")]
        member.member.resume([paused])
        eventually(lambda: len(member.records) >= 2, member.poll)
        assert member.values == [b"free", b"held"]

    def test_groups_do_not_share(self, bench: Bench) -> None:
        """Each group gets every record."""
        topic = bench.topic()
        bench.append(topic, b"both")
        first, second = (bench.join("member", topic, group=f"{bench.name}.{n}") for n in range(2))
        eventually(lambda: first.records and second.records, first.poll, second.poll)
        assert first.values == second.values == [b"both"]

    def test_joining_for_a_missing_topic_is_refused(self, bench: Bench) -> None:
        """A group can't read a topic that nobody has made: UnknownTopicError, at once."""
        with pytest.raises(UnknownTopicError):
            bench.join("member", f"{bench.name}.missing")


class RebalanceContract(BenchFixture):
    """How partitions move between the members of a group."""

    def test_two_members_share_by_number(self, bench: Bench) -> None:
        """A second member takes half; partition n of both topics is with the same member, and none is owned twice."""
        topics = bench.topic(4), bench.topic(4)
        first = bench.join("a", *topics)
        eventually(lambda: len(first.owned) == 8, first.poll)
        second = bench.join("b", *topics)
        eventually(lambda: len(first.owned) == len(second.owned) == 4, first.poll, second.poll)
        for member in (first, second):
            assert member.numbers(topics[0]) == member.numbers(topics[1])
        assert first.numbers(topics[0]) | second.numbers(topics[0]) == {0, 1, 2, 3}
        assert overlaps(bench.diary) == []

    def test_the_last_commit_before_the_handover_counts(self, bench: Bench) -> None:
        """What a member commits inside `revoked` is what the next owner is told: no record comes twice or never."""
        topic = bench.topic(2)
        first = bench.join("a", topic)
        first.on_revoked = lambda watched: commit_position(bench, "a", watched)
        eventually(lambda: len(first.owned) == 2, first.poll)
        bench.log.append([NewRecord(topic, None, b"%d" % n, (), n % 2) for n in range(20)])
        eventually(lambda: len(first.records) >= 20, first.poll)
        second = bench.join("b", topic)
        eventually(lambda: len(first.owned) == len(second.owned) == 1, first.poll, second.poll)
        assert None not in second.committed.values()
        bench.log.append([NewRecord(topic, None, b"%d" % n, (), n % 2) for n in range(20, 30)])
        eventually(lambda: len(first.records + second.records) >= 30, first.poll, second.poll)
        assert sorted(int(value or b"") for value in first.values + second.values) == list(range(30))

    def test_an_identity_from_before_a_rebalance_is_stale(self, bench: Bench) -> None:
        """Work done under an older generation can't be committed: StaleMemberError, and nothing is."""
        topic = bench.topic(2)
        first = bench.join("a", topic)
        eventually(lambda: len(first.owned) == 2, first.poll)
        before = first.identity
        second = bench.join("b", topic)
        eventually(lambda: len(first.owned) == len(second.owned) == 1, first.poll, second.poll)
        assert first.identity != before
        refuse(bench, first, before, TopicPartition(topic, 0))
        commit_position(bench, "fresh", first)

    def test_the_same_instance_takes_over(self, bench: Bench) -> None:
        """A restarted instance owns its partitions without waiting for the old one, which is out for good."""
        topic = bench.topic(2)
        old = bench.join("same", topic)
        eventually(lambda: len(old.owned) == 2, old.poll)
        zombie = old.identity
        new = bench.join("same", topic)
        eventually(lambda: len(new.owned) == 2, new.poll)
        refuse(bench, old, zombie, TopicPartition(topic, 0))
        commit_position(bench, "new", new)
        eventually(lambda: not old.owned, quiet(old.poll), new.poll)
        assert ("same", "lost", tuple(sorted(bench.partitions(topic)))) in [
            (name, word, tuple(sorted(partitions))) for name, word, partitions in bench.diary
        ]
        assert len(new.owned) == 2


class ResumeContract(BenchFixture):
    """Where a group goes on."""

    def test_a_group_goes_on_where_it_committed(self, bench: Bench) -> None:
        """After a close and a new join every record was read once: none lost, none repeated."""
        topic = bench.topic(3)
        bench.log.append([NewRecord(topic, b"%d" % n, b"%d" % n) for n in range(60)])
        first = bench.join("member", topic)
        eventually(lambda: len(first.records) >= 20, lambda: first.poll(10))
        commit_position(bench, "w", first)
        first.member.close()
        first.member.close()
        second = bench.join("member", topic)
        eventually(lambda: len(first.records + second.records) >= 60, second.poll)
        assert sorted(int(value or b"") for value in first.values + second.values) == list(range(60))

    def test_what_was_not_committed_is_read_again(self, bench: Bench) -> None:
        """A member that dies after reading and before committing leaves its records to the next."""
        topic = bench.topic()
        bench.append(topic, b"one", b"two")
        first = bench.join("member", topic)
        eventually(lambda: len(first.records) >= 2, first.poll)
        second = bench.join("member", topic)
        eventually(lambda: len(second.records) >= 2, second.poll)
        assert second.values == [b"one", b"two"]

    def test_a_group_goes_on_where_it_was_put_back(self, bench: Bench) -> None:
        """Offsets that are given back to a group without members are where its next member goes on; while it has one
        nothing is given.
        """
        topic = bench.topic(2)
        bench.log.append([NewRecord(topic, b"k", b"%d" % n, (), n % 2) for n in range(10)])
        restorer, wanted = bench.log.restorer(bench.log.cluster_id()), {TopicPartition(topic, 1): 3}
        restorer.give_back(bench.group, wanted)
        assert bench.committed(topic) == {TopicPartition(topic, 0): None, **wanted}
        member = bench.join("member", topic)
        eventually(lambda: len(member.records) >= 7, member.poll)
        assert sorted(value or b"" for value in member.values) == [b"0", b"2", b"4", b"6", b"7", b"8", b"9"]
        with pytest.raises(StaleMemberError):
            restorer.give_back(bench.group, {TopicPartition(topic, 0): 5})
        assert bench.committed(topic)[TopicPartition(topic, 0)] is None

    def test_closing_revokes_first(self, bench: Bench) -> None:
        """`close` tells the listener that the partitions go, while it may still commit for them."""
        topic = bench.topic()
        bench.append(topic, b"one")
        member = bench.join("member", topic)
        member.on_revoked = lambda watched: commit_position(bench, "w", watched)
        eventually(lambda: member.records, member.poll)
        position = member.next_offsets()
        member.member.close()
        assert bench.diary[-1] == ("member", "revoked", (TopicPartition(topic, 0),))
        assert bench.committed(topic) == position


def refuse(bench: Bench, member: Watched, identity: Identity, partition: TopicPartition) -> None:
    """Committing under this identity is refused, and nothing of it is kept."""
    before = bench.log.committed(bench.group, [partition])
    transaction = bench.writer("stale").begin()

    def write() -> None:
        transaction.send_offsets(member.member, identity, {partition: 1_000})
        transaction.commit()

    with pytest.raises(StaleMemberError):
        write()
    transaction.abort()
    assert bench.log.committed(bench.group, [partition]) == before
