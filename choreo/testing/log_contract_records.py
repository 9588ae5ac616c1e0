"""The log's contract, first part: topics, records, positions, readers."""

from collections.abc import Iterator
from time import time_ns
from uuid import uuid4

import pytest

from choreo.errors import PartitionCountError, RecordTooLargeError, UnknownTopicError
from choreo.log.interface import MAX_RECORD_BYTES, Log, TopicSpec
from choreo.log.partitioner import partition_of
from choreo.record import Headers, NewRecord, Record, TopicPartition
from choreo.testing.log_bench import POLL_S, Bench, eventually


class BenchFixture:
    """Gives each test its corner of the log that the fixture `log` of the subclass opens."""

    @pytest.fixture
    def bench(self, log: Log) -> Iterator[Bench]:
        bench = Bench(log)
        yield bench
        bench.close()


class TopicsContract(BenchFixture):
    """Topics are made once, and are what they were made as."""

    def test_a_topic_is_listed_as_it_was_made(self, bench: Bench) -> None:
        """`topics` knows the name and the partition count, and its id stays the same."""
        name = bench.topic(3)
        topic = bench.log.topics()[name]
        assert (topic.name, topic.partitions) == (name, 3)
        assert topic.topic_id
        assert bench.log.topics()[name] == topic

    def test_topic_ids_differ(self, bench: Bench) -> None:
        """Two topics never share an id."""
        first, second = bench.topic(), bench.topic()
        topics = bench.log.topics()
        assert topics[first].topic_id != topics[second].topic_id

    def test_making_a_topic_twice_changes_nothing(self, bench: Bench) -> None:
        """`create_topics` makes only what is missing; what was written stays."""
        name = bench.topic(2)
        bench.append(name, b"kept")
        before = bench.log.topics()[name]
        bench.log.create_topics([TopicSpec(name, 2)])
        assert bench.log.topics()[name] == before
        assert bench.values(name) == [b"kept"]

    def test_another_partition_count_is_refused(self, bench: Bench) -> None:
        """Where a topic exists with another count, keys would move: PartitionCountError."""
        name = bench.topic(2)
        with pytest.raises(PartitionCountError):
            bench.log.create_topics([TopicSpec(name, 5)])
        assert bench.log.topics()[name].partitions == 2

    def test_a_compact_topic_can_be_made(self, bench: Bench) -> None:
        """Kafka's own topic keys are taken."""
        name = f"{bench.name}.compact"
        bench.log.create_topics([TopicSpec(name, 1, {"cleanup.policy": "compact"})])
        bench.append(name, b"one", key=b"k")
        assert bench.values(name) == [b"one"]

    def test_a_topic_tells_how_it_was_made(self, bench: Bench) -> None:
        """`config` gives the keys that were set for a topic, and no others."""
        plain, compact = bench.topic(), f"{bench.name}.told"
        bench.log.create_topics([TopicSpec(compact, 1, {"cleanup.policy": "compact"})])
        assert dict(bench.log.config(compact)) == {"cleanup.policy": "compact"}
        assert dict(bench.log.config(plain)) == {}
        with pytest.raises(UnknownTopicError):
            bench.log.config(f"{bench.name}.missing")

    def test_appending_to_a_missing_topic_is_refused(self, bench: Bench) -> None:
        """A topic that nobody has made is an UnknownTopicError, and is not made by the way."""
        name = f"{bench.name}.missing"
        with pytest.raises(UnknownTopicError):
            bench.log.append([NewRecord(name, b"k", b"v")])
        assert name not in bench.log.topics()

    def test_the_cluster_has_one_id(self, bench: Bench) -> None:
        """The id by which stored offsets are known to belong to this log stays the same."""
        assert bench.log.cluster_id()
        assert bench.log.cluster_id() == bench.log.cluster_id()


