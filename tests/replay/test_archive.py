"""Archives: every byte is kept, nothing is written twice, and what is damaged or was gone is said."""

import json
import tracemalloc
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.errors import ArchiveError, DiskFullError, UnknownTopicError
from choreo.events.registry import DirectoryRegistry, MemoryRegistry
from choreo.log.embedded import EmbeddedLog
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, Record, TopicPartition
from choreo.replay import archive_restore, archive_volume, archive_write
from choreo.replay.archive import Archive, Gap
from choreo.replay.archive_restore import Restore
from choreo.replay.archive_volume import VolumeWriter, check_volume
from choreo.replay.archive_wire import block_head, file_head, read_rows, write_rows
from choreo.replay.archive_write import ArchiveWriter
from tests.replay.archived import EVERYTHING, archived, fill, filled, forget, places, records_of, write

ZERO, ONE = TopicPartition("orders", 0), TopicPartition("orders", 1)


def only_file(directory: Path, place: TopicPartition = ZERO) -> Path:
    (found,) = (directory / "topics" / place.topic / str(place.partition)).glob("*.avro")
    return found


@pytest.mark.parametrize("codec", ["deflate", "null"])
def test_an_archive_has_every_byte(tmp_path: Path, codec: str) -> None:
    """Offsets, times, keys, values and headers come back as they were: none is not empty, headers keep their order."""
    log = filled()
    write(log, tmp_path, codec=codec)
    for place in places(log, "orders"):
        assert archived(Archive(tmp_path), place) == records_of(log, place)
    assert len(archived(Archive(tmp_path), ZERO)) == 20


@pytest.mark.parametrize("codec", ["deflate", "null"])
def test_whoever_reads_avro_reads_the_files(tmp_path: Path, codec: str) -> None:
    """fastavro's own reader gives the same records, by the schema in the file."""
    log = filled()
    write(log, tmp_path, codec=codec)
    with only_file(tmp_path).open("rb") as file:
        rows: list[Any] = list(fastavro.reader(file))
    names = ("topic", "partition", "offset", "timestamp", "key", "value")
    expected = records_of(log, ZERO)
    assert [tuple(row[name] for name in names) for row in rows] == [record[:6] for record in expected]
    headers = [[(header["name"], header["value"]) for header in row["headers"]] for row in rows]
    assert headers == [list(record.headers) for record in expected]


def test_numbers_and_lengths_of_every_size_come_back() -> None:
    """Offsets and times up to 63 bits, times below zero, and lengths around each power of 128 survive their bytes."""
    sizes = [0, 1, 63, 64, 127, 128, 8191, 8192, 4095, 4096, 20_000]
    numbers = [0, 1, 63, 64, 2**13 - 1, 2**13, 2**31, 2**62, 2**63 - 1]
    records = [
        Record("t", 7, offset, stamp, b"k" * size, b"v" * size, (("h" * size, b"m" * size),))
        for size in sizes
        for offset in numbers
        for stamp in (-1, offset)
    ]
    assert read_rows("t", 7, write_rows("t", 7, records), len(records)) == records


NUMBERS = st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1), st.sampled_from([63, 64, 8191, 8192, 16383, 16384]))
PARTS = st.one_of(st.none(), st.binary(max_size=3), st.integers(60, 140).map(bytes), st.integers(8180, 8200).map(bytes))
HEADERS = st.lists(st.tuples(st.text(max_size=70), st.binary(max_size=200)), max_size=3).map(tuple)


@given(st.lists(st.tuples(NUMBERS, st.one_of(NUMBERS, st.just(-1)), PARTS, PARTS, HEADERS), max_size=12))
def test_any_records_in_any_order_come_back(fields: list[Any]) -> None:
    """Whatever stands before a record, it comes back as it was; fastavro reads the same."""
    records = [Record("t", 3, *one) for one in fields]
    rows = write_rows("t", 3, records)
    assert read_rows("t", 3, rows, len(records)) == records
    content = file_head(bytes(16), "null") + block_head(len(records), len(rows)) + rows + bytes(16)
    read: list[Any] = list(fastavro.reader(BytesIO(content)))
    assert [tuple(row.values())[:6] for row in read] == [record[:6] for record in records]


