"""What keeps values from being an event, in words for the person at the console."""

from pydantic import ValidationError

from choreo.events.event import Event


def faults_of(event: type[Event], error: ValidationError) -> str:
    """`total: Field required; lines.0.sku: ...`: each fault with the path of its field, else the name of the event."""
    found = ((".".join(map(str, one["loc"])) or event.__name__, one["msg"]) for one in error.errors())
    return "; ".join(f"{path}: {told}" for path, told in found)
