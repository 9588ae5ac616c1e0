"""The due times of a task: durable entries under `~timer` (in the changelog) and a local index of them by due time.

What a timer means, and when "now" is, is the runtime's. Order: by due time, then by the bytes of the timer's key.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heappush

from choreo.clock import NEVER
from choreo.errors import StateError
from choreo.state.backend import Backend
from choreo.state.keys import LOCAL, store_prefix

TIMER_PREFIX = store_prefix("~timer")
"""Entry of a timer: this and its key -> version byte 1, due time (8 bytes)."""
INDEX_PREFIX = LOCAL + b"due"
"""Index entry: this, due time (8 bytes) and the timer's key -> version byte 1. Made from the timer entries."""
WINDOW = 4096
"""So many of the earliest timers are kept in memory."""

Changes = dict[bytes, bytes | None]

_VERSION = b"\x01"
_SIGN = 1 << 63
"""Added to a due time, so that a negative one sorts first."""
_due_bytes = struct.Struct(">Q")
_BATCH = 5000


def timer_entry(timer: bytes, due: int) -> tuple[bytes, bytes]:
    """The changelogged entry of a timer; `due` in microseconds."""
    return TIMER_PREFIX + timer, _VERSION + _due_bytes.pack(due + _SIGN)


def due_from(value: bytes) -> int:
    """The due time (microseconds) in the value of a timer entry."""
    if value[:1] != _VERSION or len(value) != 9:
        raise StateError(
            f"a timer has the unknown format {value[:1].hex()}",
            hint="it was written by a newer release: run that one, or wipe the state directory to restore it",
        )
    due: int = _due_bytes.unpack_from(value, 1)[0]
    return due - _SIGN


def index_key(timer: bytes, due: int) -> bytes:
    """The local index entry of a timer."""
    return INDEX_PREFIX + _due_bytes.pack(due + _SIGN) + timer


def index_changes(backend: Backend, batch: Mapping[bytes, bytes | None]) -> Changes:
    """What these entries, about to be written, change in the index: write both as one batch."""
    changes: Changes = {}
    for key, value in batch.items():
        if key.startswith(TIMER_PREFIX):
            timer, old = key[len(TIMER_PREFIX) :], backend.get(key)
            if old is not None:
                changes[index_key(timer, due_from(old))] = None
            if value is not None:
                changes[index_key(timer, due_from(value))] = _VERSION
    return changes


