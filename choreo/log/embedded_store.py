"""How the embedded log lies on disk: one RocksDB, its keys and values. Knows no groups, no transactions, no sockets.

Big-endian; every value begins with a version byte (1). Topics have numbers, so that keys are short.

| key | value |
|---|---|
| `v` | the version of this layout: a directory of another version is refused |
| `c` | cluster id |
| `t` topic name | `>II16s` number, partitions, topic id; then the config as JSON |
| `e` `>II` topic number, partition | `>Qq` end offset, timestamp of the last record (ms) |
| `s` `>II` topic number, partition | `>q` the first offset, where it is not 0: of a log that was restored |
| `r` `>IIQ` topic number, partition, offset | `>qiiH` timestamp (ms), key size, value size (-1: none), number of headers; key; value; then for each header `>HI` name size, value size; name; value |
| `g` group 0 topic 0 `>I` partition | `>q` the offset that the group committed |
"""  # noqa: E501 - a table row has no place to break

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path
from typing import Final, cast
from uuid import UUID, uuid4

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteOptions,
)

from choreo.errors import DiskFullError, LogError, StateError, StateInUseError, because
from choreo.log.interface import Topic, TopicSpec
from choreo.record import NewRecord, Record, TopicPartition, of_fields

VERSION = b"\x01"
_TOPIC = struct.Struct(">BII16s")
_END: Final = struct.Struct(">BQq")
_RECORD: Final = struct.Struct(">BqiiH")
_HEADER: Final = struct.Struct(">HI")
_COMMITTED: Final = struct.Struct(">Bq")
_PREFIX: Final = struct.Struct(">cII")
_OFFSET: Final = struct.Struct(">Q")

READ_BYTES = 16 << 20
"""Bytes after which one read stops, however many records it was to give."""
_CACHE = Cache(64 << 20)
"""One for all embedded logs of the process: RocksDB's memory would else grow with their number."""


@dataclass(frozen=True)
class StoredTopic:
    """A topic with its number in keys, and the keys that Kafka would know it by."""

    topic: Topic
    number: int
    config: Mapping[str, str]


