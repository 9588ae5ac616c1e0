"""Volumes: the files of an archive, each a run of records of one partition, with its index beside it.

`BEGINS.avro` is an Avro container file (`archive_wire.py`), `BEGINS.json` its index, which is written last: a file
without one was never finished and counts for nothing. BEGINS is the offset with which the volume begins, in 20 digits.
The index holds `format` (1), what `Volume` has, and the CRC-32 of itself; each block of the file has one too, so that
damage is found before a record of the block is handed out, and by its number.
"""

import json
import os
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, NamedTuple

from choreo.errors import ArchiveError, DiskFullError
from choreo.record import Record, TopicPartition
from choreo.replay.archive_wire import SYNC_BYTES, block_body, block_head, file_head, read_rows, write_rows

FORMAT = 1
VOLUME_BYTES = 64 << 20
"""A volume that has come to this is ended."""
BLOCK_BYTES = 256 << 10
"""The rows of a block, before they are packed, are at least so many bytes, but for the last of a volume."""
CODECS = ("deflate", "null")
"""Both need no package more. The sample shop's log takes a fifth of the room by deflate, for a fifth more CPU."""
_LEVEL = 1
"""Of deflate: level 6 takes three times as long for a tenth less."""
_FRAME_BYTES = 4096
"""More than a block has besides its rows, and than packing adds to rows that can't be made smaller."""
_RAW = -15
"""Deflate without a frame, as Avro has it."""
DAMAGED = "take it from a copy, or take it away: what it held is a gap then"


class Block(NamedTuple):
    """One block of a volume. `latest_ms`: the latest timestamp in it; `crc`: CRC-32 of all its bytes."""

    at: int
    size: int
    rows: int
    first: int
    latest_ms: int
    crc: int


@dataclass(frozen=True)
class Volume:
    """What the index says of one file: it holds every record of its partition from offset `begins` up to `ends`."""

    topic: str
    partition: int
    begins: int
    ends: int
    first: int
    last: int
    count: int
    first_ms: int
    last_ms: int
    latest_ms: int
    codec: str
    size: int
    sha256: str
    head_crc: int
    strange: tuple[int, ...]
    """Schema ids that values seem to name and that the registry did not know."""
    blocks: tuple[Block, ...]

    @property
    def name(self) -> str:
        return f"{self.begins:020d}.avro"

    def index(self) -> bytes:
        """The index file."""
        fields = {"format": FORMAT, **asdict(self), "blocks": [list(block) for block in self.blocks]}
        return json.dumps({"index": fields, "crc": _crc_of(fields)}).encode() + b"\n"


