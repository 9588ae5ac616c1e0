"""The project's events as a schema registry sees them: which are ours, under which subject, what a REFERENCE names."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreo.cli.assembly import assemble
from choreo.cli.project import Project
from choreo.cli.targets import Finder
from choreo.errors import ConfigError, SchemaError
from choreo.events.avro import schema_of
from choreo.events.contracts import compatibility
from choreo.events.event import Event
from choreo.events.registered import is_own, subject_of
from choreo.events.registry import Registry
from choreo.events.schema import normalised
from choreo.events.schema_files import schema_in
from choreo.runtime.plan import Plan

FILES = (".avsc", ".avro")


@dataclass(frozen=True)
class Named:
    """A schema and what it was called."""

    name: str
    schema: dict[str, Any]


def own_events(project: Project, targets: Sequence[str]) -> list[type[Event]]:
    """The Avro events that these targets own, those that saga coordinators write among them, by name."""
    finder = Finder(project.config, Path.cwd())
    found = finder.find(targets)
    events = [*finder.catalogue().values(), *found.events]
    if found.services or found.specs:
        events += [event for service in assemble(project, targets).services for event in service.emitted]
    return sorted({event for event in events if is_own(event)}, key=lambda event: event.contract.full_name)


def breaks(registry: Registry, event: type[Event]) -> Iterator[str]:
    """Why readers of today could not read what was written under an older version (BACKWARD_TRANSITIVE)."""
    schema, subject = schema_of(event), subject_of(registry, event)
    for entry in registry.entries(subject):
        older = registry.schema(entry.schema_id)
        if normalised(older).get("name") != event.contract.full_name:
            continue  # subjects by topic hold the events of a whole topic
        which = f"version {entry.version}" if entry.version else f"id {entry.schema_id}"
        yield from (f"{subject} {which}: {problem}" for problem in compatibility(older, schema))


def require_readable(registry: Registry, plans: Iterable[Plan]) -> None:
    """Raises SchemaError where an event of these, as its class is now, can't be read from what was written before."""
    services = [plan.service for plan in plans]
    events = {event for service in services for event in (*service.emitted, *service.handled) if is_own(event)}
    for event in sorted(events, key=lambda event: event.contract.full_name):
        problems = list(breaks(registry, event))
        if problems:
            raise SchemaError(
                f"{event.__name__} can't read the {event.__name__} that was written before",
                at=_place(event),
                why="; ".join(problems),
                hint="a default for a new field, an alias for a renamed one; or a new class for a new meaning",
            )


def named_schema(project: Project, reference: str) -> Named:
    """The schema that a REFERENCE names: an id, SUBJECT[@VERSION], a file, or module:Class.

    Raises ConfigError, UnknownSchemaError, SchemaError.
    """
    if reference.isdecimal():
        return Named(f"id {reference}", project.registry.schema(int(reference)))
    if reference.endswith(FILES):
        return Named(reference, schema_in(Path(reference)))
    if ":" in reference:
        return Named(reference, schema_of(Finder(project.config, Path.cwd()).event(reference)))
    return _registered(project, reference)


def _registered(project: Project, reference: str) -> Named:
    subject, _, version = reference.partition("@")
    entries = list(project.registry.entries(subject))
    if not entries:
        hint = "choreo schemas list; FILE.avsc, module:Class or an id name others"
        raise ConfigError(f"no schema is registered under {subject}", at=project.config.registry_url(), hint=hint)
    counted = entries[-1].version is not None
    chosen = [entry for entry in entries if str(entry.version) == version] if version else entries[-1:]
    if not chosen or (not counted and len(entries) > 1):
        known = ", ".join(f"{subject}@{e.version}" if counted else str(e.schema_id) for e in entries)
        raise ConfigError(f"{reference} names no single schema", hint=f"one of {known}")
    name = f"{subject}@{chosen[0].version}" if counted else subject
    return Named(name, project.registry.schema(chosen[0].schema_id))


def _place(event: type[Event]) -> str:
    """file:line:column of the class."""
    try:
        lines, number = inspect.getsourcelines(event)
    except (OSError, TypeError):
        return f"{event.__module__}.{event.__qualname__}"
    first = next((n for n, line in enumerate(lines) if line.lstrip().startswith("class ")), 0)
    column = len(lines[first]) - len(lines[first].lstrip()) + 1
    return f"{inspect.getsourcefile(event)}:{number + first}:{column}"


def _is_own(event: type[Event]) -> bool:
    return event.contract.framed and not event.contract.external and not event.contract.abstract
