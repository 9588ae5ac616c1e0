"""The sandbox of a project's service: its snapshots wherever they lie, and scratch stores below the state directory."""

from choreo.cli.assembly import settings_of
from choreo.cli.project import Project
from choreo.cli.stores import places_of
from choreo.log.interface import Log
from choreo.replay.sandbox import Sandbox
from choreo.replay.scratch import BEGUN, ScratchBackends, lasting
from choreo.service.service import Service
from choreo.state.rocks import RocksSnapshots


def sandbox_of(project: Project, service: Service, log: Log) -> Sandbox:
    """All that a replay of this service works with, from `log`."""
    state_dir = project.config.state_dir()

    def snapshots(partition: int) -> list[RocksSnapshots]:
        return [RocksSnapshots(one, f"{service.name}-{partition}") for one in places_of(state_dir, service.name)]

    return Sandbox(
        service,
        log,
        project.registry,
        settings_of(project, service),
        snapshots,
        scratch=lambda: ScratchBackends(state_dir),
        lasting=lambda: lasting(state_dir / BEGUN / f"verify-{service.name}"),
    )
