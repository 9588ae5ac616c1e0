"""Logs with something on them, their archives, and logs that have forgotten."""

from collections.abc import Sequence
from pathlib import Path

from choreo.clock import VirtualClock
from choreo.events.registry import MemoryRegistry, Registry
from choreo.log.interface import Log, TopicSpec
from choreo.log.memory import MemoryLog, MemoryPartition
from choreo.record import NewRecord, Record, TopicPartition
from choreo.replay.archive import Archive
from choreo.replay.archive_volume import VOLUME_BYTES
from choreo.replay.archive_write import ArchiveWriter, Written

EVERYTHING = (
    (None, b"no key", ()),
    (b"", b"empty key", ()),
    (b"k", b"", ()),
    (b"k", None, ()),
    (b"\x00\xff", bytes(range(256)) * 300, ()),
    (b"k" * 200, b"v", (("a", b"1"), ("a", b"2"), ("b", b""), ("ä" * 100, b"\x00\xff" * 5000))),
    (b"k", None, (("tombstone", b"yes"),)),
)
"""Keys, values and headers of every kind."""


def filled(records: int = 40, partitions: int = 2, log: Log | None = None) -> Log:
    """A log with a topic `orders`, written by transactions of three records, which leave gaps, a second apart."""
    clock = VirtualClock(1_700_000_000_000_000)
    log = log or MemoryLog(clock)
    log.create_topics([TopicSpec("orders", partitions, {"cleanup.policy": "delete"})])
    fill(log, records, partitions)
    return log


def fill(log: Log, records: int, partitions: int = 2) -> None:
    """More of it."""
    writer = log.writer("writer")
    for first in range(0, records, 3):
        transaction = writer.begin()
        for n in range(first, min(first + 3, records)):
            key, value, headers = EVERYTHING[n % len(EVERYTHING)]
            transaction.append([NewRecord("orders", key, value, (*headers, ("n", b"%d" % n)), n % partitions)])
        transaction.commit()
        if isinstance(log, MemoryLog) and isinstance(log.clock, VirtualClock):
            log.clock.move_to(log.clock.now() + 1_000_000)


def write(
    log: Log,
    directory: Path,
    topics: Sequence[str] = ("orders",),
    *,
    until_ms: int | None = None,
    volume_bytes: int = VOLUME_BYTES,
    codec: str = "deflate",
    registry: Registry | None = None,
) -> list[Written]:
    """One run of `archives write`."""
    writer = ArchiveWriter(directory, log, registry or MemoryRegistry(), codec, volume_bytes)
    try:
        return list(writer.write(writer.portions(topics, until_ms), lambda done, total: None))
    finally:
        writer.close()


def places(log: Log, *topics: str) -> list[TopicPartition]:
    """Every partition of these topics."""
    known = log.topics()
    return [TopicPartition(name, number) for name in topics for number in range(known[name].partitions)]


def records_of(log: Log, place: TopicPartition) -> list[Record]:
    """All that a partition holds."""
    end, found = log.ends([place])[place], []
    with log.reader({place: 0}) as reader:
        while reader.position(place) < end:
            found += reader.read(1.0)
    return [record._replace(headers=tuple(record.headers)) for record in found]


def archived(archive: Archive, place: TopicPartition, start: int = 0, end: int | None = None) -> list[Record]:
    """What an archive has of a partition."""
    return [record for batch in archive.series(place).records(start, end) for record in batch]


def forget(log: Log, place: TopicPartition, start: int) -> None:
    """What retention does: the records before `start` are gone."""
    assert isinstance(log, MemoryLog)
    partition = log.partition(place)
    assert isinstance(partition, MemoryPartition)
    kept = [record for record in partition.records if record.offset >= start]
    partition.records, partition.offsets = kept, [record.offset for record in kept]
    partition.start = start
