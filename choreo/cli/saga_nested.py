"""The sagas that steps of an instance are: which they are, and how each stands."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from choreo.cli.project import Project
from choreo.cli.saga_rows import one_instance
from choreo.errors import ConfigError
from choreo.saga.instance import UNTOUCHED, Instance
from choreo.saga.nesting import nested_key
from choreo.saga.rules import Spec


class Nesting(NamedTuple):
    """A step, and the instance that it is."""

    step: str
    saga: str
    key: str


def nested_in(instance: Instance | None, spec: Spec | None) -> list[Nesting]:
    """The sagas that its steps have begun; nothing of an instance or spec that can't be read here."""
    if instance is None or spec is None or instance.forgotten:
        return []
    found = []
    for step in spec.steps:
        key = nested_key(spec, instance, step)
        if step.nested is not None and key is not None and instance.steps[step.name].state not in UNTOUCHED:
            found.append(Nesting(step.name, step.nested.saga, key))
    return found


def standing(project: Project, nested: Nesting) -> dict[str, Any]:
    """How a nested saga stands, by its lifecycle; status and explanation are None where it has not started."""
    told: dict[str, Any] = {"saga": nested.saga, "key": nested.key, "status": None, "explanation": None}
    try:
        row, _ = one_instance(project, nested.key, nested.saga)
    except ConfigError:
        return told  # neither it nor one whose key begins like this
    return told | {name: row[name] for name in ("status", "explanation") if row["key"] == nested.key}


def sentence(stands: Mapping[str, Any]) -> str:
    """`saga shipping S-1 is stuck: ...`, and where to read on."""
    name = f"saga {stands['saga']} {stands['key']}"
    if stands["status"] is None:
        return f"{name} has not started"
    return f"{name} is {stands['explanation']} (choreo sagas why {stands['key']} --saga {stands['saga']})"
