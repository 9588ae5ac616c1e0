"""The wire of Avro bodies without a frame: both sides know the schema beforehand."""

import json
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import BaseModel

from choreo.errors import EventError
from choreo.events.avro import shape_of
from choreo.events.body_reader import ReadBody, reader_of
from choreo.events.body_writer import WriteBody, writer_of
from choreo.events.datums import Convert
from choreo.events.resolution import Resolution, resolve, whole
from choreo.events.schema import fingerprint, normalised
from choreo.events.wire import FieldWire, Written

_SINGLE_OBJECT, _HEAD = b"\xc3\x01", 10
"""How a single object begins, and where its body does: then comes the fingerprint (Avro specification)."""


class _Bound(NamedTuple):
    """How the bodies of one class are read and written; worked out once."""

    read: ReadBody
    by_fingerprint: Mapping[bytes, ReadBody]
    write: WriteBody
    from_datum: Convert | None


class Avro(FieldWire):
    """A plain Avro body: no magic byte, no schema id. Bodies in the Confluent frame need no wire.

    `schema` is that of the sender: a dict, JSON text, or the Path of an .avsc file; without it, that of the class.
    A body in the single-object encoding is read by that of these and `others` whose fingerprint it names; written are
    bodies without it.
    """

    content_type = "application/avro"

    def __init__(
        self,
        schema: Mapping[str, Any] | str | Path | None = None,
        *others: Mapping[str, Any] | str | Path,
        event_id: str | None = None,
        timestamp: str | None = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(event_id=event_id, timestamp=timestamp, key=key, headers=headers)
        self._schema, self._others = schema, others
        self._bound: _Bound | None = None

    def bound_to(self, cls: type[BaseModel]) -> Self:
        super().bound_to(cls)
        shape = shape_of(cls)
        body = [field for field in shape.avro["fields"] if field["name"] not in self.beside]
        wanted = shape.avro | {"fields": body}
        try:
            own = wanted if self._schema is None else _loaded(self._schema)
            sent = [own, *map(_loaded, self._others)]
            plans = [Resolution(wanted, ()) if one is wanted else _resolution(one, wanted) for one in sent]
            readers = [reader_of(whole(plan.schema)) for plan in plans]
            known = dict(zip(map(fingerprint, sent), readers, strict=True))
            write = writer_of(plans[0].schema, shape)
        except Exception as error:  # whatever a file, JSON or fastavro can say
            raise EventError(f"{cls.__name__}: its Avro schema can't be used", why=str(error)) from error
        if problems := [problem for plan in plans for problem in plan.problems]:
            raise EventError(
                f"{cls.__name__} can't read what its Avro schema writes",
                why="; ".join(problems),
                hint="give it the names and types of the schema",
            )
        bound = copy(self)
        bound._bound = _Bound(readers[0], known, write, shape.from_datum)
        return bound

    def decode(self, value: bytes) -> Mapping[str, Any] | None:
        bound = self._plan()
        datum = _single_object(bound, value) if value.startswith(_SINGLE_OBJECT) else bound.read(value, 0)
        if bound.from_datum is not None:
            datum = bound.from_datum(datum)
        return datum  # type: ignore[no-any-return]  # a record's datum is a dict

    def encode(self, body: Mapping[str, Any]) -> bytes:
        raise NotImplementedError("an Avro body is written from an event, not from JSON values")

    def write(self, event: BaseModel) -> Written:
        body = self._plan().write(event)
        said = event.model_dump(mode="json", by_alias=True) if self.headers else {}
        return Written(body, self.headers_of(said))

    def _plan(self) -> _Bound:
        if self._bound is None:
            raise ValueError("this wire is bound to no class")
        return self._bound


def _single_object(bound: _Bound, value: bytes) -> Any:
    """The datum of a body that begins as a single object, by the schema that it names; a plain one may begin so too."""
    name = value[len(_SINGLE_OBJECT) : _HEAD]
    if (read := bound.by_fingerprint.get(name)) is not None:
        return read(value, _HEAD)
    try:
        return bound.read(value, 0)
    except Exception as error:
        raise ValueError(
            f"it begins as an Avro single object (C3 01) by a schema with the fingerprint {name.hex()}, "
            "which no schema of wire=Avro(...) has"
        ) from error


def _resolution(sent: dict[str, Any], wanted: dict[str, Any]) -> Resolution:
    """How the class reads a schema that it was given, whatever its sender calls the record."""
    called = normalised(sent)["name"]
    return resolve(sent, wanted | {"aliases": [*wanted.get("aliases", ()), called]})


def _loaded(schema: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    if isinstance(schema, Path):
        schema = schema.read_text(encoding="utf-8")
    loaded = json.loads(schema) if isinstance(schema, str) else dict(schema)
    if not isinstance(loaded, dict) or loaded.get("type") != "record":
        raise ValueError("an event is an Avro record")
    return loaded