@given(st.integers(0, 2**40), st.integers(0, 2**42), st.lists(st.tuples(st.integers(1, 200), st.integers(-9000, 9000))))
def test_neighbours_come_back(offset: int, stamp: int, steps: list[tuple[int, int]]) -> None:
    """Offsets that rise a little, and times that rise or fall a little, over every border of their bytes."""
    records = []
    for forward, later in steps:
        offset, stamp = offset + forward, stamp + later
        records.append(Record("t", 3, offset, stamp, b"key", b"v" * 70, (("choreo", b"m" * 60),)))
    assert read_rows("t", 3, write_rows("t", 3, records), len(records)) == records


def test_a_header_without_a_value_is_none_again() -> None:
    """Kafka's client gives None for it: so does the archive."""
    record = Record("t", 0, 1, 2, b"k", b"v", (("empty", None), ("full", b"x")))  # type: ignore[arg-type]  # as it does
    assert read_rows("t", 0, write_rows("t", 0, [record]), 1) == [record]


def test_a_second_run_writes_what_is_new(tmp_path: Path) -> None:
    """Written again, nothing is written; with more on the log, just that, in volumes of its own; no offset twice."""
    log = filled()
    (first,) = write(log, tmp_path)
    assert (first.records, first.volumes, first.missing) == (40, 2, 0)
    (again,) = write(log, tmp_path)
    assert (again.records, again.volumes) == (0, 0)
    fill(log, 10)
    (second,) = write(log, tmp_path)
    assert (second.records, second.volumes) == (10, 2)
    for place in places(log, "orders"):
        assert archived(Archive(tmp_path), place) == records_of(log, place)


def test_files_have_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume that has come to its size is ended, and the next one goes on."""
    monkeypatch.setattr(archive_write, "READ_AT_ONCE", 2)
    log = MemoryLog()
    log.create_topics([TopicSpec("orders", 1)])
    for n in range(12):
        log.append([NewRecord("orders", None, bytes([n]) * 900_000)])
    write(log, tmp_path, volume_bytes=4_000_000, codec="null")
    sizes = [volume.size for _, volume in Archive(tmp_path).volumes("orders")]
    assert len(sizes) == 2
    assert max(sizes) < 6_000_000
    assert archived(Archive(tmp_path), ZERO) == records_of(log, ZERO)


def test_until_a_time(tmp_path: Path) -> None:
    """What was written at or after `until` is left for a later run."""
    log = filled()
    whole = records_of(log, ZERO)
    middle = whole[10].timestamp_ms
    write(log, tmp_path, until_ms=middle)
    assert archived(Archive(tmp_path), ZERO) == [record for record in whole if record.timestamp_ms < middle]
    write(log, tmp_path)
    assert archived(Archive(tmp_path), ZERO) == whole


def test_an_archive_has_the_inputs_of_its_pages(tmp_path: Path) -> None:
    """While services run on, an input is asked for its end after the journal that names it."""

    class Busy(MemoryLog):
        def settled(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
            found = super().settled(partitions)
            self.append([NewRecord("orders", None, b"input"), NewRecord("choreo.x.journal", None, b"page")])
            return found

    log = Busy()
    log.create_topics([TopicSpec("orders", 1), TopicSpec("choreo.x.journal", 1)])
    writer = ArchiveWriter(tmp_path, log, MemoryRegistry(), "null")
    ends = {portion.partition.topic: portion.end for portion in writer.portions(["orders", "choreo.x.journal"])}
    writer.close()
    assert ends == {"choreo.x.journal": 1, "orders": 2}  # and how far its group had come was asked before


class Killed(BaseException):
    """Somebody pulls the plug."""


@pytest.mark.parametrize("at", range(10))
def test_killed_anywhere_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Whatever file it dies before or after, the next run ends with every record once, and leaves no draft behind."""
    log, deaths = filled(records=60), []
    for name in ("put_file", "_to_disk"):
        real = getattr(archive_volume, name)

        def dying(*arguments: object, real: object = real) -> object:
            deaths.append(1)
            if len(deaths) == at + 1:
                raise Killed
            return real(*arguments)  # type: ignore[operator]  # a function

        monkeypatch.setattr(archive_volume, name, dying)
        if name == "put_file":
            monkeypatch.setattr(archive_write, name, dying)
    with monkeypatch.context() as patched:
        patched.setattr(
            archive_volume.VolumeWriter, "discard", lambda self: self._file.close()
        )  # a kill tidies nothing up
        try:
            write(log, tmp_path, volume_bytes=1000)
        except Killed:
            pass
        else:
            pytest.fail("it was to be killed")
    monkeypatch.undo()
    stray = tmp_path / "topics" / "orders" / "0" / ".00000000000000000999.part"
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.touch()
    write(log, tmp_path)
    archive = Archive(tmp_path)
    for place in places(log, "orders"):
        assert archived(archive, place) == records_of(log, place)
        assert archive.series(place).gaps == []
    assert list(tmp_path.rglob("*.part")) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device without room is Linux's")
