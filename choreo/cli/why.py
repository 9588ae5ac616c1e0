"""`choreo sagas why`: the events that an instance waits for, who should emit them, and what keeps those from it."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from choreo.cli.assembly import Assembly
from choreo.cli.dead_letters import dead_letters
from choreo.cli.lag import lag_of
from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.cli.saga_nested import nested_in, sentence, standing
from choreo.cli.saga_rows import moment_text, one_instance, short_names
from choreo.cli.saga_specs import project_parts, spec_of
from choreo.cli.saga_steps import awaited_by
from choreo.cli.saga_view import SagaView
from choreo.clock import SystemClock, to_datetime
from choreo.runtime.plan import plan_of
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Emitter(NamedTuple):
    """A service that should emit an event: offsets not handled yet, None where it has never run; and its last dead
    letter of this key.
    """

    service: str
    lag: int | None
    dead_letter: dict[str, Any] | None


@command("why")
@click.argument("instance_id", metavar="ID")
@click.option("--saga", help="Which saga, where several have this key.")
def explain_saga(project: Project, instance_id: str, saga: str | None) -> None:
    """Why an instance waits: for which event, who should emit it, until when. ID is the key, or the beginning of it."""
    row, history = one_instance(project, instance_id, saga)
    known = project_parts(project, row["digest"])
    spec = spec_of(known, row["digest"])
    with SagaView(project, row["saga"]) as seen:
        instance = seen.instance(row["key"])
    emitters, now = _emitters(known), to_datetime(SystemClock().now())
    nested = {one.step: one for one in nested_in(instance, spec)}
    waits: list[dict[str, Any]] = []
    for event in row["waits_for"]:
        step = _step_waiting(spec, event, row)
        by = emitters.get(event, [])
        wait = {"event": event, "step": step, "emitted_by": by, "since": _since(step, history)}
        wait |= _time_left(instance, step, now)
        key = nested[step].key if step in nested else row["key"]
        wait["emitters"] = [_emitter(project, known, name, key)._asdict() for name in by if known]
        wait["nested"] = standing(project, nested[step]) if step in nested else None
        waits.append(wait)
    told = f": {row['reason']}" if row["reason"] else ""
    lines = [f"{row['saga']} {row['key']} is {row['status']}{told}" if waits else str(row["explanation"])]
    for wait in waits:
        lines += [_sentence(wait), *_hindrances(wait)]
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
    if wait["until"] is None:
        until = f"no deadline{since}"
    else:
        until = f"until {moment_text(wait['until'])} ({_left(wait['left_s'])}){since}"
    return f"  waits for {short_names([wait['event']])[0]}{step}: {who}; {until}"


def _hindrances(wait: Mapping[str, Any]) -> Iterator[str]:
    """What those who should emit an event have left to do, or could not do; how the saga stands that the step is."""
    if wait["nested"] is not None:
        yield f"    {sentence(wait['nested'])}"
    for one in wait["emitters"]:
        letter = one["dead_letter"]
        if one["lag"] is None:
            yield f"    {one['service']} has never run on this log"
        elif one["lag"]:
            yield f"    {one['service']} has {one['lag']:,} offsets still to handle"
        if letter is not None:
            told = f"{one['service']} gave up on {letter['event']} of this key at {moment_text(letter['at'])}"
            yield f"    {told}: {letter['error']} (choreo dead-letters show {letter['id']})"


def _emitter(project: Project, known: Assembly, name: str, key: str) -> Emitter:
    """How a service stands, as the log tells."""
    topics = project.log.topics()
    plan = plan_of(next(service for service in known.services if service.name == name))
    lag = None
    if all(topic in topics for topic in plan.topics) and f"{plan.service.scope}.journal" in topics:
        lag = sum(task["lag"] for task in lag_of(project.log, plan, topics))
    letters: list[dict[str, Any]] = []
    if f"{plan.service.scope}.dead-letters" in topics:
        letters = [row for row, _ in dead_letters(project, [name]) if row["key"] == key.encode() and "at" in row]
    last = max(letters, key=lambda row: row["at"], default=None)
    return Emitter(name, lag, last)


def _left(seconds: int) -> str:
    """`2 h 10 min left`, or `overdue`."""
    if seconds <= 0:
        return "overdue"
    parts: list[str] = []
    for size, unit in UNITS:
        if seconds >= size and len(parts) < 2:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return f"{' '.join(parts)} left"


def _emitters(known: Assembly | None) -> dict[str, list[str]]:
    """Which services declare that they emit an event, by its full name."""
    found: dict[str, list[str]] = {}
    for service in known.services if known else ():
        for event in service.emitted:
            found.setdefault(event.contract.full_name, []).append(service.name)
    return found


def _step_waiting(spec: Spec | None, event: str, row: Mapping[str, Any]) -> str | None:
    """The step that waits for an event, None where it is not known."""
    steps = row["steps"] if spec else ()
    return next((step for step in steps if spec and event in awaited_by(row, spec, step)), None)


def _since(step: str | None, history: Sequence[Mapping[str, Any]]) -> datetime | None:
    """Since when a step stands as it does."""
    since: datetime | None = None
    for past in reversed(history):
        if step is None or past["steps"].get(step) != history[-1]["steps"][step]:
            break
        since = past["at"]
    return since


def _time_left(instance: Instance | None, step: str | None, now: datetime) -> dict[str, Any]:
    """Until when a step waits by its timer, and how many seconds that is; None where nothing limits it."""
    due = instance.steps[step].due if instance and step in instance.steps else None
    if due is None:
        return {"until": None, "left_s": None}
    return {"until": to_datetime(due), "left_s": round((to_datetime(due) - now).total_seconds())}
