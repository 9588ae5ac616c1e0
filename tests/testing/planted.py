"""Bugs that a runtime might have, each planted at one place of ours: a simulation must find them."""

from collections.abc import Callable, Iterable

import pytest

from choreo.log.local_member import LocalMember
from choreo.record import NewRecord, TopicPartition
from choreo.runtime.checkpoint import Checkpoint
from choreo.runtime.frontier import Frontier
from choreo.runtime.inputs import Inputs
from choreo.runtime.live import LiveTask

Plant = Callable[[pytest.MonkeyPatch], None]


def no_barrier(patch: pytest.MonkeyPatch) -> None:
    """Whatever lies at hand is handled, though its cause may not have been seen."""
    patch.setattr(Inputs, "unsure", lambda self, frontier: [])


def offset_plus_one(patch: pytest.MonkeyPatch) -> None:
    """The offset of the next record is committed one too high."""
    offsets = LiveTask.offsets

    def shifted(self: LiveTask) -> dict[TopicPartition, int]:
        moved = self.task.offsets
        return {tp: offset + 1 if tp in moved else offset for tp, offset in offsets(self).items()}

    patch.setattr(LiveTask, "offsets", shifted)


def timer_before_backlog(patch: pytest.MonkeyPatch) -> None:
    """A timer fires when it is due, whatever lies unread before it."""

    class Careless(Frontier):
        def behind(self, partitions: Iterable[TopicPartition], instant: int) -> list[TopicPartition]:
            return []

    fire = LiveTask._fire

    def fired(self: LiveTask, frontier: Frontier, now: int, limit: int) -> bool:
        return fire(self, Careless(self.inputs, self.inputs), now, limit)  # type: ignore[arg-type]  # it asks nobody

    patch.setattr(LiveTask, "_fire", fired)


def stale_epoch(patch: pytest.MonkeyPatch) -> None:
    """A checkpoint is taken from a member whom its group has thrown out meanwhile."""
    patch.setattr(LocalMember, "check", lambda self, identity: None)


def store_before_commit(patch: pytest.MonkeyPatch) -> None:
    """The stores are written before the log has committed."""
    pages = Checkpoint._pages

    def written(self, tasks, portions, epoch) -> list[NewRecord]:  # type: ignore[no-untyped-def]  # as the original
        for live, portion in zip(tasks, portions, strict=True):
            live.task.entries.backend.write({**portion.logged, **portion.local})
        return pages(self, tasks, portions, epoch)

    patch.setattr(Checkpoint, "_pages", written)


BUGS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (no_barrier, offset_plus_one, timer_before_backlog, stale_epoch, store_before_commit)
}
