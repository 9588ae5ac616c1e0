"""Rebuilding a service: every task once more from the log, then in the place of what it had.

`redo` may go on while the service is at work and touches nothing of it; `exchanges` and `put_in_place` are for one that
stands still, held by a `Standing`.
"""

from contextlib import ExitStack
from dataclasses import dataclass

from choreo.clock import Clock
from choreo.errors import ConfigError
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.log.up_to import read_up_to
from choreo.record import TopicPartition
from choreo.replay.emitted import Emitted
from choreo.replay.renewal import Renewal
from choreo.replay.replacing import Exchange
from choreo.runtime.journal import last_page
from choreo.service.service import Service
from choreo.state.backend import Backend, Backends
from choreo.told import Told


@dataclass(frozen=True)
class Origins:
    """What a service is rebuilt from. `code` is a digest of all code that may decide what its handlers do.

    `past` is read for what was; it may be an archive with the log behind it. `log` is the live one.
    """

    service: Service
    past: Log
    log: Log
    registry: Registry
    code: str
    settings: object = None


class Rebuilding:
    """The tasks of one service in `scratch`, which lasts: what was redone there of the same log and code is kept."""

    def __init__(self, origins: Origins, scratch: Backends, clock: Clock) -> None:
        self._origins, self._scratch, self._clock = origins, scratch, clock
        self._opened = ExitStack()
        self._renewals: dict[int, Renewal] = {}
        self._changelogs: dict[int, Backend] = {}
        name = origins.service.name
        self.emitted = Emitted(self._open(f"{name}-emitted"))
        """What it would emit."""

    def renewal(self, partition: int) -> Renewal:
        """One task, as far as it is redone."""
        if partition not in self._renewals:
            its = self._origins
            scratch = self._open(f"{its.service.name}-{partition}")
            made = Renewal(its.service, partition, its.past, its.registry, scratch, its.settings)
            if not made.begin(its.code):
                self.emitted.forget(partition)
            self._opened.callback(made.close)
            self._renewals[partition] = made
        return self._renewals[partition]

    def redo(self, partition: int, told: Told, until: int | None = None) -> int:
        """Redo a task to the end of its journal as of now, or up to that checkpoint; answers the last one.

        `told` hears the number of each checkpoint and of the last. Raises DivergenceError where this code can't.
        """
        renewal = self.renewal(partition)
        for number, last, outputs in renewal.run(until):
            self.emitted.add(partition, outputs)
            told(number, last)
        return renewal.checkpoint

    def exchange(self, partition: int, told: Told) -> Exchange:
        """A task that is redone up to the checkpoint at which its changelog stands, and what that says.

        Raises DivergenceError, and ConfigError where the changelog goes further than the journal.
        """
        its = self._origins
        if partition not in self._changelogs:
            self._changelogs[partition] = self._open(f"{its.service.name}-{partition}-changelog")
        old = self._changelogs[partition]
        end = read_changelog(its.log, TopicPartition(f"{its.service.scope}.changelog", partition), old)
        stands = last_page(old)
        renewal = self.renewal(partition)
        if stands > renewal.checkpoint:
            self.redo(partition, told, stands)
        if stands > renewal.checkpoint:
            raise ConfigError(
                f"the journal of {its.service.name} ends before its changelog",
                at=f"task {partition}",
                why=f"checkpoint {stands} is on the changelog, the last page is {renewal.checkpoint}",
                hint="the journal lost its end: restore an archive",
            )
        return Exchange(renewal, old, end)

    def close(self) -> None:
        """Leave it as it is: the next one goes on here."""
        self._opened.close()

    def _open(self, name: str) -> Backend:
        backend = self._scratch.open(name)
        self._opened.callback(backend.close)
        return backend


def read_changelog(log: Log, place: TopicPartition, into: Backend) -> int:
    """What a restore of this changelog gives, as of now; nothing where there is none. Answers up to which offset."""
    into.wipe()
    if place.topic not in log.topics():
        return 0
    ends = log.settled([place])  # up to there whole checkpoints only
    for records, _ in read_up_to(log, log.starts([place]), ends):
        into.write({record.key: record.value for record in records if record.key is not None})
    return ends[place]
