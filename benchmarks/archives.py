"""How fast an archive is written and read: files alone, against fastavro over the same records, and a log as a whole.

Each record has a key of 14 bytes, a value of 120 and a packed header of 68: about what an event of the shop has.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from time import perf_counter

import fastavro

from benchmarks.figure import Baseline, Figure, Size
from benchmarks.machine import scratch
from choreo.events.registry import MemoryRegistry
from choreo.log.interface import Log, TopicSpec
from choreo.log.open import open_log
from choreo.record import NewRecord, Record, TopicPartition
from choreo.replay.archive import Archive, Series
from choreo.replay.archive_volume import CODECS, VolumeWriter
from choreo.replay.archive_wire import SCHEMA
from choreo.replay.archive_write import READ_AT_ONCE, ArchiveWriter
from choreo.replay.archived_log import ArchivedLog

FULL, QUICK = Size(200_000, repeats=3), Size(4_000)
PLACE = TopicPartition("shop.orders", 0)


def figures(size: Size) -> Iterator[Figure]:
    """`archives.write` and `.read`: files, as `archives write` packs them, and by deflate. `.from_log` and `.as_log`:
    `archives write` from an embedded log, and reading through `ArchivedLog`. The best of the repeats.
    """
    records = _records(size.count)
    for codec in CODECS:
        yield from _with(codec, records, size.repeats)


def _with(codec: str, records: Sequence[Record], repeats: int) -> Iterator[Figure]:
    terms = {"n": len(records), "repeats": repeats, "codec": codec}
    with scratch() as place:
        files = [_files(place / f"files-{n}", codec, records) for n in range(repeats)]
        floors = [_floor(place / f"floor-{n}.avro", codec, records) for n in range(repeats)]
        logs = _log(place, codec, records, repeats)
    prefix = "" if codec == CODECS[0] else f"{codec}."
    writes, reads = (max(rates) for rates in zip(*files, strict=True))
    floor_write, floor_read = (max(rates) for rates in zip(*floors, strict=True))
    yield Figure(f"archives.{prefix}write", writes, "records/s", Baseline("fastavro's writer", floor_write), terms)
    yield Figure(f"archives.{prefix}read", reads, "records/s", Baseline("fastavro's reader", floor_read), terms)
    yield Figure(f"archives.{prefix}from_log", logs[0], "records/s", Baseline("reading that log", logs[2]), terms)
    yield Figure(f"archives.{prefix}as_log", logs[1], "records/s", Baseline("reading that log", logs[2]), terms)


def _records(count: int) -> list[Record]:
    random = Random(6)
    words = [random.randbytes(6).hex() for _ in range(500)]
    found = []
    for n in range(count):
        value = b"\0\0\0\0\7" + b" ".join(random.choice(words).encode() for _ in range(9))
        header = (("choreo", b"\1\1" + random.randbytes(40) + b"story-%020d" % n),)
        found.append(Record(*PLACE, n, 1_700_000_000_000 + n // 5, b"order-%08d" % n, value[:120], header))
    return found


def _files(place: Path, codec: str, records: Sequence[Record]) -> tuple[float, float]:
    """Records a second written to a volume, and read from it."""
    began = perf_counter()
    volume = VolumeWriter(place, PLACE, 0, codec)
    for first in range(0, len(records), READ_AT_ONCE):
        volume.add(records[first : first + READ_AT_ONCE])
    volume.finish(len(records))
    written = volume.count / (perf_counter() - began)
    began = perf_counter()
    found = sum(len(batch) for batch in Series(place).records())
    if found != volume.count:
        raise RuntimeError(f"{found:,} of {volume.count:,} records came back")
    return written, found / (perf_counter() - began)


def _floor(file: Path, codec: str, records: Sequence[Record]) -> tuple[float, float]:
    """The same of fastavro's writer and reader in a bare loop."""
    began = perf_counter()
    with file.open("wb") as content:
        rows = (
            {
                "topic": record.topic,
                "partition": record.partition,
                "offset": record.offset,
                "timestamp": record.timestamp_ms,
                "key": record.key,
                "value": record.value,
                "headers": [{"name": name, "value": mark} for name, mark in record.headers],
            }
            for record in records
        )
        fastavro.writer(content, SCHEMA, rows, codec=codec, codec_compression_level=1, sync_interval=256 << 10)
    written = len(records) / (perf_counter() - began)
    began = perf_counter()
    with file.open("rb") as content:
        found = sum(1 for _ in fastavro.reader(content))
    return written, found / (perf_counter() - began)


def _log(place: Path, codec: str, records: Sequence[Record], repeats: int) -> tuple[float, float, float]:
    """Records a second of `archives write` from an embedded log, of that log as its archive gives it, and of itself."""
    with open_log(f"embedded:{place / 'log'}") as log:
        log.create_topics([TopicSpec(PLACE.topic, 1)])
        for first in range(0, len(records), 5_000):
            some = records[first : first + 5_000]
            log.append([NewRecord(r.topic, r.key, r.value, r.headers, 0) for r in some])
        writes, reads, floors = [], [], []
        for number in range(repeats):
            writer = ArchiveWriter(place / f"archive-{number}", log, MemoryRegistry(), codec)
            began = perf_counter()
            done = sum(one.records for one in writer.write(writer.portions([PLACE.topic]), lambda done, total: None))
            writes.append(done / (perf_counter() - began))
            writer.close()
            floors.append(_read(log))
            with open_log("memory:") as nothing:
                reads.append(_read(ArchivedLog(nothing, Archive(place / f"archive-{number}"))))
    return max(writes), max(reads), max(floors)


def _read(log: Log) -> float:
    """Records a second that a reader of this log gives."""
    began, found = perf_counter(), 0
    end = log.ends([PLACE])[PLACE]
    with log.reader({PLACE: 0}) as reader:
        while reader.position(PLACE) < end:
            found += len(reader.read(1.0, READ_AT_ONCE))
    return found / (perf_counter() - began)
