"""Where a replay of one task may start: at nothing, or at a snapshot of its store, wherever one lies."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from choreo.log.interface import Log
from choreo.service.service import Service
from choreo.state.backend import Backend, Snapshots
from choreo.state.meta import TaskMeta, read_meta
from choreo.state.view import Layered

COPIED_AT_ONCE = 10_000


class Start(NamedTuple):
    """A snapshot, and the checkpoint that it holds."""

    checkpoint: int
    place: Snapshots


class Starts:
    """The snapshots of one task, by their checkpoints; one that is of another log is none."""

    def __init__(self, log: Log, service: Service, places: Iterable[Snapshots]) -> None:
        self._cluster = log.cluster_id()
        changelog = log.topics().get(f"{service.scope}.changelog")
        self._topic_id = changelog.topic_id if changelog is not None else ""
        known = [Start(number, place) for place in places for number in place.numbers()]
        self._known = sorted(known, key=lambda start: start.checkpoint)

    def at_or_before(self, checkpoint: int) -> Start | None:
        """The latest from which the checkpoints behind this one can be redone."""
        for start in reversed(self._known):
            if start.checkpoint <= checkpoint and self._ours(start):
                return start
        return None

    def cuts(self) -> list[Start]:
        """Those behind which another build may have taken over: the last that each one left."""
        told = [(start, meta.build) for start in self._known if (meta := self._meta(start)) is not None]
        later = [build for _, build in told[1:]] + [None]
        return [start for (start, build), following in zip(told, later, strict=False) if build != following]

    def _ours(self, start: Start) -> bool:
        return self._meta(start) is not None

    def _meta(self, start: Start) -> TaskMeta | None:
        """What it says of itself; None where it is of another log."""
        with opened(start) as kept:
            meta = read_meta(kept)
        ours = meta is not None and (meta.cluster_id, meta.changelog_topic_id) == (self._cluster, self._topic_id)
        return meta if ours else None


@contextmanager
def opened(start: Start, over: Backend | None = None) -> Iterator[Backend]:
    """What a snapshot holds, with room for changes over it (None: in memory), which are forgotten."""
    layered = Layered(start.place.open(start.checkpoint), over)
    try:
        yield layered
    finally:
        layered.close()


def copy_to(start: Start, scratch: Backend) -> None:
    """Put what a snapshot holds into an empty store."""
    with opened(start) as kept:
        batch: dict[bytes, bytes | None] = {}
        for key, value in kept.scan():
            batch[key] = value
            if len(batch) >= COPIED_AT_ONCE:
                scratch.write(batch)
                batch = {}
        scratch.write(batch)
