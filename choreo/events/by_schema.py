"""Events whose class nobody has here: read, changed and written by the schema that their bodies name."""

import sys
from types import ModuleType
from typing import Any

from choreo.errors import PublishError
from choreo.events.avro import shape_of
from choreo.events.bodies import FRAME
from choreo.events.body_writer import writer_of
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.events.importing import Place, event_source
from choreo.events.registry import Registry
from choreo.record import Record


class BySchema:
    """Makes a class for each schema, as `choreo schemas import` would, and keeps to the schema when it writes.

    What validators of the event's own class would refuse is taken.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._classes: dict[tuple[int, str], type[Event]] = {}

    def event(self, record: Record) -> Event:
        """The event of a record in the frame. Raises DecodeError, UnknownSchemaError, and SchemaError for a schema that
        no class can say.
        """
        cls = self._class(record)
        return Codec(self._registry, [cls], "").event(record)

    def value(self, event: Event, record: Record) -> bytes:
        """The value of a record that says this, made from what `event` gave for `record`: of the same schema.

        Raises PublishError where that schema can't say it.
        """
        shape, frame = shape_of(type(event)), (record.value or b"")[:FRAME]
        try:
            value = writer_of(shape.avro, shape, frame)(event)
            same = self.event(record._replace(value=value)) == event
        except Exception as error:  # whatever a writer raises
            raise PublishError(f"its schema can't say this: {error}", at=record.position) from error
        if not same:
            raise PublishError("its schema says something else of this", at=record.position)
        return value

    def _class(self, record: Record) -> type[Event]:
        schema_id = int.from_bytes((record.value or b"")[1:FRAME], "big")
        known = schema_id, record.topic
        if known not in self._classes:
            self._classes[known] = _made(event_source(self._registry.schema(schema_id), Place(record.topic)))
        return self._classes[known]


def _made(source: str) -> type[Event]:
    """The event class in the text of a module."""
    module = ModuleType(f"choreo_schema_{len(sys.modules)}")
    sys.modules[module.__name__] = module  # a value within itself is looked up there
    # No text of the schema stands in it but as a literal or as a name that Avro allows: `event_source` sees to that.
    exec(compile(source, f"<{module.__name__}>", "exec"), module.__dict__)
    here: list[Any] = [thing for thing in vars(module).values() if getattr(thing, "__module__", "") == module.__name__]
    found: type[Event] = next(thing for thing in here if issubclass(thing, Event))
    return found
