"""Like: an event of which only some fields matter to a test."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from choreo.errors import ConfigError
from choreo.events.event import Event


@dataclass(frozen=True)
class Like:
    """Fits any event of exactly this class whose fields have these values. Made by `like`."""

    event: type[Event]
    fields: tuple[tuple[str, object], ...] = ()

    def __str__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self.fields)
        return f"like({self.event.__name__}{', ' if given else ''}{given})"


Expected = Event | Like


def like(event: type[Event], /, **fields: object) -> Like:
    """An event of this class with these fields, whatever its others are.

    Raises ConfigError for what is no event class, and for a field that the class does not have.
    """
    given: object = event
    if not (isinstance(given, type) and issubclass(given, Event)):
        raise ConfigError(f"like({event!r}): that is no event class", hint="like(OrderPlaced, order_id='o1')")
    for name in fields:
        if name not in event.model_fields:
            near = get_close_matches(name, event.model_fields, 1)
            raise ConfigError(
                f"like({event.__name__}, {name}=...): {event.__name__} has no field {name}",
                why=f"its fields are {', '.join(event.model_fields) or 'none'}",
                hint=f"did you mean {near[0]}?" if near else None,
            )
    return Like(event, tuple(fields.items()))


def event_type(expected: Expected) -> type[Event]:
    """Of which class an expected event is."""
    return expected.event if isinstance(expected, Like) else type(expected)


def unlike(expected: Expected, event: Event) -> list[str]:
    """In what an event is not as expected, field by field; empty where it fits. Both are of one class."""
    wanted: Any = expected.fields if isinstance(expected, Like) else tuple(expected)
    return [
        f"{name} is {getattr(event, name)!r}, not {value!r}" for name, value in wanted if getattr(event, name) != value
    ]


def fits(expected: Expected, event: Event) -> bool:
    """Whether this is the expected event, or one of those."""
    if isinstance(expected, Like):
        return type(event) is expected.event and not unlike(expected, event)
    return type(event) is type(expected) and event == expected