class RecordsContract(BenchFixture):
    """Records come back as they were written, in order, where they belong."""

    def test_records_of_a_partition_keep_their_order(self, bench: Bench) -> None:
        """What is appended first is read first, over many appends; offsets rise."""
        topic = bench.topic()
        sent = [b"%d" % n for n in range(500)]
        for first in range(0, 500, 50):
            bench.append(topic, *sent[first : first + 50], key=b"same")
        records = bench.read(topic)
        assert [record.value for record in records] == sent
        offsets = [record.offset for record in records]
        assert offsets == sorted(set(offsets))

    def test_a_key_goes_where_javas_client_puts_it(self, bench: Bench) -> None:
        """The partition of a keyed record is Java's murmur2 modulo the partition count."""
        topic = bench.topic(7)
        keys = [b"%d" % (n * n) for n in range(60)] + [bytes([n, 255 - n]) for n in range(0, 256, 16)]
        bench.log.append([NewRecord(topic, key, key) for key in keys])
        records = bench.read(topic)
        assert len(records) == len(keys)
        assert {r.value: r.partition for r in records} == {key: partition_of(key, 7) for key in keys}

    def test_a_named_partition_is_obeyed(self, bench: Bench) -> None:
        """A record that names its partition goes there whatever its key says."""
        topic = bench.topic(3)
        bench.log.append([NewRecord(topic, b"same", b"%d" % n, (), n) for n in range(3)])
        assert {(r.value, r.partition) for r in bench.read(topic)} == {(b"0", 0), (b"1", 1), (b"2", 2)}

    def test_append_says_where_each_record_lies(self, bench: Bench) -> None:
        """The positions that `append` answers are those at which the records are read, one for each, in order."""
        topic = bench.topic(3)
        positions = bench.log.append([NewRecord(topic, b"%d" % n, b"%d" % n) for n in range(20)])
        found = {record.value: record.position for record in bench.read(topic)}
        assert positions == [found[b"%d" % n] for n in range(20)]
        assert bench.log.append([]) == []

    @pytest.mark.parametrize(
        ("key", "value", "headers"),
        [
            (None, b"no key", ()),
            (b"", b"empty key", ()),
            (b"k", b"", ()),
            (b"k", None, ()),
            (b"\x00\xff", bytes(range(256)), ()),
            (b"k", b"v", (("a", b"1"), ("a", b"2"), ("b", b""), ("ä", b"\x00\xff"))),
            (b"k", None, (("tombstone", b"yes"),)),
        ],
        ids=["no-key", "empty-key", "empty-value", "tombstone", "binary", "headers", "tombstone-headers"],
    )
    def test_a_record_comes_back_as_it_was(
        self, bench: Bench, key: bytes | None, value: bytes | None, headers: Headers
    ) -> None:
        """Key, value and headers are the same bytes: none is not empty, order and duplicates of headers stay."""
        topic = bench.topic()
        bench.log.append([NewRecord(topic, key, value, headers)])
        (record,) = bench.read(topic)
        assert (record.key, record.value, tuple(record.headers or ())) == (key, value, tuple(headers))

    def test_the_timestamp_is_the_wall_clock(self, bench: Bench) -> None:
        """Records are stamped with the time of writing, in milliseconds."""
        topic = bench.topic()
        before = time_ns() // 1_000_000
        bench.append(topic, b"now")
        with_tx = bench.writer().begin()
        with_tx.append([NewRecord(topic, None, b"now, too")])
        with_tx.commit()
        after = time_ns() // 1_000_000
        stamps = [record.timestamp_ms for record in bench.read(topic)]
        assert len(stamps) == 2
        assert all(before - 1 <= stamp <= after + 1 for stamp in stamps)

    def test_a_large_record_passes_a_larger_one_does_not(self, bench: Bench) -> None:
        """MAX_RECORD_BYTES of key, value and headers are taken; one byte more is a RecordTooLargeError."""
        topic = bench.topic()
        key, headers = b"key", [("name", b"mark")]
        room = MAX_RECORD_BYTES - 3 - 8
        bench.log.append([NewRecord(topic, key, b"x" * room, headers)])
        with pytest.raises(RecordTooLargeError):
            bench.log.append([NewRecord(topic, key, b"x" * (room + 1), headers)])
        assert [len(record.value or b"") for record in bench.read(topic)] == [room]


