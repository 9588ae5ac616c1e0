"""`choreo schemas export`: writes the contract of every event of the project, to be reviewed and committed."""

from collections.abc import Sequence
from pathlib import Path

import click

from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.cli.targets import Finder
from choreo.events.contracts import drift, export


@command("export")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def export_schemas(project: Project, targets: Sequence[str]) -> None:
    """Write schemas/NAMESPACE/Name.avsc for every event class that these targets load; says which have changed."""
    finder = Finder(project.config, Path.cwd())
    finder.find(targets)
    directory = project.config.path(project.config.project.schemas)
    rows = []
    for name, event in sorted(finder.catalogue().items()):
        if event.contract.external or drift(event, directory) is None:
            continue
        rows.append({"event": name, "file": str(export(event, directory))})
    project.output.listing(rows, ["event", "file"], empty="every contract is up to date")
