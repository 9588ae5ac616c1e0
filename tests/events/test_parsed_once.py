"""A schema is worked out once for a class: not for each record, nor for each codec, as a start of a worker makes it."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer

from choreo.events.codec import Codec, _way_to_read, _way_to_write
from choreo.events.envelope import Ids
from choreo.events.registry import MemoryRegistry
from choreo.events.source import Source
from choreo.record import Record
from tests.badinput.post import Parcel

RECORDS = 50


def write_and_read() -> None:
    """Fifty records by one codec."""
    codec = Codec(MemoryRegistry(), (Parcel,), "c1")
    for number in range(RECORDS):
        parcel = Parcel(number=f"{number}")
        made = codec.encode(parcel, Ids(b"1" * 16, "o1", at=7))
        assert codec.event(Record(made.topic, 0, number, 0, made.key, made.value, made.headers)) == parcel


@pytest.fixture(autouse=True)
def nothing_is_worked_out() -> Iterator[None]:
    """As in a process that has just begun; nor is anything left to others that was worked out in a strange way."""
    for way in (_way_to_read, _way_to_write):
        way.cache_clear()
    yield
    for way in (_way_to_read, _way_to_write):
        way.cache_clear()


def test_a_function_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty records written and read by each of two codecs: one function is made to write them, one to read them."""
    made: list[str] = []
    make = Source.function

    def making(source: Source, head: str, known: dict[str, Any], about: str) -> Any:
        made.append(about)
        return make(source, head, known, about)

    monkeypatch.setattr(Source, "function", making)
    write_and_read()
    write_and_read()
    assert made == ["writes an Avro body", "reads an Avro body"]


def test_a_schema_is_parsed_once_for_fastavro(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where fastavro writes and reads, fifty records need two parsed schemas, and fastavro is given the parsed ones."""
    parsed: list[Any] = []
    given: list[Any] = []

    def parsing(schema: Any, *rest: Any) -> Any:
        parsed.append(parse_schema(schema, *rest))
        return parsed[-1]

    def writing(body: Any, schema: Any, datum: Any) -> None:
        given.append(schema)
        schemaless_writer(body, schema, datum)

    def reading(body: Any, schema: Any, *rest: Any) -> Any:
        given.append(schema)
        return schemaless_reader(body, schema, *rest)

    for module in ("strict", "body_writer"):
        monkeypatch.setattr(f"choreo.events.{module}.parse_schema", parsing)
    monkeypatch.setattr("choreo.events.body_reader.generated_reader", lambda schema: None)
    monkeypatch.setattr("choreo.events.body_writer.generated_writer", lambda schema, shape, prefix: None)
    monkeypatch.setattr("choreo.events.body_writer.schemaless_writer", writing)
    monkeypatch.setattr("choreo.events.strict.schemaless_reader", reading)
    write_and_read()
    assert len(parsed) == 2
    assert len(given) == 2 * RECORDS
    assert all(any(schema is each for each in parsed) for schema in given)
