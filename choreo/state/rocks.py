"""Entries on disk: one RocksDB a task in the state directory of one process, all sharing one block cache.

The write-ahead log is on and not synced: a killed process loses nothing; what a power cut loses is on the changelog.
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocksdict import (
    AccessType,
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DbClosedError,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteOptions,
)

from choreo.errors import DiskFullError, StateError, StateInUseError
from choreo.state.backend import Backend, Backends, Snapshots
from choreo.state.lock import PAUSE_S, DirectoryLock

CACHE_BYTES = 32 << 20
"""Blocks of all tasks of one process together."""
GLIMPSED_BYTES = 16 << 20
"""Blocks of all that one process only looks at."""
WRITE_BUFFER_BYTES = 8 << 20
_SCAN_FIRST, _SCAN_MOST = 16, 1024
"""Entries that a scan reads at once: no iterator outlives such a read, for a live one keeps the database locked."""
_GONE = ".gone"
"""Ends the name of a task's directory that is being deleted."""


class RocksBackend(Backend):
    """One task's entries in the directory `path`; `open_db` opens it."""

    def __init__(self, path: Path, open_db: Callable[[Path], Rdict], write: WriteOptions | None = None) -> None:
        self._path, self._open_db, self._write_options = path, open_db, write or WriteOptions()
        self._opened()

    def get(self, key: bytes) -> bytes | None:
        try:
            value: bytes | None = self._get(key)
        except Exception as error:  # rocksdict has no class of its own
            raise _ours(error, self._path) from error
        return value

    def scan(self, prefix: bytes = b"", start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        at, size, end = max(prefix, start or b""), _SCAN_FIRST, _after(prefix)
        while True:
            try:
                options = ReadOptions()
                if end is not None:
                    options.set_iterate_upper_bound(end)
                chunk: list[Any] = list(islice(self._db.items(from_key=at, read_opt=options), size))
            except Exception as error:
                raise _ours(error, self._path) from error
            yield from chunk
            if len(chunk) < size:
                return
            at, size = chunk[-1][0] + b"\x00", min(size * 4, _SCAN_MOST)

    def write(self, batch: Mapping[bytes, bytes | None]) -> None:
        made = WriteBatch(raw_mode=True)
        put, delete = made.put, made.delete
        for key, value in batch.items():
            if value is None:
                delete(key)
            else:
                put(key, value)
        try:
            self._db.write(made, self._write_options)
        except Exception as error:
            raise _ours(error, self._path) from error

    def wipe(self) -> None:
        self.close()
        # Renamed first: a directory half deleted would be a damaged database, a missing one is an empty one.
        gone = self._path.with_name(self._path.name + _GONE)
        shutil.rmtree(gone, ignore_errors=True)
        self._path.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        self._opened()

    def close(self) -> None:
        try:
            self._db.cancel_all_background(True)  # else closing waits for compactions
            self._db.close()
        except Exception:  # closed before, or "Shutdown in progress": it is closed, and the write-ahead log has it all
            return

    def copy_to(self, path: Path) -> None:
        """A database at `path`, which must not exist yet, with all entries as of now; mostly links to the same files.

        Raises StateError.
        """
        try:
            Checkpoint(self._db).create_checkpoint(str(path))
        except Exception as error:
            raise _ours(error, path) from error

    def _opened(self) -> None:
        self._db = self._open_db(self._path)
        self._get = self._db.get


class RocksBackends(Backends):
    """The state directory of one process: DIR/TASK for each task, DIR/instance, DIR/lock.

    Raises StateInUseError, naming the holder, where another process has it open for longer than `wait_s` (seconds).
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        wait_s: float = 2.0,
        cache_bytes: int = CACHE_BYTES,
        pause: Callable[[float], None] = time.sleep,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:8],
    ) -> None:
        self.directory = Path(directory)
        self._wait_s, self._pause, self._new_id = wait_s, pause, new_id
        self._lock = DirectoryLock(self.directory, wait_s, pause)
        self._cache = Cache(cache_bytes)
        self._backends: dict[str, RocksBackend] = {}
        for gone in self.directory.glob(f"*{_GONE}"):
            shutil.rmtree(gone, ignore_errors=True)

    def open(self, task: str) -> Backend:
        path = self.directory / quote(task, safe="")
        backend = self._backends[task] = RocksBackend(path, self._open_db, self.write_options())
        return backend

    def write_options(self) -> WriteOptions:
        """How entries are written."""
        return WriteOptions()

    def snapshots(self, task: str) -> Snapshots:
        return RocksSnapshots(self.directory, task, lambda: self._backends[task])

    def instance_id(self) -> str:
        path = self.directory / "instance"
        try:
            if not path.exists():
                fresh = path.with_suffix(".new")
                fresh.write_text(self._new_id(), encoding="ascii")
                fresh.replace(path)  # whole or not at all
            return path.read_text(encoding="ascii").strip()
        except OSError as error:
            raise _ours(error, path) from error

    def take_over(self, task: str, other: "RocksBackends") -> None:
        """What `other` has of this task is ours from now on, in place of our own; both are closed first."""
        for backends in (self, other):
            backend = backends._backends.pop(task, None)
            if backend is not None:
                backend.close()
        path, name = self.directory / quote(task, safe=""), quote(task, safe="")
        try:
            if path.exists():
                gone = path.rename(path.with_name(name + _GONE))
                shutil.rmtree(gone, ignore_errors=True)
            (other.directory / name).rename(path)
        except OSError as error:
            raise _ours(error, path) from error

    def close(self) -> None:
        for backend in self._backends.values():
            backend.close()
        self._backends.clear()
        self._lock.close()

    def _open_db(self, path: Path) -> Rdict:
        """Tries again while somebody, perhaps this process, still closes it."""
        for left in reversed(range(max(1, round(self._wait_s / PAUSE_S)))):
            try:
                return Rdict(str(path), _options(self._cache))
            except Exception as error:
                ours = _ours(error, path)
                if not left or not isinstance(ours, StateInUseError):
                    raise ours from error
                self._pause(PAUSE_S)
        raise AssertionError("the last attempt returns or raises")


class RocksSnapshots(Snapshots):
    """Copies on disk: `.snapshots/TASK/NUMBER` of a state directory. `live` gives the task's open backend."""

    def __init__(self, directory: Path, task: str, live: Callable[[], RocksBackend] | None = None) -> None:
        self._place = directory / ".snapshots" / quote(task, safe="")
        self._live = live

    def take(self, number: int) -> None:
        if self._live is None:
            raise StateError(f"{self._place} is only looked at")
        path = self._place / f"{number:012d}"
        if path.exists():
            return
        begun = path.with_suffix(".new")
        try:
            shutil.rmtree(begun, ignore_errors=True)
            self._place.mkdir(parents=True, exist_ok=True)
            self._live().copy_to(begun)
            begun.rename(path)  # whole or not at all
        except OSError as error:
            raise _ours(error, path) from error

    def numbers(self) -> list[int]:
        return sorted(int(path.name) for path in self._place.glob("*") if path.name.isdecimal())

    def open(self, number: int) -> Backend:
        return glimpse(self._place / f"{number:012d}")

    def drop(self, number: int) -> None:
        path = self._place / f"{number:012d}"
        if path.exists():
            gone = path.rename(path.with_suffix(_GONE))
            shutil.rmtree(gone, ignore_errors=True)


def glimpse(path: Path) -> Backend:
    """A task's entries as they are now, to look at only, beside the process that has them open. Raises StateError."""

    def open_db(path: Path) -> Rdict:
        if not (path / "CURRENT").exists():  # RocksDB would make the directory
            raise StateError(f"there is no state in {path}")
        try:
            return Rdict(str(path), _options(_glimpsed()), access_type=AccessType.read_only())
        except Exception as error:
            raise _ours(error, path) from error

    return RocksBackend(path, open_db)


@lru_cache(maxsize=1)
def _glimpsed() -> Cache:
    return Cache(GLIMPSED_BYTES)


def _options(cache: Cache) -> Options:
    """Small write buffers and one cache for all: memory does not grow with the number of tasks."""
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_cache_index_and_filter_blocks(True)
    table.set_bloom_filter(10, False)
    # In parts, of which only the top stays: whole filters of a large store push one another out of the cache, and
    # then each get reads them anew (400,000 sagas: 450 us for a key that is not there, in parts 30 us).
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_pin_top_level_index_and_filter(True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_max_background_jobs(2)
    options.set_max_open_files(256)
    options.set_keep_log_file_num(1)
    options.set_stats_dump_period_sec(0)
    return options


def _after(prefix: bytes) -> bytes | None:
    """The first key after all that begin with `prefix`; None where there is none."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes((stem[-1] + 1,)) if stem else None


def _ours(error: Exception, path: Path) -> StateError:
    """RocksDB says everything by the text of an Exception."""
    text = str(error)
    if isinstance(error, DbClosedError):
        return StateError(f"the state in {path} is closed")
    if any(sign in text for sign in ("No space left", "File too large", "Disk quota exceeded")):
        return DiskFullError(
            f"no room left to write the state in {path}",
            why=text,
            hint="free some room or move the state directory, and start again: nothing is lost, the changelog has it",
        )
    if "lock" in text.lower() and "LOCK" in text:
        return StateInUseError(
            f"the state in {path} is in use", why=text, hint="close it, or stop the process that has it open"
        )
    hint = "delete this directory and start again: it is restored from the changelog" if "Corruption" in text else None
    return StateError(f"the state in {path} can't be used", why=text, hint=hint)
