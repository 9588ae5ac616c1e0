"""The sandbox of a project's service: its snapshots wherever they lie, and scratch stores below the state directory."""

import shutil
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from choreo.cli.assembly import settings_of
from choreo.cli.project import Project
from choreo.cli.stores import places_of
from choreo.errors import StateError
from choreo.log.interface import Log
from choreo.replay.sandbox import Sandbox
from choreo.service.service import Service
from choreo.state.backend import Backends
from choreo.state.lock import DirectoryLock
from choreo.state.rocks import RocksBackends, RocksSnapshots

PLACE = ".replay"
"""Below the state directory: what replays throw away."""


class ScratchBackends(RocksBackends):
    """Stores on disk that are gone when they are closed."""

    def close(self) -> None:
        super().close()
        shutil.rmtree(self.directory, ignore_errors=True)
        with suppress(OSError):  # others are at work there
            self.directory.parent.rmdir()


def sandbox_of(project: Project, service: Service, log: Log) -> Sandbox:
    """All that a replay of this service works with, from `log`."""
    state_dir = project.config.state_dir()
    place = state_dir / PLACE
    _tidy(place)

    def snapshots(partition: int) -> list[RocksSnapshots]:
        return [RocksSnapshots(one, f"{service.name}-{partition}") for one in places_of(state_dir, service.name)]

    def scratch() -> Backends:
        return ScratchBackends(place / uuid4().hex[:12])

    return Sandbox(service, log, project.registry, settings_of(project, service), snapshots, scratch)


def _tidy(place: Path) -> None:
    """Take away what replays left that were killed."""
    for left in place.glob("*"):
        with suppress(StateError):  # somebody is at work in it
            DirectoryLock(left, 0).close()
            shutil.rmtree(left, ignore_errors=True)
