"""Entries for as long as a command runs: in a directory that goes with it, or in memory up to a bound."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Self
from uuid import uuid4

from rocksdict import WriteOptions

from choreo.errors import StateError
from choreo.state.backend import Backend, Backends
from choreo.state.lock import DirectoryLock
from choreo.state.rocks import RocksBackends

PLACE = ".replay"
"""Below a state directory: what commands throw away."""
BEGUN = ".begun"
"""What they go on with after an interruption."""

LASTING_CACHE_BYTES = 8 << 20
"""Blocks of what lasts: digests, most of which nobody asks for."""
MOST_BYTES = 16 << 20
"""Keys and values that are kept in memory."""


class ScratchBackends(RocksBackends):
    """Stores on disk, below a state directory, that are gone when they are closed; so is what killed processes left."""

    def __init__(self, state_dir: Path) -> None:
        place = state_dir / PLACE
        _tidy(place)
        super().__init__(place / uuid4().hex[:12])

    def write_options(self) -> WriteOptions:
        """Without a log to write ahead: what a killed process leaves is thrown away."""
        options = WriteOptions()
        options.disable_wal = True  # type: ignore[method-assign,assignment]  # a field, though its stub has a method
        return options

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.directory, ignore_errors=True)
        with suppress(OSError):  # others are at work there
            self.directory.parent.rmdir()


@contextmanager
def lasting(directory: Path) -> Iterator[Backends]:
    """Stores in this directory: gone when the block ends well, there for the next one where it was interrupted."""
    with closing(RocksBackends(directory, cache_bytes=LASTING_CACHE_BYTES)) as backends:
        yield backends
    shutil.rmtree(directory, ignore_errors=True)
    with suppress(OSError):  # those of others are there
        directory.parent.rmdir()


def _tidy(place: Path) -> None:
    for left in place.glob("*"):
        with suppress(StateError), closing(DirectoryLock(left, 0)):  # else somebody is at work in it
            shutil.rmtree(left, ignore_errors=True)


class Scratch:
    """What a command has to join or to sort."""

    def __init__(self, state_dir: Path, most_bytes: int = MOST_BYTES) -> None:
        self._state_dir, self._most_bytes = state_dir, most_bytes
        self._recent: dict[bytes, bytes] = {}
        self._bytes = 0
        self._disk: Backend | None = None
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def put(self, key: bytes, value: bytes) -> None:
        """One entry; a key that was there is overwritten."""
        self._recent[key] = value
        self._bytes += len(key) + len(value)
        if self._bytes > self._most_bytes:
            self._write_down()

    def get(self, key: bytes) -> bytes | None:
        found = self._recent.get(key)
        return self._disk.get(key) if found is None and self._disk is not None else found

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Entries whose key begins with `prefix`, in key order; what is put meanwhile may or may not be among them."""
        if self._disk is not None:
            self._write_down()
            return self._disk.scan(prefix)
        return iter(sorted(pair for pair in self._recent.items() if pair[0].startswith(prefix)))

    def _write_down(self) -> None:
        if self._disk is None:
            backends = self._open.enter_context(closing(ScratchBackends(self._state_dir)))
            self._disk = backends.open("scratch")
        self._disk.write(self._recent)
        self._recent, self._bytes = {}, 0