class DueIndex:
    """Timers of one task, over what its backend holds. Memory: a window of the earliest, and what is not written yet.

    `take_changes` hands over what to write; its caller writes that batch (or calls `forget`) before it takes the next.
    """

    def __init__(self, backend: Backend, window: int = WINDOW) -> None:
        self._backend = backend
        self._window = window
        self.forget()

    def forget(self) -> None:
        """Back to what the backend holds: whatever was set, cancelled or popped and not written never happened."""
        self._live: dict[bytes, int] = {}
        """Due times in memory: all that are not written yet, and the earliest of those that are."""
        self._heap: list[tuple[int, bytes]] = []
        """The same in heap order, and some that no longer hold."""
        self._read_to: tuple[int, bytes] | None = (-_SIGN, b"")
        """All index entries before this one are in memory; None: all there are."""
        self._changes: dict[bytes, int | None] = {}
        self._taken: dict[bytes, int | None] = {}
        """Handed over by the last `take_changes`: perhaps not in the backend yet."""
        self._before: dict[bytes, int | None] = {}
        """Due time, at the last `take_changes`, of each timer in `_changes`."""

    @property
    def changed(self) -> bool:
        """Whether anything was set, cancelled or popped since the last `take_changes`."""
        return bool(self._changes)

    def set(self, timer: bytes, due: int) -> None:
        """Due at `due` (microseconds), whatever it was before."""
        if timer not in self._changes:
            self._before[timer] = self.due_of(timer)
        self._changes[timer] = self._live[timer] = due
        heappush(self._heap, (due, timer))
        if len(self._heap) > 2 * len(self._live) + 64:
            self._heap = [(due, timer) for timer, due in self._live.items()]
            heapify(self._heap)

    def cancel(self, timer: bytes) -> None:
        """No longer due; nothing happens where it is not set."""
        if timer not in self._changes:
            before = self.due_of(timer)
            if before is None:
                return
            self._before[timer] = before
        self._changes[timer] = None
        self._live.pop(timer, None)

    def due_of(self, timer: bytes) -> int | None:
        """When this timer is due (microseconds); None where it is not set."""
        due = self._live.get(timer)
        if due is not None or self._read_to is None or timer in self._changes or timer in self._taken:
            return due
        entry = self._backend.get(TIMER_PREFIX + timer)
        return None if entry is None else due_from(entry)

    def next_due(self) -> int:
        """The earliest due time (microseconds), NEVER where there is none."""
        first = self._first()
        return NEVER if first is None else first[0]

    def due_before(self, moment: int) -> list[tuple[int, bytes]]:
        """Timers that are due before then as (due, timer), in order, and stood so at the last `take_changes`."""
        while self._read_to is not None and self._read_to[0] < moment:
            self._read_on()
        live, changed = self._live, self._changes
        held = {(due, timer) for due, timer in self._heap if due < moment and live.get(timer) == due}
        return sorted((due, timer) for due, timer in held if timer not in changed)

    def pop(self, now: int) -> tuple[int, bytes] | None:
        """The earliest timer that is due at `now` as (due, timer), and it is no longer set; None where none is due."""
        first = self._first()
        if first is None or first[0] > now:
            return None
        heappop(self._heap)
        self.cancel(first[1])
        return first

    def take_changes(self) -> tuple[Changes, Changes]:
        """What changed since the last time: entries for changelog and backend, and entries for the backend alone."""
        entries: Changes = {}
        index: Changes = {}
        for timer, due in self._changes.items():
            before = self._before[timer]
            if due == before:
                continue
            if before is not None:
                index[index_key(timer, before)] = None
            if due is None:
                entries[TIMER_PREFIX + timer] = None
            else:
                key, entries[key] = timer_entry(timer, due)
                index[index_key(timer, due)] = _VERSION
        self._taken, self._changes, self._before = self._changes, {}, {}
        if len(self._live) > 2 * self._window + len(self._taken):
            self._shrink()
        return entries, index

    def rebuild(self) -> None:
        """Write the index anew from the timer entries; for entries that were written without `index_changes`."""
        for batch in _batches({key: None} for key, _ in self._backend.scan(INDEX_PREFIX)):
            self._backend.write(batch)
        start = len(TIMER_PREFIX)
        timers = self._backend.scan(TIMER_PREFIX)
        for batch in _batches({index_key(key[start:], due_from(value)): _VERSION} for key, value in timers):
            self._backend.write(batch)
        self.forget()

    def _first(self) -> tuple[int, bytes] | None:
        """The earliest timer; reads on in the backend until nothing there can be earlier."""
        heap, live = self._heap, self._live
        while True:
            while heap and live.get(heap[0][1]) != heap[0][0]:
                heappop(heap)
            if self._read_to is None or (heap and heap[0] < self._read_to):
                return heap[0] if heap else None
            self._read_on()

    def _read_on(self) -> None:
        """The next index entries from the backend, less those that changed since."""
        assert self._read_to is not None
        due, timer = self._read_to
        head = len(INDEX_PREFIX)
        for count, (key, _) in enumerate(self._backend.scan(INDEX_PREFIX, index_key(timer, due))):
            due, timer = _due_bytes.unpack_from(key, head)[0] - _SIGN, key[head + 8 :]
            if count == self._window:
                self._read_to = (due, timer)
                return
            if timer not in self._changes and timer not in self._taken:
                self._live[timer] = due
                heappush(self._heap, (due, timer))
        self._read_to = None

    def _shrink(self) -> None:
        """Keep the earliest and what is not written yet."""
        earliest = sorted((due, timer) for timer, due in self._live.items())
        first_out = earliest[self._window]
        if self._read_to is None or first_out < self._read_to:
            self._read_to = first_out
        kept = earliest[: self._window] + [item for item in earliest[self._window :] if item[1] in self._taken]
        self._live = {timer: due for due, timer in kept}
        self._heap = kept


def _batches(entries: Iterable[Mapping[bytes, bytes | None]]) -> Iterator[Changes]:
    batch: Changes = {}
    for entry in entries:
        batch.update(entry)
        if len(batch) >= _BATCH:
            yield batch
            batch = {}
    if batch:
        yield batch
