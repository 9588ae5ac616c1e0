"""`choreo replay verify`: are the stores what the log says?"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from typing import Any, Self

import click

from choreo.cli.assembly import assemble, settings_of
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.progress import Progress, Told, untold
from choreo.cli.project import Project
from choreo.cli.stores import LiveStores
from choreo.replay.verify import Verdict
from choreo.replay.verify import verify as verify_service

FOUND = 1
SHOWN_DIFFERENCES = 20
COLUMNS = ["service", "verdict", "tasks", "checkpoints", "inputs", "entries", "differences"]


@command("verify")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def verify(project: Project, targets: Sequence[str]) -> int:
    """Rebuild the stores of these services (none = all) from log and journal, and compare them entry by entry.

    The services must stand still. Exit code 1 where anything differs.
    """
    known = project.past.topics()
    verdicts: list[Verdict] = []
    for service in assemble(project, targets, project.past).services:
        if f"{service.scope}.journal" not in known:
            note(f"{service.name} has never run on {project.past.url}")
            continue
        with (
            closing(LiveStores(project.config.state_dir(), service, project.log, project.progress)) as live,
            _Redone(project.progress, service.name) as redone,
        ):
            settings = settings_of(project, service)
            verdicts.append(verify_service(service, project.past, project.registry, live, redone, settings))
            if live.restored:
                note(f"{service.name}: {len(live.restored)} tasks have no store here; compared with their changelog")
    project.output.listing([_row(verdict) for verdict in verdicts], COLUMNS, empty="nothing has run on this log")
    for verdict in verdicts:
        for fault in _faults(verdict):
            note(f"{verdict.service}: {fault}")
    return 0 if all(verdict.clean for verdict in verdicts) else FOUND


class _Redone:
    """Shows how far each task of a service is redone, one after the other."""

    def __init__(self, progress: Progress, service: str) -> None:
        self._progress, self._service = progress, service
        self._shown = ExitStack()
        self._partition = -1
        self._told: Told = untold

    def __call__(self, partition: int, done: int, total: int, /) -> None:
        if partition != self._partition:
            self._shown.close()
            self._partition = partition
            task = self._progress.of(f"{self._service}, task {partition}", "checkpoints")
            self._told = self._shown.enter_context(task)
        self._told(done, total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._shown.close()


def _row(verdict: Verdict) -> dict[str, Any]:
    return {
        "service": verdict.service,
        "verdict": "clean" if verdict.clean else "DIFFERS",
        "clean": verdict.clean,
        "tasks": verdict.partitions,
        "checkpoints": verdict.checkpoints,
        "inputs": verdict.inputs,
        "entries": verdict.entries,
        "builds": sorted(verdict.builds),
        "differences": len(verdict.differences) + len(verdict.divergences),
        "found": [asdict(difference) for difference in verdict.differences],
        "divergences": verdict.divergences,
    }


def _faults(verdict: Verdict) -> list[str]:
    found = [*verdict.divergences, *map(str, verdict.differences)]
    more = len(found) - SHOWN_DIFFERENCES
    return found[:SHOWN_DIFFERENCES] + ([f"and {more} more"] if more > 0 else [])
