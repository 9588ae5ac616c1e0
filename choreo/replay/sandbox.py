"""The sandbox: all that a replay of one service works with, none of which is live."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

from choreo.events.codec import Codec
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.replay.naming import Naming
from choreo.replay.rebuild import Rebuild
from choreo.replay.starts import Start, Starts, copy_to, opened
from choreo.runtime.plan import plan_of
from choreo.service.service import Service
from choreo.state.backend import Backend, Backends, Snapshots
from choreo.state.memory import MemoryBackends
from choreo.told import Told, untold


def no_snapshots(partition: int) -> Sequence[Snapshots]:
    """There are none."""
    return ()


@contextmanager
def in_memory() -> Iterator[Backends]:
    """Stores that outlive nothing."""
    yield MemoryBackends()


@dataclass(frozen=True)
class Sandbox:
    """One service and the log that it is replayed from; nothing is sent, nothing is called.

    `settings` are the service's own, where it has any. `snapshots` gives those of a task's stores that are at hand.
    `scratch` makes what is thrown away.
    """

    service: Service
    log: Log
    registry: Registry
    settings: object = None
    snapshots: Callable[[int], Sequence[Snapshots]] = no_snapshots
    scratch: Callable[[], Backends] = MemoryBackends
    lasting: Callable[[], AbstractContextManager[Backends]] = in_memory
    """Makes what is gone when its block ends well, and is there again for the next one where it was interrupted."""
    told: Told = untold
    """Hears how many checkpoints of how many were redone on the way to where one looks."""

    def telling(self, told: Told) -> "Sandbox":
        """The same, telling somebody else."""
        return replace(self, told=told)

    @property
    def partitions(self) -> int:
        """How many tasks the service has on this log."""
        return self.log.topics()[f"{self.service.scope}.journal"].partitions

    def starts(self, partition: int) -> Starts:
        """Where a replay of this task may start."""
        return Starts(self.log, self.service, self.snapshots(partition))

    def codec(self) -> Codec:
        """Reads the service's events."""
        plan = plan_of(self.service)
        return Codec(self.registry, plan.classes, self.log.cluster_id(), topics=plan.sources)

    def naming(self) -> Naming:
        """The names of its inputs and handlers."""
        return Naming(plan_of(self.service), self.codec())

    @contextmanager
    def redoing(self, partition: int, start: Start | None = None) -> Iterator[tuple[Rebuild, Backend]]:
        """A replay of one task in a store that is thrown away afterwards: from nothing, or from a copy of a snapshot.

        For one that goes on for long; `looking` is quicker to start.
        """
        backends = self.scratch()
        try:
            scratch = backends.open(f"{self.service.name}-{partition}")
            if start is not None:
                copy_to(start, scratch)
            with self._rebuild(partition, scratch) as rebuild:
                yield rebuild, scratch
        finally:
            backends.close()

    @contextmanager
    def looking(self, partition: int, checkpoint: int) -> Iterator[tuple[Rebuild, Backend]]:
        """A replay of one task up to this checkpoint, from the snapshot that is nearest; what it changes lies in a
        store of its own over the snapshot.
        """
        start = self.starts(partition).at_or_before(checkpoint)
        if start is None:
            with self.redoing(partition) as (rebuild, scratch):
                yield self._run(rebuild, checkpoint), scratch
            return
        backends = self.scratch()  # the older the past, the further apart its snapshots
        try:
            with (
                opened(start, backends.open("over")) as scratch,
                self._rebuild(partition, scratch) as rebuild,
            ):
                yield self._run(rebuild, checkpoint), scratch
        finally:
            backends.close()

    def _run(self, rebuild: Rebuild, until: int) -> Rebuild:
        start = rebuild.checkpoint
        for page, _, _ in rebuild.run(until):
            self.told(page.checkpoint - start, until - start)
        return rebuild

    @contextmanager
    def _rebuild(self, partition: int, scratch: Backend) -> Iterator[Rebuild]:
        rebuild = Rebuild(self.service, partition, self.log, self.registry, scratch, self.settings)
        try:
            yield rebuild
        finally:
            rebuild.close()
