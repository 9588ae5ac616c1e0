"""The steps of an instance as text: their order by indentation, where it stands by an arrow, and what it knows."""

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any

from choreo.cli.saga_rows import short_names
from choreo.diagram.words import rules_of
from choreo.saga.instance import OPEN, Instance
from choreo.saga.items import whole_in
from choreo.saga.rules import Part, Role, Spec, Step

WAITS_FOR = {
    "waiting": Role.COMPLETES,
    "requested": Role.COMPLETES,
    "failed": Role.COMPLETES,
    "unknown": Role.COMPLETES,
    "compensating": Role.UNDONE,
    "compensation_failed": Role.UNDONE,
}
"""What an event that a step waits for means to it, by the step's state."""


def diagram(row: Mapping[str, Any], spec: Spec | None) -> Iterator[str]:
    """One line a step: further in what comes later, `<--` where an event is awaited. Without a spec, the states.

    Below a step that is under way or still to come stands what the spec says of it, and below a step its items.
    """
    depths, ahead = _depths(spec) if spec else {}, remaining(row)
    places = {name: number for number, name in enumerate(row["steps"])}
    for name in sorted(row["steps"], key=lambda name: (places.get(whole_in(name), 0), places[name])):
        whole, state = whole_in(name), row["steps"][name]
        depth = 1 + depths.get(whole, 0) + (name != whole)
        line = f"{'  ' * depth}{name:<20} {state}"
        if spec and name in spec.by_name:
            line += _order(spec.by_name[name])
        if spec and whole in spec.by_name:
            awaited = short_names(awaited_by(row, spec, name))
            line += f"  <-- waits for {' or '.join(awaited)}" if awaited else ""
        yield line
        if spec and name in ahead and name in spec.by_name:
            yield from _rules(spec, spec.by_name[name], "  " * (depth + 1))


def _rules(spec: Spec, step: Step, margin: str) -> list[str]:
    """Its condition, time limits and the rest that the picture of the spec has, in as few lines as are easily read."""
    rules = [f"when {step.when.text}"] if step.when else []
    rules += rules_of(spec, step)
    return wrap("; ".join(rules), 110, initial_indent=f"{margin}- ", subsequent_indent=f"{margin}  ")


def _order(step: Step) -> str:
    """`  after a, b`, `  after 1 of a, b`, `  else c`; nothing for a step that begins at once."""
    enough = "" if step.enough is None else f"{step.enough} of "
    after = f"  after {enough}{', '.join(step.after)}" if step.after else ""
    return after + (f"  else {', '.join(step.otherwise)}" if step.otherwise else "")


def awaited_by(row: Mapping[str, Any], spec: Spec, step: str) -> list[str]:
    """The full names of the events that this step waits for as it stands."""
    role = WAITS_FOR.get(row["steps"][step])
    if spec.by_name[whole_in(step)].fans_out and step == whole_in(step):
        return []  # its items do
    part = Part(role, whole_in(step)) if role else None
    return [event for event in row["waits_for"] if part in spec.parts.get(event, ())]


def remaining(row: Mapping[str, Any]) -> list[str]:
    """The steps that are still to come, or under way; none while a saga is undone, and none after its end."""
    if row["status"] not in ("waiting", "stuck") or "compensation_failed" in row["steps"].values():
        return []
    return [name for name, state in row["steps"].items() if state in OPEN]


def data_of(instance: Instance) -> dict[str, Any]:
    """What it remembers, by the names that expressions use: `saga.total`, `steps.pay.amount`."""
    found = {f"saga.{name}": value for name, value in instance.remembered.items()}
    for step, record in instance.steps.items():
        found |= {f"steps.{step}.{name}": value for name, value in record.fields.items()}
    return found


def _depths(spec: Spec) -> dict[str, int]:
    """How many steps lie one after the other before each step."""
    found: dict[str, int] = {}
    for step in sorted(spec.steps, key=lambda step: len(spec.before[step.name])):
        found[step.name] = max((found[name] + 1 for name in spec.before[step.name]), default=0)
    return found