class PositionsContract(BenchFixture):
    """Starts, ends, readers and their positions."""

    def test_an_empty_partition_starts_at_its_end(self, bench: Bench) -> None:
        """Of a topic without records, start and end are the same."""
        partitions = bench.partitions(bench.topic(2))
        assert bench.log.starts(partitions) == bench.log.ends(partitions)

    def test_the_end_is_after_the_last_record(self, bench: Bench) -> None:
        """`ends` is known at once and lies beyond each record; `starts` stays at the first."""
        topic = bench.topic()
        (partition,) = bench.partitions(topic)
        bench.append(topic, b"one", b"two")
        end = bench.log.ends([partition])[partition]
        records = bench.read(topic)
        assert records[-1].offset < end
        assert bench.log.starts([partition])[partition] == records[0].offset

    def test_a_reader_begins_where_it_is_told(self, bench: Bench) -> None:
        """A reader from an offset gives the records from there on, those appended later too."""
        topic = bench.topic()
        (partition,) = bench.partitions(topic)
        positions = bench.log.append([NewRecord(topic, b"k", b"%d" % n) for n in range(10)])
        found: list[Record] = []
        with bench.log.reader({partition: positions[6].offset}) as reader:
            eventually(lambda: len(found) >= 4, lambda: found.extend(reader.read(POLL_S)))
            bench.append(topic, b"later", key=b"k")
            eventually(lambda: len(found) >= 5, lambda: found.extend(reader.read(POLL_S)))
        assert [record.value for record in found] == [b"6", b"7", b"8", b"9", b"later"]

    def test_a_reader_gives_no_more_than_its_limit(self, bench: Bench) -> None:
        """`limit` bounds one read, and nothing is lost by it."""
        topic = bench.topic(2)
        sent = [b"%d" % n for n in range(50)]
        bench.log.append([NewRecord(topic, value, value) for value in sent])
        found: list[Record] = []
        with bench.log.reader(dict.fromkeys(bench.partitions(topic), 0)) as reader:

            def read() -> None:
                batch = reader.read(POLL_S, 7)
                assert len(batch) <= 7
                found.extend(batch)

            eventually(lambda: len(found) >= 50, read)
        assert sorted(record.value or b"" for record in found) == sorted(sent)

    def test_a_position_passes_markers_and_reaches_the_end(self, bench: Bench) -> None:
        """After transactions, committed and aborted, a reader's position still reaches `ends`."""
        topic = bench.topic(2)
        writer = bench.writer()
        for n in range(6):
            transaction = writer.begin()
            transaction.append([NewRecord(topic, None, b"%d" % n, (), number) for number in range(2)])
            if n % 3 == 2:
                transaction.abort()
            else:
                transaction.commit()
        partitions = bench.partitions(topic)
        found: list[Record] = []
        with bench.log.reader(dict.fromkeys(partitions, 0)) as reader:
            eventually(  # as of now: the last marker may come after its commit was answered
                lambda: {p: reader.position(p) for p in partitions} == bench.log.ends(partitions),
                lambda: found.extend(reader.read(POLL_S)),
            )
        assert len(found) == 8

    def test_a_time_leads_to_an_offset(self, bench: Bench) -> None:
        """`offsets_at` gives the first offset at or after a time: the first of all, one in between, or the end."""
        topic = bench.topic()
        (partition,) = bench.partitions(topic)
        bench.append(topic, b"first")
        first = bench.read(topic)[0]
        # Times must differ by a millisecond, however fast the log is.
        eventually(lambda: time_ns() // 1_000_000 > first.timestamp_ms)
        bench.append(topic, b"second")
        second = bench.read(topic)[-1]
        assert second.timestamp_ms > first.timestamp_ms

        def at(timestamp_ms: int) -> int:
            return bench.log.offsets_at([partition], timestamp_ms)[partition]

        assert at(0) == at(first.timestamp_ms) == first.offset
        assert at(first.timestamp_ms + 1) == at(second.timestamp_ms) == second.offset
        assert at(second.timestamp_ms + 1) == bench.log.ends([partition])[partition]

    def test_nothing_was_committed_by_an_unknown_group(self, bench: Bench) -> None:
        """`committed` is None where a group has committed nothing."""
        partition = TopicPartition(bench.topic(), 0)
        assert bench.log.committed(f"group-{uuid4()}", [partition]) == {partition: None}
