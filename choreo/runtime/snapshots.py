"""Snapshots of a service's stores: copies every so many inputs, so that a replay need not begin at the first event.

They lie in the state directory beside the stores (mostly links to the same files) and are numbered by the checkpoint
that they hold. At most MOST of a task are kept: then each next one takes the place of the one whose neighbours are
closest, so that they stay spread over all of its past. The one with which the build at work began is always kept: a
replay of its pages can start there, whatever code ran before.
"""

import logging
from collections.abc import Sequence

from choreo.errors import StateError
from choreo.runtime.live import LiveTask
from choreo.runtime.log_fields import about
from choreo.runtime.options import RunOptions, Site
from choreo.state.backend import Snapshots

logger = logging.getLogger("choreo.runtime")
MOST = 64
"""So many snapshots of one task are kept."""


def surplus(numbers: Sequence[int], keep: int | None) -> int | None:
    """Which of these (ascending) is to go, so that the rest is spread most evenly; None where there are not too many.

    Never the last one, nor `keep`.
    """
    if len(numbers) <= MOST:
        return None
    around = [(after - before, number) for before, number, after in zip([0, *numbers], numbers, numbers[1:])]  # noqa: B905  # the last has no successor
    return min((gap, number) for gap, number in around if number != keep)[1]


def forget_snapshots(kept: Snapshots) -> None:
    """The store began anew: what was kept of the one before is of another log or of another time."""
    for number in kept.numbers():
        kept.drop(number)


class SnapshotTaking:
    """Takes the snapshots of one worker's tasks, right behind their checkpoints."""

    def __init__(self, site: Site, options: RunOptions) -> None:
        self._backends = site.backends
        self._every = options.snapshot_every_inputs
        self._inputs: dict[int, int] = {}
        """Inputs of each task since its last snapshot."""
        self._began: dict[int, int] = {}
        """The checkpoint after which the build at work took a task over."""

    def build_began(self, live: LiveTask, build: str) -> None:
        """The first checkpoint that `build` makes of this task is yet to come."""
        if self._every and live.meta.checkpoint and live.meta.build != build:
            self._began[live.task.partition] = live.meta.checkpoint
            self._take(live)

    def committed(self, tasks: Sequence[LiveTask], inputs: dict[int, int]) -> None:
        """These tasks have just committed so many inputs each.

        What is in flight is not in the store as a replay needs it: a task with flights waits for another checkpoint.
        """
        if not self._every:
            return
        for live in tasks:
            number = live.task.partition
            self._inputs[number] = since = self._inputs.get(number, 0) + inputs.get(number, 0)
            if since >= self._every and not live.task.flights:
                self._take(live)

    def _take(self, live: LiveTask) -> None:
        task = live.task
        self._inputs[task.partition] = 0
        snapshots = self._backends.snapshots(f"{task.plan.service.name}-{task.partition}")
        try:
            snapshots.take(live.meta.checkpoint)
            while (gone := surplus(snapshots.numbers(), self._began.get(task.partition))) is not None:
                snapshots.drop(gone)
        except StateError as error:  # a replay will take longer: nothing to stop the service for
            logger.warning("no snapshot of the store: %s", error, extra=about(service=task.plan.service.name))
