"""How fast an archive is written and read: files alone, against fastavro over the same records, and a log as a whole.

Each record has a key of 14 bytes, a value of 120 and a packed header of 68: about what an event of the shop has.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import NamedTuple

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


class Speed(NamedTuple):
    """Records a second on the wall, and CPU microseconds a record: other work on the machine disturbs the rate more."""

    rate: float
    cpu: float


def figures(size: Size) -> Iterator[Figure]:
    """`archives.write` and `.read`: files, as `archives write` packs them, and by deflate. `.from_log` and `.as_log`:
    `archives write` from an embedded log, and reading through `ArchivedLog`. The best of the repeats.
    """
    records = _records(size.count)
    for codec in CODECS:
        yield from _with(codec, records, size.repeats)


def _with(codec: str, records: Sequence[Record], repeats: int) -> Iterator[Figure]:
    terms = {"n": len(records), "repeats": repeats, "codec": codec}
    first = "archives." if codec == CODECS[0] else f"archives.{codec}."
    runs: dict[str, list[Speed]] = {}
    for _ in range(repeats):
        with scratch() as place:
            for name, speed in (*_files(place, codec, records), *_floor(place, codec, records)):
                runs.setdefault(name, []).append(speed)
            for name, speed in _log(place, codec, records):
                runs.setdefault(name, []).append(speed)
    best = {name: Speed(max(one.rate for one in its), min(one.cpu for one in its)) for name, its in runs.items()}
    for name, beside, what in (
        ("write", "floor_write", "fastavro's writer"),
        ("read", "floor_read", "fastavro's reader"),
        ("from_log", "log", "reading that log"),
        ("as_log", "log", "reading that log"),
    ):
        yield Figure(first + name, best[name].rate, "records/s", Baseline(what, best[beside].rate), terms)
        yield Figure(f"{first}{name}.cpu", best[name].cpu, "us/record", Baseline(what, best[beside].cpu), terms)


def _timed(name: str, count: int, work: Callable[[], int]) -> tuple[str, Speed]:
    """How fast some work is. Raises RuntimeError where it comes to another number of records."""
    began, used = perf_counter(), process_time()
    done = work()
    lasted, cpu = perf_counter() - began, process_time() - used
    if done != count:
        raise RuntimeError(f"{name}: {done:,} of {count:,} records")
    return name, Speed(count / lasted, cpu / count * 1e6)


def _records(count: int) -> list[Record]:
    random = Random(6)
    words = [random.randbytes(6).hex() for _ in range(500)]
    found = []
    for n in range(count):
        value = b"\0\0\0\0\7" + b" ".join(random.choice(words).encode() for _ in range(9))
        header = (("choreo", b"\1\1" + random.randbytes(40) + b"story-%020d" % n),)
        found.append(Record(*PLACE, n, 1_700_000_000_000 + n // 5, b"order-%08d" % n, value[:120], header))
    return found


def _files(place: Path, codec: str, records: Sequence[Record]) -> Iterator[tuple[str, Speed]]:
    """A volume, written and read."""

    def write() -> int:
        with ThreadPoolExecutor(1) as packing:
            volume = VolumeWriter(place / "files", PLACE, 0, codec, packing)
            for first in range(0, len(records), READ_AT_ONCE):
                volume.add(records[first : first + READ_AT_ONCE])
            return volume.finish(len(records)).count

    yield _timed("write", len(records), write)
    yield _timed("read", len(records), lambda: sum(len(batch) for batch in Series(place / "files").records()))


def _floor(place: Path, codec: str, records: Sequence[Record]) -> Iterator[tuple[str, Speed]]:
    """The same of fastavro's writer and reader in a bare loop."""
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

    def write() -> int:
        with (place / "floor.avro").open("wb") as content:
            fastavro.writer(content, SCHEMA, rows, codec=codec, codec_compression_level=1, sync_interval=256 << 10)
        return len(records)

    def read() -> int:
        with (place / "floor.avro").open("rb") as content:
            return sum(1 for _ in fastavro.reader(content))

    yield _timed("floor_write", len(records), write)
    yield _timed("floor_read", len(records), read)


def _log(place: Path, codec: str, records: Sequence[Record]) -> Iterator[tuple[str, Speed]]:
    """`archives write` from an embedded log, that log as its archive gives it, and the log itself."""
    with open_log(f"embedded:{place / 'log'}") as log, open_log("memory:") as nothing:
        log.create_topics([TopicSpec(PLACE.topic, 1)])
        for first in range(0, len(records), 5_000):
            some = records[first : first + 5_000]
            log.append([NewRecord(one.topic, one.key, one.value, one.headers, 0) for one in some])
        writer = ArchiveWriter(place / "archive", log, MemoryRegistry(), codec)

        def write() -> int:
            written = writer.write(writer.portions([PLACE.topic]), lambda done, total: None)
            return sum(one.records for one in written)

        yield _timed("from_log", len(records), write)
        writer.close()
        yield _timed("log", len(records), lambda: _read(log))
        yield _timed("as_log", len(records), lambda: _read(ArchivedLog(nothing, Archive(place / "archive"))))


def _read(log: Log) -> int:
    found, end = 0, log.ends([PLACE])[PLACE]
    with log.reader({PLACE: 0}) as reader:
        while reader.position(PLACE) < end:
            found += len(reader.read(1.0, READ_AT_ONCE))
    return found