def test_a_full_disk_is_said_and_leaves_no_draft(tmp_path: Path) -> None:
    """Where there is no room that is told, with what to do; to throw the draft away needs none."""
    (tmp_path / f".{0:020d}.part").symlink_to("/dev/full")
    with ThreadPoolExecutor(1) as packing:
        volume = VolumeWriter(tmp_path, ZERO, 0, "null", packing)
        volume.add(records_of(filled(), ZERO))
        with pytest.raises(DiskFullError, match="make room and give the same command again"):
            volume.finish(40)
    volume.discard()
    assert not list(tmp_path.iterdir())


def test_what_retention_took_first_is_a_gap(tmp_path: Path) -> None:
    """Offsets that were gone before they could be written stand as gaps, also those before the first volume."""
    log = filled()
    first, end = records_of(log, ZERO)[4].offset, log.ends([ZERO])[ZERO]
    forget(log, ZERO, first)
    (written,) = write(log, tmp_path)
    assert written.missing == first
    fill(log, 12)
    later = records_of(log, ZERO)[-2].offset
    forget(log, ZERO, later)
    (written,) = write(log, tmp_path)
    assert written.missing == later - end
    series = Archive(tmp_path).series(ZERO)
    assert series.gaps == [Gap(0, first), Gap(end, later)]
    assert archived(Archive(tmp_path), ONE) == records_of(log, ONE)


