"""`choreo sagas why`: the events that an instance waits for, who should emit them, and until when."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import click

from choreo.cli.emitters import Emitters, hindrances
from choreo.cli.open_orders import open_orders, order_lines
from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.cli.saga_nested import Family, line_above, nested_in, sentence
from choreo.cli.saga_orders import orders_for, orders_lines
from choreo.cli.saga_rows import moment_text, one_instance, short_names, span_text
from choreo.cli.saga_specs import KnownSpecs
from choreo.cli.saga_steps import awaited_by
from choreo.clock import SystemClock, to_datetime
from choreo.saga.instance import Instance, StepState
from choreo.saga.items import whole_in
from choreo.saga.people import asked_role
from choreo.saga.rules import Spec


@command("why")
@click.argument("instance_id", metavar="ID")
@click.option("--saga", help="Which saga, where several have this key.")
def explain_saga(project: Project, instance_id: str, saga: str | None) -> None:
    """Why an instance waits: for which event, who should emit it, until when. ID is the key, or the beginning of it."""
    row, history = one_instance(project, instance_id, saga)
    known, now = KnownSpecs(project), to_datetime(SystemClock().now())
    known.hide_key(row["digest"], row["key"])
    spec = known.of(row["digest"])
    emitters = Emitters(project, known.parts(row["digest"]))
    with Family(project, known) as family:
        instance = family.instance(row["saga"], row["key"])
        above = family.above(row["saga"], row["key"])
        asked = _Asked(row, history, spec, instance)
        waits = [_wait(asked, event, emitters, family, now) for event in row["waits_for"]]
    told = f": {row['reason']}" if row["reason"] else ""
    lines = [f"{row['saga']} {row['key']} is {row['status']}{told}" if waits else str(row["explanation"])]
    lines += line_above(above)
    for wait in waits:
        lines += [_sentence(wait), *([f"    {sentence(wait['nested'])}"] if wait["nested"] is not None else [])]
        lines += [f"    {line}" for one in wait["emitters"] for line in hindrances(one)]
    later = _later(instance, now)
    lines += [f"  {one['step']} begins at {moment_text(one['at'])} ({_left(one['left_s'])})" for one in later]
    own = emitters.coordinator(row["saga"], row["key"], row["waits_for"]) if waits else None
    lines += [f"  {line}" for line in (hindrances(own._asdict()) if own else ())]
    given = open_orders(project, row["saga"], row["key"])
    orders = orders_for(project, spec, instance, known.catalogue(spec) if spec else {}, saga)
    for order in orders:
        order["does"] += "".join(_held_back(order, waits))
    lines += orders_lines(orders)
    if waits and spec is None:
        lines.append("  what you can order is told where its spec can be read: in the directory of the project")
    lines += order_lines(row["saga"], given)
    answer = {name: row[name] for name in ("saga", "key", "status", "reason", "explanation", "waits_for")}
    answer |= {"parent": above._asdict() if above else None, "waits": waits, "later": later}
    answer |= {"coordinator": own._asdict() if own else None, "open_orders": given, "orders": orders}
    project.output.thing(answer, lines)


class _Asked(NamedTuple):
    """The instance that is asked about: as its lifecycle tells, and, where they can be read here, spec and instance."""

    row: Mapping[str, Any]
    history: Sequence[Mapping[str, Any]]
    spec: Spec | None
    instance: Instance | None


def _wait(asked: _Asked, event: str, emitters: Emitters, family: Family, now: datetime) -> dict[str, Any]:
    """An event that is waited for: by which step, who should emit it and how they stand, since when and until when."""
    step = _step_waiting(asked.spec, event, asked.row)
    nested = next((one for one in nested_in(asked.instance, asked.spec) if one.step == step), None)
    by = emitters.of(event)
    wait: dict[str, Any] = {"event": event, "step": step, "emitted_by": by, "since": _since(step, asked.history)}
    wait |= _time_left(asked.instance, step, now)
    wait["role"] = _role(asked.spec, asked.instance, step)
    wait["form"] = shlex.join(["choreo", "sagas", "form", str(step), asked.row["key"]]) if wait["role"] else None
    key = nested.key if nested else asked.row["key"]
    wait["emitters"] = [emitters.stands(name, key)._asdict() for name in by]
    wait["nested"] = family.standing(nested) if nested else None
    return wait


def _held_back(order: Mapping[str, Any], waits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What becomes of one more request to a service that takes nothing more of this key."""
    if order["order"] == "retry":
        for wait in waits:
            if wait["step"] == order["step"]:
                held = [one["service"] for one in wait["emitters"] if one["failing"] and one["failing"]["held"]]
                yield from (f"; but {name} holds back what comes for this key, so it would wait there" for name in held)


def _later(instance: Instance | None, now: datetime) -> list[dict[str, Any]]:
    """Steps whose turn has come and that are put off: when they begin."""
    steps = instance.steps.items() if instance else ()
    at = {step: to_datetime(one.due) for step, one in steps if one.state is StepState.HELD and one.due is not None}
    return [{"step": step, "at": when, "left_s": round((when - now).total_seconds())} for step, when in at.items()]


def _sentence(wait: Mapping[str, Any]) -> str:
    who = (
        f"{' or '.join(wait['emitted_by'])} should emit it"
        if wait["emitted_by"]
        else f"a person decides it as {wait['role']} ({wait['form']} shows what to fill in)"
        if wait["role"]
        else "no service of this project emits it"
    )
    step = f" (step {wait['step']})" if wait["step"] else ""
    since = f", asked {moment_text(wait['since'])}" if wait["since"] else ""
    if wait["until"] is None:
        until = f"no deadline{since}"
    else:
        until = f"until {moment_text(wait['until'])} ({_left(wait['left_s'])}){since}"
    return f"  waits for {short_names([wait['event']])[0]}{step}: {who}; {until}"


def _left(seconds: int) -> str:
    """`2 h 10 min left`, or `overdue`."""
    return f"{span_text(seconds)} left" if seconds > 0 else "overdue"


def _step_waiting(spec: Spec | None, event: str, row: Mapping[str, Any]) -> str | None:
    """The step that waits for an event, None where it is not known."""
    steps = row["steps"] if spec else ()
    return next((step for step in steps if spec and event in awaited_by(row, spec, step)), None)


def _role(spec: Spec | None, instance: Instance | None, step: str | None) -> str | None:
    """Who decides a step, where a person does."""
    human = spec.by_name[whole_in(step)].human if spec and step else None
    return asked_role(human, instance.steps[step]) if human and instance and step else None


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