class LogStore:
    """The bytes of one embedded log. Its caller holds a lock; no iterator outlives a call (a live one keeps the LOCK).

    `scratch` makes it a follower of the process that owns the directory: it reads, after `catch_up`, and never writes.
    """

    def __init__(self, directory: Path, *, sync: bool = False, scratch: Path | None = None) -> None:
        self.directory = directory
        self._scratch = scratch
        self._write_options = WriteOptions()
        self._write_options.sync = sync
        self._db: Rdict | None = None
        self._closed = False
        self._open()
        try:
            self._check_version()
        except BaseException:
            self.close()
            raise

    @property
    def db(self) -> Rdict:
        """Opened again first where a failed write has shut it."""
        return self._db if self._db is not None else self._open()

    def cluster_id(self) -> str:
        cluster: bytes = self.db.get(b"c") or VERSION
        return cluster[1:].decode()

    def topics(self) -> dict[str, StoredTopic]:
        """All topics, by name."""
        found = {}
        for key, value in self._entries(b"t"):
            name = key[1:].decode()
            _, number, partitions, topic_id = _TOPIC.unpack_from(value)
            topic = Topic(name, partitions, str(UUID(bytes=topic_id)))
            found[name] = StoredTopic(topic, number, json.loads(value[_TOPIC.size :]))
        return found

    def make_topic(self, spec: TopicSpec, number: int) -> StoredTopic:
        """Keep a new topic under this number."""
        return self.make_again(Topic(spec.name, spec.partitions, ""), spec.config, number, {})

    def make_again(
        self, topic: Topic, config: Mapping[str, str], number: int, starts: Mapping[int, int]
    ) -> StoredTopic:
        """Keep a topic under its own id, a new one where that is empty; its partitions begin at `starts`, or 0."""
        topic_id = UUID(topic.topic_id) if topic.topic_id else uuid4()
        value = _TOPIC.pack(1, number, topic.partitions, topic_id.bytes) + json.dumps(dict(config)).encode()
        begins = {_PREFIX.pack(b"s", number, n): _COMMITTED.pack(1, start) for n, start in starts.items() if start}
        self.write({b"t" + topic.name.encode(): value} | begins)
        return StoredTopic(topic._replace(topic_id=str(topic_id)), number, dict(config))

    def become(self, cluster_id: str) -> None:
        """Keep another cluster id."""
        self.write({b"c": VERSION + cluster_id.encode()})

    def start(self, number: int, partition: int) -> int:
        """The first offset of a partition."""
        value = self.db.get(_PREFIX.pack(b"s", number, partition))
        return 0 if value is None else int(_COMMITTED.unpack(value)[1])

    def end(self, number: int, partition: int) -> tuple[int, int]:
        """The end offset of a partition, and the timestamp of its last record (ms)."""
        value = self.db.get(end_key(number, partition))
        return (0, 0) if value is None else _END.unpack(value)[1:]

    def committed(self) -> dict[str, dict[TopicPartition, int]]:
        """What each group has committed."""
        found: dict[str, dict[TopicPartition, int]] = {}
        for key, value in self._entries(b"g"):
            group, topic = key[1:-5].decode().split("\0")
            partition = TopicPartition(topic, int.from_bytes(key[-4:], "big"))
            found.setdefault(group, {})[partition] = _COMMITTED.unpack(value)[1]
        return found

    def read(self, name: TopicPartition, number: int, offset: int, limit: int) -> list[Record]:
        """Up to `limit` records of a partition from `offset` on, at most about READ_BYTES of them."""
        prefix = _PREFIX.pack(b"r", number, name.partition)
        records: list[Record] = []
        room = READ_BYTES
        for key, value in islice(self._from(prefix + _OFFSET.pack(offset)), limit):
            if not key.startswith(prefix):
                break
            records.append(unpack(name, int.from_bytes(key[9:], "big"), value))
            room -= len(value)
            if room <= 0:
                break
        return records

    def first_from(self, number: int, partition: int, offset: int) -> tuple[int, int] | None:
        """Offset and timestamp (ms) of the first record at or after `offset`; None where there is none."""
        prefix = _PREFIX.pack(b"r", number, partition)
        for key, value in islice(self._from(prefix + _OFFSET.pack(offset)), 1):
            found = int.from_bytes(key[9:], "big"), int(_RECORD.unpack_from(value)[1])
            return found if key.startswith(prefix) else None
        return None

    def write(self, entries: Mapping[bytes, bytes]) -> None:
        """Write all entries or none; on return they survive kill -9, and with `sync` a power loss too.

        Raises DiskFullError where there is no room, and then nothing was written. A write that failed half-way is
        looked up after opening again: what landed in spite of the error counts as written.
        """
        batch = WriteBatch(raw_mode=True)
        for key, value in entries.items():
            batch.put(key, value)
        try:
            self.db.write(batch, self._write_options)
        except Exception as error:  # rocksdict raises bare Exceptions
            self._shut()
            db = self._open()
            if any(db.get(key) != value for key, value in entries.items()):
                raise because(seam_error(error, self.directory), error)

    def catch_up(self) -> None:
        """See what the owner has written since."""
        try:
            self.db.try_catch_up_with_primary()
        except Exception:  # files that the owner has compacted away meanwhile: begin anew from those of now
            self._shut()
            self._open()

    def close(self) -> None:
        """Release the directory for good; safe to call twice."""
        self._closed = True
        self._shut()

    def _shut(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            with suppress(Exception):  # a full disk: what was committed is in the write-ahead log already
                db.close()

    def _open(self) -> Rdict:
        if self._closed:
            raise LogError(f"the embedded log in {self.directory} is closed")
        try:
            if self._scratch is not None:
                follow = AccessType.secondary(str(self._scratch))
                self._db = Rdict(str(self.directory), _options(following=True), access_type=follow)
            else:
                self.directory.mkdir(parents=True, exist_ok=True)
                self._db = Rdict(str(self.directory), _options(following=False))
        except Exception as error:  # rocksdict raises bare Exceptions
            raise because(seam_error(error, self.directory), error)
        return self._db

    def _check_version(self) -> None:
        version = self.db.get(b"v")
        if version is None and self._scratch is None:
            cluster = f"embedded-{uuid4()}"
            self.write({b"v": VERSION, b"c": VERSION + cluster.encode()})
        elif version != VERSION:
            found = "nothing" if version is None else f"version {version[0]}"
            raise StateError(
                f"{self.directory} is not an embedded log that this Choreo can read",
                why=f"its layout has {found}, this Choreo reads version {VERSION[0]}",
                hint="use the Choreo that wrote it, or another directory",
            )

    def _from(self, key: bytes) -> Iterator[tuple[bytes, bytes]]:
        return cast("Iterator[tuple[bytes, bytes]]", self.db.items(from_key=key))

    def _entries(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        return list(takewhile(lambda entry: entry[0].startswith(prefix), self._from(prefix)))


def has_log(directory: Path) -> bool:
    """Whether a log was made in this directory; also where that can't be seen: opening it says what is wrong."""
    try:
        (directory / "CURRENT").stat()  # every RocksDB has it
    except OSError as error:
        return not isinstance(error, FileNotFoundError)
    return True


def end_key(number: int, partition: int) -> bytes:
    """Where the end of a partition is kept."""
    return _PREFIX.pack(b"e", number, partition)


def end_value(end: int, timestamp_ms: int) -> bytes:
    """The end of a partition, and the timestamp of its last record (ms)."""
    return _END.pack(1, end, timestamp_ms)


def record_key(number: int, partition: int, offset: int) -> bytes:
    """Where a record is kept."""
    return _PREFIX.pack(b"r", number, partition) + _OFFSET.pack(offset)


def committed_entry(group: str, partition: TopicPartition, offset: int) -> tuple[bytes, bytes]:
    """Key and value of what a group committed."""
    key = f"g{group}\0{partition.topic}\0".encode() + partition.partition.to_bytes(4, "big")
    return key, _COMMITTED.pack(1, offset)


def pack(record: NewRecord, timestamp_ms: int) -> bytes:
    """The value of a record: all but its place."""
    _, key, value, headers, _ = record
    packed = _RECORD.pack(
        1, timestamp_ms, -1 if key is None else len(key), -1 if value is None else len(value), len(headers)
    )
    packed += (key or b"") + (value or b"")
    for name, mark in headers:
        encoded = name.encode()
        packed += _HEADER.pack(len(encoded), len(mark)) + encoded + mark
    return packed


def unpack(name: TopicPartition, offset: int, packed: bytes) -> Record:
    """A record from its value and its place."""
    _, timestamp_ms, key_size, value_size, count = _RECORD.unpack_from(packed)
    at = _RECORD.size
    key = value = None
    if key_size >= 0:
        key = packed[at : at + key_size]
        at += key_size
    if value_size >= 0:
        value = packed[at : at + value_size]
        at += value_size
    headers = _unpack_headers(packed, at, count) if count else ()
    return of_fields(Record, (name[0], name[1], offset, timestamp_ms, key, value, headers))


def _unpack_headers(packed: bytes, at: int, count: int) -> tuple[tuple[str, bytes], ...]:
    headers = []
    for _ in range(count):
        name_size, size = _HEADER.unpack_from(packed, at)
        at += _HEADER.size
        headers.append((packed[at : at + name_size].decode(), packed[at + name_size : at + name_size + size]))
        at += name_size + size
    return tuple(headers)


def _options(*, following: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(not following)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(16 << 20)
    options.set_max_total_wal_size(128 << 20)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(-1 if following else 512)  # a follower must hold the files that the owner deletes
    blocks = BlockBasedOptions()
    blocks.set_block_cache(_CACHE)
    blocks.set_block_size(16 << 10)
    options.set_block_based_table_factory(blocks)
    return options


_FULL = ("no space left", "file too large", "disk quota", "enospc")
_LOCKED = ("lock hold by", "no locks available", "resource temporarily unavailable", "lock file")


def seam_error(error: Exception, directory: Path) -> StateError:
    """RocksDB's error as ours."""
    if isinstance(error, StateError):
        return error
    text = str(error)
    if any(sign in text.lower() for sign in _FULL):
        return DiskFullError(
            f"no room left in {directory}", why=text, hint="make room (or raise the file size limit) and start again"
        )
    if any(sign in text.lower() for sign in _LOCKED):
        return StateInUseError(
            f"{directory} is in use by another process",
            why=text,
            hint="stop that process; for several processes use kafka://",
        )
    return StateError(f"the embedded log in {directory} failed", why=text, hint="check the directory and its disk")
