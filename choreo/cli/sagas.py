"""`choreo sagas`: how instances stand, their stories, and what they wait for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import click

from choreo.cli.assembly import Assembly, assemble, deploy_specs
from choreo.cli.options import command
from choreo.cli.output import as_text
from choreo.cli.project import Project
from choreo.cli.saga_filters import Filters, filtered, select
from choreo.cli.saga_rows import moment_text, one_instance, short_names
from choreo.cli.saga_specs import project_parts, spec_of
from choreo.cli.targets import ALL_SPECS
from choreo.saga.rules import Spec

SHOWN = ["saga", "key", "status", "waits_for", "explanation"]
AT_WORK = ("waiting", "requested", "compensating")
"""States of a step in which somebody is expected to answer."""


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
    """One instance: its story in one line, then its steps. ID is the key, or the beginning of it."""
    row, history = one_instance(project, instance_id, saga)
    lines = [str(row["explanation"])]
    lines += [f"  {name:<20} {state}" for name, state in row["steps"].items()]
    lines += [f"  waits for {as_text(short_names(row['waits_for']))}"] if row["waits_for"] else []
    lines += [f"  {moment_text(past['at'])}  {change}" for past in history for change in past["change"]]
    project.output.thing(row | {"history": history}, lines)


@command("why")
@click.argument("instance_id", metavar="ID")
@click.option("--saga", help="Which saga, where several have this key.")
def explain_saga(project: Project, instance_id: str, saga: str | None) -> None:
    """Why an instance waits: for which event, who should emit it, until when. ID is the key, or the beginning of it."""
    row, history = one_instance(project, instance_id, saga)
    known = project_parts(project, row["digest"])
    spec = spec_of(known, row["digest"])
    emitters = _emitters(known)
    waits = [
        {"event": event, "step": step, "emitted_by": emitters.get(event, []), "since": since, "until": until}
        for event in row["waits_for"]
        for step, since, until in [_step_waiting(spec, event, row, history)]
    ]
    told = f": {row['reason']}" if row["reason"] else ""
    lines = [f"{row['saga']} {row['key']} is {row['status']}{told}" if waits else str(row["explanation"])]
    lines += [_sentence(wait) for wait in waits]
    answer = {name: row[name] for name in ("saga", "key", "status", "reason", "explanation", "waits_for")}
    project.output.thing(answer | {"waits": waits}, lines)


def _sentence(wait: Mapping[str, Any]) -> str:
    who = (
        f"{' or '.join(wait['emitted_by'])} should emit it"
        if wait["emitted_by"]
        else "no service of this project emits it"
    )
    step = f" (step {wait['step']})" if wait["step"] else ""
    since = f", asked {moment_text(wait['since'])}" if wait["since"] else ""
    until = f"no deadline{since}" if wait["until"] is None else f"until {moment_text(wait['until'])}{since}"
    return f"  waits for {short_names([wait['event']])[0]}{step}: {who}; {until}"


def _emitters(known: Assembly | None) -> dict[str, list[str]]:
    """Which services declare that they emit an event, by its full name."""
    found: dict[str, list[str]] = {}
    for service in known.services if known else ():
        for event in service.emitted:
            found.setdefault(event.contract.full_name, []).append(service.name)
    return found


def _step_waiting(
    spec: Spec | None, event: str, row: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> tuple[str | None, datetime | None, datetime | None]:
    """The step that waits for an event, since when, and until when; what is not known is None."""
    parts = spec.parts.get(event, ()) if spec else ()
    step = next((part.step for part in parts if row["steps"].get(part.step) in AT_WORK), None)
    if spec is None or step is None:
        return step, None, None
    since: datetime | None = None
    for past in reversed(history):
        if past["steps"].get(step) != row["steps"][step]:
            break
        since = past["at"]
    rule = spec.by_name[step]
    undoing = row["steps"][step] == "compensating"
    within = rule.compensate.within_us if undoing and rule.compensate else None if undoing else rule.within_us
    limits = [since + timedelta(microseconds=within)] if within is not None and since is not None else []
    if rule.deadline_us is not None and not undoing:
        limits.append(row["started_at"] + timedelta(microseconds=rule.deadline_us))
    return step, since, min(limits, default=None)
