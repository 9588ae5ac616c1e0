"""The changelog of one task beside its journal: what each checkpoint wrote when it was made.

Behind the entries of a checkpoint stands its number, an entry like any other. Compaction takes older numbers away and
leaves entries of several checkpoints together: of those it can only be asked whether the replay wrote each of them.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.replay.cursor import Cursor
from choreo.replay.likeness import Compare, Likeness, exactly
from choreo.runtime.journal import LAST_PAGE, page_number
from choreo.state.changelog import is_note
from choreo.state.rebuilt import REBUILT

Entries = Mapping[bytes, bytes | None]
MOST_KEPT = 100_000
"""Of more entries that compaction left together those before are not asked for: memory stays flat."""


class Rewritten(NamedTuple):
    """An entry that a checkpoint wrote otherwise than the replay; None stands for a deletion."""

    checkpoint: int
    key: bytes
    live: bytes | None
    replayed: bytes | None
    written: bool
    """Whether the live run wrote it at all."""


class _Written(NamedTuple):
    """What lies on the changelog up to the number of a checkpoint, and whether that is all."""

    number: int
    entries: Entries
    all_there: bool


class Changes:
    """Goes along with a replay of what stands behind checkpoint `after`: on the changelog, from offset `start` on."""

    def __init__(
        self, log: Log, changelog: TopicPartition, start: int = 0, after: int = 0, alike: Compare = exactly
    ) -> None:
        self._cursor = Cursor(log, changelog, start) if changelog.topic in log.topics() else None
        """None where there is no changelog: an archive need not have it."""
        self._alike = alike
        self._last = after
        """The last checkpoint that was compared."""
        self._next: _Written | None = None
        self._latest: dict[bytes, bytes | None] = {}
        """What the replay wrote last to the entries of several checkpoints that lie together."""
        self._found: set[bytes] = set()
        """Those of them that it wrote as they lie there."""

    def redone(self, checkpoint: int, logged: Entries) -> Iterator[Rewritten]:
        """What was written otherwise, up to this checkpoint."""
        if self._next is None:
            self._next = self._read()
        if self._next is None:
            return
        number, theirs, all_there = self._next
        if all_there and number == self._last + 1:
            yield from self._compared(checkpoint, theirs, logged)
        else:
            for key in theirs.keys() & logged.keys():
                self._latest[key] = logged[key]
                if self._same(key, theirs[key], logged[key]):
                    self._found.add(key)
            if number > checkpoint:
                return
            for key, live in theirs.items():
                if key not in self._found:
                    yield Rewritten(checkpoint, key, live, self._latest.get(key), True)
        self._next, self._last, self._latest, self._found = None, number, {}, set()

    def _compared(self, checkpoint: int, theirs: Entries, ours: Entries) -> Iterator[Rewritten]:
        """Of one checkpoint, of which nothing was compacted."""
        if theirs == ours:
            return
        for key, live in theirs.items():
            if key not in ours or not self._same(key, live, ours[key]):
                yield Rewritten(checkpoint, key, live, ours.get(key), True)
        for key, replayed in ours.items():
            if key not in theirs:
                yield Rewritten(checkpoint, key, None, replayed, False)

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()

    def _same(self, key: bytes, live: bytes | None, replayed: bytes | None) -> bool:
        if live is None or replayed is None or live == replayed:
            return live == replayed
        return self._alike(key, live, replayed) is not Likeness.OTHER

    def _read(self) -> "_Written | None":
        """What lies there up to the next number that is left; None at the end."""
        found: dict[bytes, bytes | None] = {}
        all_there = True
        while self._cursor is not None and (record := self._cursor.next()) is not None:
            key, value = record.key or b"", record.value
            if key == REBUILT:
                found.clear()  # all of it was put there anew, by no checkpoint
            elif not is_note(key):
                found[key] = value
            if key == LAST_PAGE and value is not None:
                return _Written(page_number(value), found, all_there)
            if len(found) > MOST_KEPT:
                found, all_there = {}, False
        return None
