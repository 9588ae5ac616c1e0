"""A schema is worked out once for a codec: given as it is, fastavro would work it out again for each record."""

from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.registry import MemoryRegistry
from choreo.record import Record
from tests.badinput.post import Parcel

RECORDS = 50


def test_a_schema_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty records written and read: parsed once to write and once to read, and fastavro is given the parsed one."""
    parsed: list[Any] = []
    given: list[Any] = []

    def parsing(schema: Any) -> Any:
        parsed.append(parse_schema(schema))
        return parsed[-1]

    def writing(body: Any, schema: Any, datum: Any) -> None:
        given.append(schema)
        schemaless_writer(body, schema, datum)

    def reading(body: Any, schema: Any, *rest: Any) -> Any:
        given.append(schema)
        return schemaless_reader(body, schema, *rest)

    monkeypatch.setattr("choreo.events.codec.parse_schema", parsing)
    monkeypatch.setattr("choreo.events.codec.schemaless_writer", writing)
    monkeypatch.setattr("choreo.events.codec.schemaless_reader", reading)
    codec = Codec(MemoryRegistry(), (Parcel,), "c1")
    for number in range(RECORDS):
        made = codec.encode(Parcel(number=f"{number}"), Ids(b"1" * 16, "o1", at=7))
        codec.event(Record(made.topic, 0, number, 0, made.key, made.value, made.headers))
    assert len(parsed) == 2
    assert len(given) == 2 * RECORDS
    assert all(any(schema is each for each in parsed) for schema in given)
