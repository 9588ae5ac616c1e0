"""`choreo sagas`: specs on the log, how instances stand, and their stories."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from choreo.cli.assembly import assemble, deploy_specs
from choreo.cli.open_orders import open_orders, order_lines
from choreo.cli.options import command
from choreo.cli.output import as_text, as_value
from choreo.cli.project import Project
from choreo.cli.saga_at import SagaPast
from choreo.cli.saga_filters import Filters, counted, filtered, select
from choreo.cli.saga_nested import Family, line_above
from choreo.cli.saga_privacy import shown_instance
from choreo.cli.saga_rows import moment_text, one_instance, short_names, span_text
from choreo.cli.saga_specs import KnownSpecs
from choreo.cli.saga_steps import data_of, diagram, remaining
from choreo.cli.targets import ALL_SPECS
from choreo.clock import SystemClock, to_datetime

SHOWN = ["saga", "key", "status", "age", "waits_for", "explanation"]


@command("deploy")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def deploy_sagas(project: Project, targets: Sequence[str]) -> None:
    """Put saga specs on the log (none = all of the project). A run of a coordinator does so by itself."""
    new = deploy_specs(project.make_log(), assemble(project, targets or [ALL_SPECS]))
    project.output.listing([{"deployed": name} for name in new], ["deployed"], empty="every spec is on the log already")


@command("list")
@click.argument("sagas", nargs=-1, metavar="[SAGA...]")
@click.option("--count", is_flag=True, help="How many there are, by saga and status.")
@filtered
def list_sagas(project: Project, sagas: Sequence[str], count: bool, filters: Filters) -> None:
    """Every instance: status, and the events that it waits for."""
    if count:
        found = sorted(counted(project, sagas, filters).items())
        rows: list[dict[str, Any]] = [{"saga": saga, "status": status, "count": n} for (saga, status), n in found]
        project.output.listing(rows, ["saga", "status", "count"], empty="none")
        return
    rows = _with_parents(project, select(project, sagas, filters))
    if not project.output.as_json:
        rows = [row | {"age": span_text(row["age_s"]), "waits_for": short_names(row["waits_for"])} for row in rows]
        rows = [row | {"parent": row["parent"] and f"{row['parent']['saga']} {row['parent']['key']}"} for row in rows]
    shown = [*SHOWN[:2], "parent", *SHOWN[2:]] if any(row["parent"] for row in rows) else SHOWN
    project.output.listing(rows, shown, empty=f"no sagas{' like this' if filters.given else ''} on {project.log.url}")


@command("show")
@click.argument("instance_id", metavar="ID")
@click.option("--saga", help="Which saga, where several have this key.")
@click.option("--at", "point", metavar="POINT", help="As it stood at a time, TOPIC[PARTITION]@OFFSET or event id.")
@click.option("--step", is_flag=True, help="All that happened to it up to then, turn by turn.")
def show_saga(project: Project, instance_id: str, saga: str | None, point: str | None, step: bool) -> None:
    """One instance: its story in one line, its steps with where it stands, its data, and all that happened to it.

    ID is the key, or the beginning of it. The past is read from its coordinator's journal: --at and --step need the
    project with its spec.
    """
    row, history = one_instance(project, instance_id, saga)
    known = KnownSpecs(project)
    known.hide_key(row["digest"], row["key"])
    if point or step:
        past = SagaPast(project, row)
        return past.step(point) if step else past.show(point)
    spec = known.of(row["digest"])
    with Family(project, known) as family:
        instance = family.instance(row["saga"], row["key"])
        above, below = family.above(row["saga"], row["key"]), family.below(instance, spec)
    times = times_of(row, history, to_datetime(SystemClock().now()))
    lines = [str(row["explanation"]), *diagram(row, spec), _times_line(row, times)]
    lines += line_above(above)
    lines += [
        f"  {one['step']} is saga {one['saga']} {one['key']}, {one['explanation'] or 'not started'}" for one in below
    ]
    lines += [f"  waits for {as_text(short_names(row['waits_for']))}"] if row["waits_for"] else []
    data = data_of(shown_instance(instance, spec, known.schemas(spec))) if instance else {}
    lines += [f"  {name} = {as_value(value)}" for name, value in data.items()]
    lines += [f"  {moment_text(past['at'])}  {change}" for past in history for change in past["change"]]
    orders = open_orders(project, row["saga"], row["key"])
    lines += order_lines(row["saga"], orders)
    more = {"parent": above._asdict() if above else None, "nested": below, "data": data, "remaining": remaining(row)}
    project.output.thing(row | times | more | {"open_orders": orders, "history": history}, lines)


def times_of(row: Mapping[str, Any], history: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    """Seconds since its start; since when it has its status, and for how many seconds."""
    since = row["started_at"]
    for past in reversed(history):
        if past["status"] != row["status"]:
            break
        since = past["at"]
    age, stands = now - row["started_at"], now - since
    return {
        "age_s": int(age.total_seconds()),
        "status_since": since,
        "status_s": int(stands.total_seconds()),
    }


def _times_line(row: Mapping[str, Any], times: Mapping[str, Any]) -> str:
    started = f"  started {moment_text(row['started_at'])} ({span_text(times['age_s'])} ago)"
    return f"{started}, {row['status']} since {moment_text(times['status_since'])} ({span_text(times['status_s'])})"


def _with_parents(project: Project, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows as they may be shown, each with the saga of which it is a step: None for one that is nobody's."""
    known = KnownSpecs(project)
    with Family(project, known) as family:
        parents = [family.above(row["saga"], row["key"]) for row in rows]
    found = [row | {"parent": one._asdict() if one else None} for row, one in zip(rows, parents, strict=True)]
    return [row | {"key": known.shown_key(row["digest"], row["key"])} for row in found]
