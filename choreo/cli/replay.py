"""`choreo replay verify`: did every service do what the log says it was given to do?"""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from typing import Any, Self

import click

from choreo.cli.assembly import assemble
from choreo.cli.findings import Values, finding_lines, finding_row
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.progress import Progress, Told, untold
from choreo.cli.project import Project
from choreo.cli.sandbox import sandbox_of
from choreo.cli.stores import LiveStores
from choreo.cli.story_code import services_on
from choreo.errors import ConfigError
from choreo.replay.findings import Verdict
from choreo.replay.verify import Verification

FOUND = 1
SHOWN_DIFFERENCES = 20
OTHERS_WORK = (
    "other code made all of these checkpoints: this may be what the code at hand does otherwise; "
    "once that has run, it is not held against it"
)
COLUMNS = ["service", "verdict", "tasks", "checkpoints", "inputs", "entries", "emissions", "differences"]


@command("verify")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def verify(project: Project, targets: Sequence[str]) -> int:
    """Redo all that these services (none = all) did, from log and journal, and compare: every entry of their stores,
    what each checkpoint changed, every event that they emitted.

    The services must stand still. Exit code 1 where anything differs; the first difference is shown with its cause.
    """
    known, logs = project.past.topics(), (project.log, project.past)
    verdicts: list[Verdict] = []
    found: list[Values] = []
    others = set() if targets else set(services_on(known))
    for service in assemble(project, targets, project.past).services:
        others.discard(service.scope.removeprefix("choreo."))
        if f"{service.scope}.journal" not in known:
            note(f"{service.name} has never run on {project.past.url}")
            continue
        with (
            closing(LiveStores(project.config.state_dir(), service, logs, project.progress)) as live,
            _Redone(project.progress, service.name) as redone,
        ):
            sandbox = sandbox_of(project, service, project.past)
            verdicts.append(Verification(sandbox, live).run(redone, redone.emissions))
            found.append(Values(service, project.registry))
            if live.restored:
                lacking = f"{len(live.restored)} tasks have no store of this log here"
                note(f"{service.name}: {lacking}; compared with their changelog")
    if others:
        note(f"not looked at, since their code is not here: {', '.join(sorted(others))}")
    if not verdicts:
        raise ConfigError("nothing of this has run here", at=project.past.url, hint="choreo topics list")
    rows = [_row(verdict, values) for verdict, values in zip(verdicts, found, strict=True)]
    project.output.listing(rows, COLUMNS)
    for verdict, values in zip(verdicts, found, strict=True):
        for line in _lines(verdict, values):
            note(f"{verdict.service}: {line}")
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

    def emissions(self, done: int, total: int) -> None:
        """So many records of the topics that it writes to were looked at."""
        if self._partition >= 0:
            self._shown.close()
            self._partition = -1
            self._told = self._shown.enter_context(self._progress.of(f"{self._service}, emissions", "records"))
        self._told(done, total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._shown.close()


def _row(verdict: Verdict, values: Values) -> dict[str, Any]:
    return {
        "service": verdict.service,
        "verdict": "clean" if verdict.clean else "DIFFERS",
        "clean": verdict.clean,
        "tasks": verdict.partitions,
        "checkpoints": verdict.checkpoints,
        "inputs": verdict.inputs,
        "entries": verdict.entries,
        "emissions": verdict.emissions,
        "builds": sorted(verdict.builds),
        "differences": verdict.faults,
        "older_builds": verdict.older,
        "erased": verdict.erased,
        "first": [finding_row(finding, values) for finding in verdict.findings],
        "found": [values.difference(difference) for difference in verdict.differences[:SHOWN_DIFFERENCES]],
        "divergences": verdict.divergences,
    }


def _lines(verdict: Verdict, values: Values) -> list[str]:
    """What is not clean, the first difference of each kind with its cause."""
    lines = list(verdict.divergences)
    for finding in verdict.findings:
        lines += finding_lines(finding, values)
    lines += map(values.line, verdict.differences[:SHOWN_DIFFERENCES])
    if verdict.others_work and not verdict.clean:
        lines.append(OTHERS_WORK)
    counts = [
        (verdict.different, "entries differ"),
        (verdict.rewritten, "changes to entries differ"),
        (verdict.unlike, "events differ"),
    ]
    lines += [", ".join(f"{count:,} {what}" for count, what in counts if count)] if any(n for n, _ in counts) else []
    if verdict.erased:
        lines.append(f"{verdict.erased:,} entries and events differ only in what was erased since")
    if verdict.older:
        lines.append(f"{verdict.older:,} differences where other code ran: not held against the code at hand")
    return lines
