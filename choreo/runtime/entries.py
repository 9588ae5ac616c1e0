"""The entries of one task: what changed since the last checkpoint, over what its backend holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from choreo.service.store import MISSING
from choreo.state.backend import Backend
from choreo.state.timers import DueIndex
from choreo.state.values import ValueCodec

Change = tuple[bytes, Any] | None
"""The new bytes of an entry and the object that they came from; None deletes."""


class Entries:
    """Reads see their own changes; `take` hands the changes to a checkpoint, `forget` drops them."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.timers = DueIndex(backend)
        self._changed: dict[bytes, Change] = {}
        self.changed_bytes = 0

    def read(self, key: bytes, codec: ValueCodec) -> Any:
        """The value of an entry, or MISSING."""
        change = self._changed.get(key, MISSING)
        if change is not MISSING:
            return MISSING if change is None else change[1]
        raw = self.backend.get(key)
        return MISSING if raw is None else codec.load(raw)

    def scan(self, prefix: bytes, codec: ValueCodec) -> Iterator[tuple[bytes, Any]]:
        """Entries whose key begins with `prefix`, in key order."""
        found = {key: codec.load(raw) for key, raw in self.backend.scan(prefix) if key not in self._changed}
        found |= {
            key: change[1] for key, change in self._changed.items() if change is not None and key.startswith(prefix)
        }
        yield from sorted(found.items(), key=lambda item: item[0])

    def apply(self, writes: Mapping[bytes, Change], timers: Mapping[bytes, int | None]) -> None:
        """Take over the writes and timer settings of a handling that ended well."""
        self._changed.update(writes)
        for key, change in writes.items():
            self.changed_bytes += len(key) + (len(change[0]) if change else 0)
        for timer, due in timers.items():
            if due is None:
                self.timers.cancel(timer)
            else:
                self.timers.set(timer, due)

    def put(self, key: bytes, data: bytes | None) -> None:
        """Take over one entry that is bytes already; None deletes it."""
        self._changed[key] = None if data is None else (data, data)
        self.changed_bytes += len(key) + len(data or b"")

    def has_changed(self, key: bytes) -> bool:
        """Whether this entry changed since the last take."""
        return key in self._changed

    @property
    def quiet(self) -> bool:
        """Whether nothing changed since the last take."""
        return not self._changed and not self.timers.changed

    def take(self) -> tuple[dict[bytes, bytes | None], dict[bytes, bytes | None]]:
        """All changes since the last take: those for changelog and backend, and those for the backend alone."""
        logged: dict[bytes, bytes | None] = {k: None if c is None else c[0] for k, c in self._changed.items()}
        timers, local = self.timers.take_changes()
        logged.update(timers)
        self._changed.clear()
        self.changed_bytes = 0
        return logged, local

    def forget(self) -> None:
        """Drop all changes since the last take."""
        self._changed.clear()
        self.changed_bytes = 0
        self.timers.forget()
