"""Entries in order for as long as a command runs: in memory, beyond a bound in a directory that goes with it."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from choreo.state.backend import Backend
from choreo.state.rocks import RocksBackends

MOST_BYTES = 16 << 20
"""Keys and values that are kept in memory."""


class Scratch:
    """What a command has to join or to sort. The directory lies below `state_dir` and is removed at the end; what a
    killed process leaves there (`.scratch-*`) is of no use to anybody.
    """

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
            self._state_dir.mkdir(parents=True, exist_ok=True)
            place = self._open.enter_context(TemporaryDirectory(prefix=".scratch-", dir=self._state_dir))
            backends = RocksBackends(place)
            self._open.callback(backends.close)
            self._disk = backends.open("scratch")
        self._disk.write(self._recent)
        self._recent, self._bytes = {}, 0
