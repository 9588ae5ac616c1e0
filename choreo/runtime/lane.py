"""A lane: keys whose handlings run one after the other, and the effects of the one that runs now."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from choreo.clock import to_datetime
from choreo.record import Position
from choreo.runtime.entries import Change, Entries
from choreo.runtime.parking import Waiting, place_of
from choreo.service.store import MISSING
from choreo.state.values import ValueCodec

_moment: Final = lru_cache(maxsize=8)(to_datetime)
"""Handlings of one batch are told the same."""


class TaskLane:
    """What bound stores and timers of a task's handlers read and write."""

    def __init__(self, entries: Entries, partition: int) -> None:
        self.partition = partition
        """The number of its task."""
        self.key = b""
        self.now = 0
        """What handlings are told (microseconds)."""
        self._entries = entries
        self._waiting: Waiting | None = None
        self._writes: dict[bytes, Change] = {}
        self.timers: dict[bytes, int | None] = {}

    @property
    def place(self) -> Position | str:
        """What errors name: the position of the input, or which timer it is."""
        return "" if self._waiting is None else place_of(self._waiting)

    @property
    def moment(self) -> datetime:
        """`now`, as handlers see it."""
        return _moment(self.now)

    def enter(self, key: bytes, now: int, waiting: Waiting) -> None:
        """Begin a handling of an input with this key."""
        self.key, self.now, self._waiting = key, now, waiting

    def where(self) -> str:
        return f"{self.place}, key {self.key.decode(errors='replace')!r}"

    def read(self, key: bytes, codec: ValueCodec) -> Any:
        change = self._writes.get(key, MISSING)
        if change is MISSING:
            return self._entries.read(key, codec)
        return MISSING if change is None else change[1]

    def write(self, key: bytes, codec: ValueCodec, value: object) -> None:
        self._writes[key] = (codec.dump(value), value)

    def delete(self, key: bytes) -> None:
        self._writes[key] = None

    def scan(self, prefix: bytes, codec: ValueCodec) -> Iterator[tuple[bytes, Any]]:
        found = {key: value for key, value in self._entries.scan(prefix, codec) if key not in self._writes}
        found |= {
            key: change[1] for key, change in self._writes.items() if change is not None and key.startswith(prefix)
        }
        yield from sorted(found.items(), key=lambda item: item[0])

    def set_timer(self, timer: bytes, due: int) -> None:
        self.timers[timer] = due

    def cancel_timer(self, timer: bytes) -> None:
        self.timers[timer] = None

    def keep(self) -> None:
        """The handling ended well: its effects are the task's."""
        if self._writes or self.timers:
            self._entries.apply(self._writes, self.timers)
            self.drop()

    def drop(self) -> None:
        """The handling failed: it wrote nothing."""
        if self._writes:
            self._writes = {}
        if self.timers:
            self.timers = {}
