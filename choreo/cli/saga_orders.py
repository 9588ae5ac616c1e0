"""What can be ordered of a saga as it stands: for each order the line to type, and what it would do."""

import getpass
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from choreo.cli.project import SPELLING, Project
from choreo.cli.saga_rows import short_names
from choreo.clock import SystemClock
from choreo.config.layers import find_file
from choreo.events.event import Event
from choreo.saga.decision import Answer, Cancel, Command, Order, Resolve, Retry
from choreo.saga.form import form_of
from choreo.saga.instance import Instance
from choreo.saga.remedies import Remedy, held_up_at, meanings, remedies
from choreo.saga.rules import Role, Spec
from choreo.service.client import fresh_ids

MOST_STEPS = 4
"""Orders are proposed for so many steps, the worst off first."""
MEANS = {
    Role.COMPLETES: "which completes {step}",
    Role.FAILS: "by which {step} fails",
    Role.UNKNOWN: "by which {step} may have happened",
    Role.UNDONE: "by which {step} is undone",
}
"""What an event that somebody answers with says of its step."""


def orders_for(
    project: Project,
    spec: Spec | None,
    instance: Instance | None,
    catalogue: Mapping[str, type[Event]],
    saga: str | None,
) -> list[dict[str, Any]]:
    """What the coordinator would take: `order`, `step`, `command`, `changes`, `emits`, `does` in words.

    Nothing where the spec or the instance can't be read here. `saga` is what had to be said to tell it from others.
    """
    if spec is None or instance is None:
        return []
    now, who = SystemClock().now(), getpass.getuser()
    given = Command(Cancel(), fresh_ids(now).event_id, now, now, who, "...")
    steps = held_up_at(spec, instance)[:MOST_STEPS]
    ending = [*_asked_with(project), *(["--saga", saga] if saga else [])]
    rows = []
    for one in remedies(spec, instance, given, catalogue, steps):
        order = one.order
        assert one.decision.instance is not None
        rows.append(
            {
                "order": type(order).__name__.lower(),
                "step": getattr(order, "step", None),
                "command": _command(spec, instance.key, one, catalogue, ending),
                "changes": list(one.decision.changes[1:]),
                "emits": [emit.event for emit in one.decision.emits],
                "does": _does(spec, one),
            }
        )
    return rows


def orders_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A heading, then two lines for each order."""
    if rows:
        yield "  what you can order as it stands, each with your reason (--dry-run only looks):"
    for row in rows:
        yield f"    {row['command']}"
        yield f"        {row['does']}"


def _command(spec: Spec, key: str, one: Remedy, catalogue: Mapping[str, type[Event]], ending: Sequence[str]) -> str:
    """The line to type; `...` is to be filled in."""
    words, order = [type(one.order).__name__.lower()], one.order
    options = [*ending]
    if not isinstance(order, Cancel):
        words.append(getattr(order, "step", ""))
    if isinstance(order, Resolve):
        words.append(order.outcome)
    if isinstance(order, Answer):
        words.append(_shortest(order.event, spec))
        options += ["--role", order.role] if order.role else []
    if isinstance(order, Answer) and "=" in key:
        options += ["--key", key]  # an ID with = in it reads as a field
    else:
        words.append(key)
    if isinstance(order, Answer):
        words += [f"{field}=..." for field in _asked(one, order, catalogue)]
    line = ["choreo", "sagas", words[0]]
    typed = [shlex.quote(word) for word in words[1:]]
    said = [*map(shlex.quote, options), "--why", '"..."']
    apart = any(word.startswith("-") for word in words[1:])
    return " ".join([*line, *said, "--", *typed] if apart else [*line, *typed, *said])


def _asked(one: Remedy, order: Answer, catalogue: Mapping[str, type[Event]]) -> list[str]:
    """The fields of an answer that nobody fills in but a person, and that must not be left out."""
    filled = next((emit.fields for emit in one.decision.emits if emit.kind == "answer"), {})
    return [entry.name for entry in form_of(catalogue[order.event], filled) if entry.required]


def _shortest(event: str, spec: Spec) -> str:
    (short,) = short_names([event])
    return short if short_names(spec.parts).count(short) == 1 else event


def _does(spec: Spec, one: Remedy) -> str:
    order: Order = one.order
    emitted = ", ".join(short_names(emit.event for emit in one.decision.emits))
    if isinstance(order, Answer):
        roles = meanings(spec, order.step)[order.event]
        means = ", ".join(MEANS[role].format(step=order.step) for role in roles if role in MEANS)
        return f"emits {emitted} in place of whoever should{f', {means}' if means else ''}"
    changes = list(one.decision.changes[1:]) or (["asked for once more"] if isinstance(order, Retry) else [])
    return "; ".join([*changes, *([f"emits {emitted}"] if emitted else [])]) or "nothing changes"


def _asked_with(project: Project) -> list[str]:
    """The options by which this command was told of other settings than it would find by itself; secrets masked."""
    config, words = project.config, []
    if config.file != find_file(Path.cwd()):
        words += ["--config", str(config.file)]
    if config.profile and config.profile != os.environ.get("CHOREO_PROFILE"):
        words += ["--profile", config.profile]
    told = [value for value in config.values if value.origin in SPELLING.values()]
    return words + [word for value in told for word in (value.origin, str(value.shown))]
