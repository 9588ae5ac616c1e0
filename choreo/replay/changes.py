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


class Rewritten(NamedTuple):
    """An entry that a checkpoint wrote otherwise than the replay; None stands for a deletion."""

    checkpoint: int
    key: bytes
    live: bytes | None
    replayed: bytes | None
    written: bool
    """Whether the live run wrote it at all."""


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
        self._ours: dict[bytes, list[bytes | None]] = {}
        """What the replay wrote since then."""
        self._next: tuple[int, dict[bytes, bytes | None]] | None = None

    def redone(self, checkpoint: int, logged: Entries) -> Iterator[Rewritten]:
        """What was written otherwise, up to this checkpoint."""
        for key, value in logged.items():
            self._ours.setdefault(key, []).append(value)
        if self._next is None:
            self._next = self._read()
        if self._next is None or self._next[0] > checkpoint:
            return
        number, theirs = self._next
        whole = number == self._last + 1 == checkpoint
        ours, self._ours, self._next, self._last = self._ours, {}, None, number
        for key, live in theirs.items():
            if not any(live == one or self._same(key, live, one) for one in ours.get(key, ())):
                yield Rewritten(checkpoint, key, live, ours[key][-1] if key in ours else None, True)
        if whole:
            for key, values in ours.items():
                if key not in theirs:
                    yield Rewritten(checkpoint, key, None, values[-1], False)

    def close(self) -> None:
        if self._cursor is not None:
            self._cursor.close()

    def _same(self, key: bytes, live: bytes | None, replayed: bytes | None) -> bool:
        both = live is not None and replayed is not None
        return both and self._alike(key, live or b"", replayed or b"") is not Likeness.OTHER

    def _read(self) -> tuple[int, dict[bytes, bytes | None]] | None:
        """The entries up to the next number that is left; None at the end."""
        found: dict[bytes, bytes | None] = {}
        while self._cursor is not None and (record := self._cursor.next()) is not None:
            key, value = record.key or b"", record.value
            if key == REBUILT:
                found.clear()  # all of it was put there anew, by no checkpoint
            elif not is_note(key):
                found[key] = value
            if key == LAST_PAGE and value is not None:
                return page_number(value), found
        return None
