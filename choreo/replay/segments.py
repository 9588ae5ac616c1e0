"""Segments: the past of a task cut where another build took over, so that each is judged by what it began with.

A cut needs a snapshot that was taken between two builds (runtime/snapshots.py takes one there). Where there is none,
what several builds did is one segment.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

from choreo.errors import DivergenceError
from choreo.replay.pages import Journal
from choreo.replay.sandbox import Sandbox
from choreo.replay.starts import Start, opened
from choreo.runtime.journal import Page
from choreo.state.backend import Backend
from choreo.state.meta import read_meta


class Segment(NamedTuple):
    """Checkpoints of one task, from behind a snapshot (None: from the first) to the next (None: to the end)."""

    partition: int
    start: Start | None
    end: Start | None
    build: str | None
    """The code that made its first and its last checkpoint; None where these are two."""
    last: int
    """Its last checkpoint."""

    @property
    def after(self) -> int:
        return 0 if self.start is None else self.start.checkpoint

    @property
    def changelog_offset(self) -> int:
        """Where on the changelog it begins."""
        if self.start is None:
            return 0
        with opened(self.start) as kept:
            meta = read_meta(kept)
        return 0 if meta is None else meta.changelog_offset

    @contextmanager
    def left(self, live: Callable[[int], Backend]) -> Iterator[Backend]:
        """The store as the live run left it at the end."""
        if self.end is None:
            yield live(self.partition)
            return
        with opened(self.end) as kept:
            yield kept


def segments_of(sandbox: Sandbox, partition: int) -> list[Segment]:
    """The segments of one task, in order."""
    journal = Journal(sandbox.log, sandbox.service.scope, partition)
    last = journal.last()
    cuts = [cut for cut in sandbox.starts(partition).cuts() if cut.checkpoint < last and _is_cut(journal, cut)]
    bounds: list[Start | None] = [None, *cuts, None]
    found = []
    for start, end in pairwise(bounds):
        until = last if end is None else end.checkpoint
        first, final = _page(journal, 1 if start is None else start.checkpoint + 1), _page(journal, until)
        one = first is not None and final is not None and first.build == final.build
        found.append(Segment(partition, start, end, first.build if one and first else None, until))
    return found


def _is_cut(journal: Journal, cut: Start) -> bool:
    before, after = _page(journal, cut.checkpoint), _page(journal, cut.checkpoint + 1)
    return before is not None and after is not None and before.build != after.build


def _page(journal: Journal, checkpoint: int) -> Page | None:
    """None where it is not on the log: whoever redoes what comes before will say so, and of which task."""
    try:
        return next(journal.pages(checkpoint - 1), None)
    except DivergenceError:
        return None
