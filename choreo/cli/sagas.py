"""`choreo sagas`: specs on the log, how instances stand, and their stories."""

from collections import Counter
from collections.abc import Sequence

import click

from choreo.cli.assembly import assemble, deploy_specs
from choreo.cli.open_orders import open_orders, order_lines
from choreo.cli.options import command
from choreo.cli.output import as_text
from choreo.cli.project import Project
from choreo.cli.saga_filters import Filters, filtered, select
from choreo.cli.saga_nested import nested_in
from choreo.cli.saga_rows import moment_text, one_instance, short_names
from choreo.cli.saga_specs import KnownSpecs
from choreo.cli.saga_steps import data_of, diagram, remaining
from choreo.cli.saga_view import SagaView
from choreo.cli.targets import ALL_SPECS

SHOWN = ["saga", "key", "status", "waits_for", "explanation"]


@command("deploy")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def deploy_sagas(project: Project, targets: Sequence[str]) -> None:
    """Put saga specs on the log (none = all of the project). A run of a coordinator does so by itself."""
    new = deploy_specs(project.log, assemble(project, targets or [ALL_SPECS]))
    project.output.listing([{"deployed": name} for name in new], ["deployed"], empty="every spec is on the log already")


@command("list")
@click.argument("sagas", nargs=-1, metavar="[SAGA...]")
@click.option("--count", is_flag=True, help="How many there are, by saga and status.")
@filtered
def list_sagas(project: Project, sagas: Sequence[str], count: bool, filters: Filters) -> None:
    """Every instance: status, and the events that it waits for."""
    rows = select(project, sagas, filters)
    if count:
        counted = Counter((row["saga"], row["status"]) for row in rows)
        rows = [{"saga": saga, "status": status, "count": n} for (saga, status), n in sorted(counted.items())]
        project.output.listing(rows, ["saga", "status", "count"], empty="none")
        return
    if not project.output.as_json:
        rows = [row | {"waits_for": short_names(row["waits_for"])} for row in rows]
    project.output.listing(rows, SHOWN, empty=f"no sagas{' like this' if filters.given else ''} on {project.log.url}")


@command("show")
@click.argument("instance_id", metavar="ID")
@click.option("--saga", help="Which saga, where several have this key.")
def show_saga(project: Project, instance_id: str, saga: str | None) -> None:
    """One instance: its story in one line, its steps with where it stands, its data, and all that happened to it.

    ID is the key, or the beginning of it.
    """
    row, history = one_instance(project, instance_id, saga)
    spec = KnownSpecs(project).of(row["digest"])
    with SagaView(project, row["saga"]) as seen:
        instance = seen.instance(row["key"])
    nested = nested_in(instance, spec)
    lines = [str(row["explanation"]), *diagram(row, spec)]
    lines += [f"  {one.step} is saga {one.saga} {one.key}" for one in nested]
    lines += [f"  waits for {as_text(short_names(row['waits_for']))}"] if row["waits_for"] else []
    data = data_of(instance) if instance else {}
    lines += [f"  {name} = {as_text(value)}" for name, value in data.items()]
    lines += [f"  {moment_text(past['at'])}  {change}" for past in history for change in past["change"]]
    orders = open_orders(project, row["saga"], row["key"])
    lines += order_lines(row["saga"], orders)
    more = {"nested": [one._asdict() for one in nested], "data": data, "remaining": remaining(row)}
    project.output.thing(row | more | {"open_orders": orders, "history": history}, lines)
