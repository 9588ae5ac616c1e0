"""Which events are registered under what, and whether the registry has them before anybody writes."""

from collections.abc import Iterable

from choreo.errors import StartError
from choreo.events.avro import schema_of
from choreo.events.event import Event
from choreo.events.registry import Registry


def is_own(event: type[Event]) -> bool:
    """Whether the Avro schema of an event is for this project to register."""
    return event.contract.framed and not event.contract.external and not event.contract.abstract


def subject_of(registry: Registry, event: type[Event]) -> str:
    """What the schema of an event is registered under."""
    return registry.subject_of(event.contract.full_name, event.contract.topic)


def require_schemas(registry: Registry, events: Iterable[type[Event]]) -> None:
    """Raises StartError where a registry to which nobody adds by running lacks the schema of one of these events."""
    if registry.adds:
        return
    missing = sorted(
        subject_of(registry, event)
        for event in set(events)
        if is_own(event) and registry.find(subject_of(registry, event), schema_of(event)) is None
    )
    if missing:
        raise StartError(
            f"the schemas of {len(missing)} events are not registered: {', '.join(missing)}",
            at=registry,
            why="outside of development nobody registers a schema by running",
            hint="choreo schemas register, or [registry] auto_register = true for development",
        )
