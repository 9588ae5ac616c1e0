"""`choreo services list`: what the project consists of."""

from collections.abc import Sequence

import click

from choreo.cli.assembly import assemble
from choreo.cli.options import command
from choreo.cli.project import Project


@command("list")
@click.argument("targets", nargs=-1)
def list_services(project: Project, targets: Sequence[str]) -> None:
    """Every service and coordinator: its handlers, what they take and what they emit."""
    found = assemble(project, targets)
    rows = [
        {
            "service": plan.service.name,
            "handlers": [handler.__name__ for handler in plan.service.handlers],
            "takes": [event.contract.full_name for event in plan.by_event],
            "emits": [event.contract.full_name for event in plan.service.emitted],
            "topics": list(plan.topics),
        }
        for plan in found.plans()
    ]
    project.output.listing(rows, ["service", "handlers", "takes", "emits"], empty="no services")
