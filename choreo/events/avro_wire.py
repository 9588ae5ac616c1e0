"""The wire of Avro bodies without a frame: both sides know the schema beforehand."""

import json
from collections.abc import Mapping
from copy import copy
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Self

from fastavro import parse_schema, schemaless_writer
from pydantic import BaseModel

from choreo.errors import EventError
from choreo.events.avro import shape_of
from choreo.events.datums import Convert
from choreo.events.resolution import Resolution, resolve
from choreo.events.schema import normalised
from choreo.events.strict import Reader
from choreo.events.wire import FieldWire, Written


class _Bound(NamedTuple):
    """How the bodies of one class are read and written; worked out once."""

    schema: Any
    reader: Reader
    to_datum: Convert
    from_datum: Convert | None


class Avro(FieldWire):
    """A plain Avro body: no magic byte, no schema id. Bodies in the Confluent frame need no wire.

    `schema` is that of the sender: a dict, JSON text, or the Path of an .avsc file; without it, that of the class.
    """

    content_type = "application/avro"

    def __init__(
        self,
        schema: Mapping[str, Any] | str | Path | None = None,
        *,
        event_id: str | None = None,
        timestamp: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(event_id=event_id, timestamp=timestamp, key=key, headers=headers)
        self._schema = schema
        self._bound: _Bound | None = None

    def bound_to(self, cls: type[BaseModel]) -> Self:
        super().bound_to(cls)
        shape = shape_of(cls)
        body = [field for field in shape.avro["fields"] if field["name"] not in self.beside]
        wanted = shape.avro | {"fields": body}
        try:
            resolution = None if self._schema is None else _resolution(_loaded(self._schema), wanted)
            schema = wanted if resolution is None else resolution.schema
            parsed, reader = parse_schema(schema), Reader(schema, tells_records=True)
        except Exception as error:  # whatever a file, JSON or fastavro can say
            raise EventError(f"{cls.__name__}: its Avro schema can't be used", why=str(error)) from error
        if resolution is not None and resolution.problems:
            raise EventError(
                f"{cls.__name__} can't read what its Avro schema writes",
                why="; ".join(resolution.problems),
                hint="give it the names and types of the schema",
            )
        bound = copy(self)
        bound._bound = _Bound(parsed, reader, shape.to_datum or dict, shape.from_datum)
        return bound

    def decode(self, value: bytes) -> Mapping[str, Any] | None:
        bound = self._plan()
        datum: Any = bound.reader.body(value)
        if bound.from_datum is not None:
            datum = bound.from_datum(datum)
        return datum  # type: ignore[no-any-return]  # a record's datum is a dict

    def encode(self, body: Mapping[str, Any]) -> bytes:
        raise NotImplementedError("an Avro body is written from an event, not from JSON values")

    def write(self, event: BaseModel) -> Written:
        bound, body = self._plan(), BytesIO()
        schemaless_writer(body, bound.schema, bound.to_datum(event))
        said = event.model_dump(mode="json", by_alias=True) if self.headers else {}
        return Written(body.getvalue(), self.headers_of(said))

    def _plan(self) -> _Bound:
        if self._bound is None:
            raise ValueError("this wire is bound to no class")
        return self._bound


def _resolution(sent: dict[str, Any], wanted: dict[str, Any]) -> Resolution:
    """How the class reads the schema that it was given, whatever its sender calls the record."""
    called = normalised(sent)["name"]
    return resolve(sent, wanted | {"aliases": [*wanted.get("aliases", ()), called]})


def _loaded(schema: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    if isinstance(schema, Path):
        schema = schema.read_text(encoding="utf-8")
    loaded = json.loads(schema) if isinstance(schema, str) else dict(schema)
    if not isinstance(loaded, dict) or loaded.get("type") != "record":
        raise ValueError("an event is an Avro record")
    return loaded