@pytest.mark.parametrize("cut", [1, 100, 3000])
def test_a_truncated_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    """A file that is too short is named, with the first block that is not whole, before any record is handed out."""
    monkeypatch.setattr(archive_volume, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(archive_write, "READ_AT_ONCE", 7)
    write(filled(records=200), tmp_path, codec="deflate")
    file = only_file(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[:-cut])
    (volume,) = Archive(tmp_path).series(ZERO).volumes
    first = next(n for n, block in enumerate(volume.blocks) if block.at + block.size > len(content) - cut)
    with pytest.raises(ArchiveError) as refused:
        next(Archive(tmp_path).series(ZERO).records())
    assert refused.value.at == f"{file}, block {first}"
    file.write_bytes(content + b"more")
    with pytest.raises(ArchiveError, match="damaged"):
        archived(Archive(tmp_path), ZERO)
    file.unlink()
    with pytest.raises(ArchiveError, match="damaged"):
        archived(Archive(tmp_path), ZERO)


@pytest.mark.parametrize("codec", ["deflate", "null"])
def test_any_flipped_byte_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, codec: str) -> None:
    """One byte changed anywhere in a file: it is named, with the block, and no record of that block is handed out."""
    monkeypatch.setattr(archive_volume, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(archive_write, "READ_AT_ONCE", 7)
    log = filled(records=200)
    write(log, tmp_path, codec=codec)
    file, whole = only_file(tmp_path), records_of(log, ZERO)
    good = file.read_bytes()
    (volume,) = Archive(tmp_path).series(ZERO).volumes
    assert len(volume.blocks) > 5
    for at in [*range(0, len(good), max(len(good) // 60, 1)), len(good) - 1]:
        file.write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        number = next((n for n, block in enumerate(volume.blocks) if block.at <= at < block.at + block.size), None)
        found: list[Record] = []
        with pytest.raises(ArchiveError) as refused:
            found.extend(record for batch in Archive(tmp_path).series(ZERO).records() for record in batch)
        where = str(file) if number is None else f"{file}, block {number}"
        assert refused.value.at == where
        assert found == [
            record for record in whole if number is not None and record.offset < volume.blocks[number].first
        ]
    file.write_bytes(good)
    check_volume(file.parent, volume)
    with pytest.raises(ArchiveError, match="damaged"):
        check_volume(file.parent, replace(volume, sha256="0" * 64))


def test_a_changed_index_is_refused(tmp_path: Path) -> None:
    """An index in which somebody wrote another number is named."""
    write(filled(), tmp_path)
    index = only_file(tmp_path).with_suffix(".json")
    index.write_text(index.read_text().replace('"count": 20', '"count": 19'))
    with pytest.raises(ArchiveError, match="checksum"):
        Archive(tmp_path).series(ZERO)


def test_a_file_swapped_for_another_is_refused(tmp_path: Path) -> None:
    """A whole and sound file in the place of another fails by its bytes and by its digest."""
    write(filled(), tmp_path)
    one, other = only_file(tmp_path, ZERO), only_file(tmp_path, ONE)
    one.write_bytes(other.read_bytes())
    with pytest.raises(ArchiveError, match="damaged"):
        archived(Archive(tmp_path), ZERO)


def test_an_archive_is_of_one_log(tmp_path: Path) -> None:
    """Another log, or a topic that was made again, is not mixed in; nor do two write at the same time."""
    log = filled()
    write(log, tmp_path)
    with pytest.raises(ArchiveError, match="this archive is of log"):
        write(filled(), tmp_path)
    again = MemoryLog(cluster=log.cluster_id())
    again.create_topics([TopicSpec("orders", 2)])
    topic = again._topics["orders"]
    again._topics["orders"] = topic._replace(topic_id="another")
    with pytest.raises(ArchiveError, match="made again"):
        write(again, tmp_path)
    writer = ArchiveWriter(tmp_path, log, MemoryRegistry(), "null")
    with pytest.raises(ArchiveError, match="another process"):
        write(log, tmp_path)
    writer.close()
    with pytest.raises(UnknownTopicError):
        write(log, tmp_path, ["ordres"])


def test_schemas_are_kept_beside(tmp_path: Path) -> None:
    """The schemas that values name can be read without the registry; an id that it does not know is noted."""
    registry, log = MemoryRegistry(), MemoryLog()
    schema = {"type": "record", "name": "Placed", "namespace": "shop", "fields": [{"name": "n", "type": "int"}]}
    schema_id = registry.register("shop.Placed", schema)
    log.create_topics([TopicSpec("orders", 1)])
    for named in (schema_id, 5):
        log.append([NewRecord("orders", None, b"\0" + named.to_bytes(4, "big") + b"\x02")])
    log.append(
        [NewRecord("orders", None, b"\0\0\0\0"), NewRecord("orders", None, b"{}json"), NewRecord("orders", None, None)]
    )
    write(log, tmp_path, registry=registry)
    kept = DirectoryRegistry(tmp_path / "schemas")
    assert kept.ids() == {schema_id: "shop.Placed"}
    assert kept.schema(schema_id) == schema
    (volume,) = Archive(tmp_path).series(ZERO).volumes
    assert volume.strange == (5,)


def test_a_topic_is_noted_as_it_was_made(tmp_path: Path) -> None:
    """Its id, its number of partitions and its settings stand beside its files, each format with its version."""
    log = filled()
    write(log, tmp_path)
    said = json.loads((tmp_path / "topics" / "orders" / "topic.json").read_text())
    assert said == {
        "format": 1,
        "topic": "orders",
        "topic_id": log.topics()["orders"].topic_id,
        "partitions": 2,
        "config": {"cleanup.policy": "delete"},
    }
    assert json.loads((tmp_path / "archive.json").read_text()) == {"format": 1, "cluster_id": log.cluster_id()}
    assert json.loads(only_file(tmp_path).with_suffix(".json").read_text())["index"]["format"] == 1


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    """What a newer Choreo wrote is not guessed at."""
    write(filled(), tmp_path)
    mark = tmp_path / "archive.json"
    mark.write_text(mark.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ArchiveError) as refused:
        Archive(tmp_path)
    assert "format 2" in str(refused.value)


def test_names_of_topics_stay_in_the_archive(tmp_path: Path) -> None:
    """A topic whose name would lead out of the directory lies in it like any other."""
    log = MemoryLog()
    for name in ("..", "../out", "a/b"):
        log.create_topics([TopicSpec(name, 1)])
        log.append([NewRecord(name, None, b"x")])
    write(log, tmp_path / "archive", ["..", "../out", "a/b"])
    assert [file.name for file in tmp_path.iterdir()] == ["archive"]
    assert sorted(Archive(tmp_path / "archive").topics) == ["..", "../out", "a/b"]


def test_a_time_leads_to_an_offset(tmp_path: Path) -> None:
    """`offset_at` gives the first record at or after a time, over volumes; None behind the last."""
    log = filled(records=30)
    write(log, tmp_path)
    fill(log, 30)
    write(log, tmp_path)
    series, whole = Archive(tmp_path).series(ZERO), records_of(log, ZERO)
    assert len(series.volumes) == 2
    for record in whole:
        first = next(one for one in whole if one.timestamp_ms >= record.timestamp_ms)
        assert series.offset_at(record.timestamp_ms) == first.offset
    assert series.offset_at(0) == whole[0].offset
    assert series.offset_at(whole[-1].timestamp_ms + 1) is None


def test_everything_is_a_kind_of_record() -> None:
    """The records of these tests differ in what may be missing."""
    assert {(key is None, value is None, bool(headers)) for key, value, headers in EVERYTHING} >= {
        (True, False, False),
        (False, True, True),
    }


def test_memory_stays_flat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing, reading and restoring five times as much takes no more memory, but for 3 kB of index a volume."""
    monkeypatch.setattr(archive_write, "READ_AT_ONCE", 100)
    monkeypatch.setattr(archive_restore, "WRITE_AT_ONCE", 100)
    monkeypatch.setattr(archive_volume, "BLOCK_BYTES", 20_000)

    def peak(records: int) -> int:
        place = tmp_path / str(records)
        with EmbeddedLog(place / "log") as log, EmbeddedLog(place / "again") as again:
            log.create_topics([TopicSpec("orders", 2)])
            log.append([NewRecord("orders", b"%d" % n, b"v" * 1000) for n in range(records)])
            tracemalloc.start()
            write(log, place / "archive", volume_bytes=1_000_000, codec="null")
            archive = Archive(place / "archive")
            restore = Restore(again, archive, ["orders"])
            restore.make_topics()
            restore.run(lambda done, total: None)
            read = sum(len(batch) for one in places(log, "orders") for batch in archive.series(one).records())
            highest = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert read == records
            return highest

    peak(1_000)
    assert peak(10_000) < 1.3 * peak(2_000)
