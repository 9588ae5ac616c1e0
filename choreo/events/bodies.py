"""Bodies of records whose classes are not loaded: the registry knows the schemas that they were written with."""

from typing import Any

from choreo.errors import DecodeError
from choreo.events.registry import Registry
from choreo.events.strict import Reader
from choreo.record import Record

MAGIC, FRAME = 0, 5


class Bodies:
    """Bodies of records as plain values, by the schema that they were written with."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._schemas: dict[int, Any] = {}
        self._readers: dict[int, Reader] = {}

    def read(self, record: Record) -> dict[str, Any]:
        """The fields of a record's body. Raises DecodeError."""
        value = record.value
        if value is None or len(value) < FRAME or value[0] != MAGIC:
            raise DecodeError("the body is not in Confluent's framing", at=record.position)
        schema_id = int.from_bytes(value[1:FRAME], "big")
        schema = self.schema(record)
        try:
            if schema_id not in self._readers:
                self._readers[schema_id] = Reader(schema)
            body: dict[str, Any] = self._readers[schema_id].body(value, FRAME)
        except Exception as error:
            raise DecodeError(f"the body does not fit schema {schema_id}: {error}", at=record.position) from error
        return body

    def schema(self, record: Record) -> Any:
        """The schema that a record in the frame was written with. Raises UnknownSchemaError."""
        schema_id = int.from_bytes((record.value or b"")[1:FRAME], "big")
        if schema_id not in self._schemas:
            self._schemas[schema_id] = self._registry.schema(schema_id)
        return self._schemas[schema_id]

    def name(self, record: Record) -> str:
        """The full name of a record's event; raises UnknownSchemaError and DecodeError."""
        self.read(record)
        schema = self._schemas[int.from_bytes((record.value or b"")[1:FRAME], "big")]
        return str(schema["name"] if "." in schema["name"] else f"{schema.get('namespace', '')}.{schema['name']}")