def volume_of(file: Path) -> Volume:
    """What an index file says. Raises ArchiveError where it is damaged or of a later format."""
    try:
        said = json.loads(file.read_bytes())
        fields = said["index"]
        if fields["format"] != FORMAT:
            raise ArchiveError(
                f"{file.name} is of format {fields['format']}", at=file, hint="run the Choreo that wrote it"
            )
        if said["crc"] != _crc_of(fields):
            raise ValueError("its checksum is wrong")
        del fields["format"]
        blocks = tuple(Block(*block) for block in fields.pop("blocks"))
        return Volume(**fields | {"blocks": blocks, "strange": tuple(fields["strange"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"the index {file.name} can't be read", at=file, why=str(error), hint=DAMAGED) from error


class _Begun(NamedTuple):
    """A block that is being packed; it will have at most `most` bytes."""

    written: "Future[tuple[int, int]]"
    most: int
    rows: int
    first: int
    latest_ms: int


class VolumeWriter:
    """Writes one volume under a name of its own; `finish` gives it its name, and then its index.

    `packing` is one thread: it packs and writes a block while the rows of the next are made.
    """

    def __init__(
        self, directory: Path, partition: TopicPartition, begins: int, codec: str, packing: ThreadPoolExecutor
    ) -> None:
        self._directory, self._partition, self._begins, self._codec = directory, partition, begins, codec
        self._packing = packing
        self._sync = os.urandom(SYNC_BYTES)
        self._draft = directory / f".{begins:020d}.part"
        head = file_head(self._sync, codec)
        with _on(directory):
            directory.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = self._draft.open("wb")
            self._file.write(head)
        self._head_crc, self._digest = zlib.crc32(head), sha256(head)
        self.size = len(head)
        """Of all blocks but the one that is being packed."""
        self._begun: _Begun | None = None
        self.count = 0
        self._blocks: list[Block] = []
        self._rows: list[bytes] = []
        self._rows_size = 0
        self._waiting = 0
        self._waiting_first = self._waiting_latest = 0
        self._first_ms = self._last_ms = self._last = 0

    def add(self, records: Sequence[Record]) -> None:
        """Append records, in order: at least one."""
        first, last = records[0], records[-1]
        latest = max(record.timestamp_ms for record in records)
        if not self.count:
            self._first_ms = first.timestamp_ms
        if not self._waiting:
            self._waiting_first, self._waiting_latest = first.offset, latest
        self._waiting_latest = max(self._waiting_latest, latest)
        self._last, self._last_ms = last.offset, last.timestamp_ms
        rows = write_rows(*self._partition, records)
        self._rows.append(rows)
        self._rows_size += len(rows)
        self._waiting += len(records)
        self.count += len(records)
        if self._rows_size >= BLOCK_BYTES:
            self._end_block()

    def reaches(self, size: int) -> bool:
        """Whether its blocks have come to so many bytes."""
        if self._begun is not None and self.size + self._begun.most >= size:
            self._settle()
        return self.size >= size

    @property
    def next_offset(self) -> int:
        """The offset after the last record."""
        return self._last + 1

    def finish(self, ends: int, strange: Sequence[int] = ()) -> Volume:
        """Put the volume in its place, then its index. A crash before the end leaves nothing that counts.

        1. the file, whole and on the disk, under its name  2. its index, the same way
        """
        if self._waiting:
            self._end_block()
        self._settle()
        volume = Volume(
            topic=self._partition.topic,
            partition=self._partition.partition,
            begins=self._begins,
            ends=ends,
            first=self._blocks[0].first,
            last=self._last,
            count=self.count,
            first_ms=self._first_ms,
            last_ms=self._last_ms,
            latest_ms=max(block.latest_ms for block in self._blocks),
            codec=self._codec,
            size=self.size,
            sha256=self._digest.hexdigest(),
            head_crc=self._head_crc,
            strange=tuple(strange),
            blocks=tuple(self._blocks),
        )
        with _on(self._directory):
            _to_disk(self._file)
            self._draft.replace(self._directory / volume.name)
        put_file(self._directory / f"{self._begins:020d}.json", volume.index())
        return volume

    def discard(self) -> None:
        """Leave nothing behind; safe after `finish`."""
        begun, self._begun = self._begun, None
        if begun is not None:
            wait([begun.written])
        with suppress(OSError):  # a full disk was told when it was written to; what is buffered does not fit either
            self._file.close()
        self._draft.unlink(missing_ok=True)

    def _end_block(self) -> None:
        self._settle()
        written = self._packing.submit(self._put, self._rows, self._waiting)
        most = self._rows_size * 1001 // 1000 + _FRAME_BYTES
        self._begun = _Begun(written, most, self._waiting, self._waiting_first, self._waiting_latest)
        self._rows, self._rows_size, self._waiting = [], 0, 0

    def _put(self, parts: Sequence[bytes], count: int) -> tuple[int, int]:
        """Pack and write a block; answers its size and its CRC-32. All that takes long lets other threads run."""
        rows = b"".join(parts)
        packed = _packed(rows) if self._codec == "deflate" else rows
        block = block_head(count, len(packed)) + packed + self._sync
        self._file.write(block)
        self._digest.update(block)
        return len(block), zlib.crc32(block)

    def _settle(self) -> None:
        """Note the block that was being packed."""
        begun, self._begun = self._begun, None
        if begun is not None:
            with _on(self._directory):
                size, crc = begun.written.result()
            self._blocks.append(Block(self.size, size, begun.rows, begun.first, begun.latest_ms, crc))
            self.size += size


def read_volume(directory: Path, volume: Volume, start: int = 0) -> Iterator[list[Record]]:
    """The records from offset `start` on, a block at a time. Raises ArchiveError, with file and block, for damage."""
    file = directory / volume.name
    begin = max(bisect_right(volume.blocks, start, key=lambda block: block.first) - 1, 0)
    count = len(volume.blocks)
    with opened_volume(file, volume) as content, ThreadPoolExecutor(1, "archive") as ahead:
        coming = ahead.submit(_rows_in, content, file, volume, begin)
        for number in range(begin, count):
            rows, block = coming.result(), volume.blocks[number]
            if number + 1 < count:  # it is unpacked while these are made
                coming = ahead.submit(_rows_in, content, file, volume, number + 1)
            records = _records_in(rows, file, volume, number)
            if block.first < start:
                records = [record for record in records if record.offset >= start]
            if records:
                yield records


def check_volume(directory: Path, volume: Volume) -> None:
    """Read all of it. Raises ArchiveError, with file and block, where it is not what its index says."""
    for _ in read_volume(directory, volume):
        pass
    digest = sha256((directory / volume.name).read_bytes()).hexdigest()
    if digest != volume.sha256:
        raise damaged(directory / volume.name, None, "it is not the file whose digest the index has")


def opened_volume(file: Path, volume: Volume) -> IO[bytes]:
    """The file of a volume, if it has its size and its head. Raises ArchiveError."""
    try:
        content = file.open("rb")
    except OSError as error:
        raise damaged(file, None, str(error.strerror)) from error
    size = os.fstat(content.fileno()).st_size
    head = content.read(volume.blocks[0].at)
    wrong: tuple[int | None, str] | None = None
    if size != volume.size:
        cut = next((n for n, block in enumerate(volume.blocks) if block.at + block.size > size), None)
        wrong = cut, f"it has {size:,} bytes, the index says {volume.size:,}"
    elif zlib.crc32(head) != volume.head_crc:
        wrong = None, "the checksum of its head is wrong"
    if wrong is not None:
        content.close()
        raise damaged(file, *wrong)
    return content


def damaged(file: Path, block: int | None, why: str) -> ArchiveError:
    """The error for a file that is not what its index says; blocks count from 0."""
    where = str(file) if block is None else f"{file}, block {block}"
    return ArchiveError("a file of the archive is damaged", at=where, why=why, hint=DAMAGED)


def put_file(place: Path, content: bytes) -> None:
    """Give a file its content at once: whole and on the disk, or not at all."""
    draft = place.parent / f".{place.name}.part"
    with _on(place.parent):
        with draft.open("wb") as file:
            file.write(content)
            _to_disk(file)
        draft.replace(place)
        directory = os.open(place.parent, os.O_RDONLY)
        try:
            with suppress(OSError):  # some file systems know no such thing
                os.fsync(directory)
        finally:
            os.close(directory)


def _rows_in(content: IO[bytes], file: Path, volume: Volume, number: int) -> bytes:
    """A block as it was before it was packed."""
    place = volume.blocks[number]
    content.seek(place.at)
    block = content.read(place.size)
    if zlib.crc32(block) != place.crc:
        raise damaged(file, number, "its checksum is wrong")
    try:
        begin, end = block_body(block, place.rows)
        return _CODECS[volume.codec](block[begin:end])
    except (ValueError, KeyError, zlib.error) as error:
        raise damaged(file, number, f"its records can't be read: {error}") from error


def _records_in(rows: bytes, file: Path, volume: Volume, number: int) -> list[Record]:
    try:
        return read_rows(volume.topic, volume.partition, rows, volume.blocks[number].rows)
    except (ValueError, IndexError, SystemError) as error:  # SystemError: a compiled slice behind the end
        raise damaged(file, number, f"its records can't be read: {error}") from error


def _packed(rows: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return packer.compress(rows) + packer.flush()


_CODECS: dict[str, Callable[[bytes], bytes]] = {"null": bytes, "deflate": lambda rows: zlib.decompress(rows, _RAW)}


def _crc_of(fields: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(fields).encode())


def _to_disk(file: IO[bytes]) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()


class _on:
    """Turns what the file system says into our errors."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            full = error.errno in (28, 122, 27)  # no space, over the quota, larger than files may be
            wrong = DiskFullError if full else ArchiveError
            raise wrong(
                f"the archive in {self._directory} can't be written",
                why=str(error),
                hint="make room and give the same command again" if full else "make the directory writable",
            ) from error
