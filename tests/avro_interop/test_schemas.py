"""Schemas of Avro's own tests: canonical forms, fingerprints, types in other files, and classes for them."""

import json
import sys
from types import ModuleType
from typing import Any

import pytest

from choreo.errors import DecodeError, SchemaError
from choreo.events.avro import schema_of
from choreo.events.codec import Codec
from choreo.events.event import Event, EventType
from choreo.events.importing import Place, event_source
from choreo.events.registry import MemoryRegistry
from choreo.events.schema import canonical_form, fingerprint
from choreo.events.schema_files import record_in, schema_in
from choreo.record import Record
from choreo.types import Avro
from tests.avro_interop.vectors import avro_directory


def cases() -> list[tuple[str, str]]:
    """The words of schema-tests.txt with their texts: `<<WORD text`, or lines between `<<WORD` and `WORD`."""
    lines = iter((avro_directory() / "apache-avro-share-test" / "data" / "schema-tests.txt").read_text().splitlines())
    found = []
    for line in lines:
        if line.startswith("<<"):
            word, _, text = line[2:].partition(" ")
            found.append((word, text or "\n".join(iter(lambda: next(lines), word))))
    return found


def test_canonical_forms_and_fingerprints_are_those_of_avro() -> None:
    """Each schema has the canonical form and the CRC-64 fingerprint that every implementation gives it."""
    schema: Any = None
    compared = 0
    for word, text in cases():
        if word == "INPUT":
            schema = json.loads(text)
        elif word == "canonical":
            assert canonical_form(schema) == text
            compared += 1
        else:
            assert int.from_bytes(fingerprint(schema), "little", signed=True) == int(text)
            compared += 1
    assert compared == 60


def test_a_fingerprint_stands_in_a_single_object() -> None:
    """Java's single-object message carries the fingerprint that we give its schema."""
    place = avro_directory() / "apache-avro-share-test" / "data" / "messageV1"
    message = (place / "test_message.bin").read_bytes()
    assert message[:2] == b"\xc3\x01"
    assert message[2:10] == fingerprint(json.loads((place / "test_schema.avsc").read_text()))


def test_a_single_object_of_java_is_read() -> None:
    """Java's message is an event of a class whose wire knows its schema, as the first or as an older one."""
    place = avro_directory() / "apache-avro-share-test" / "data" / "messageV1"
    older = json.loads((place / "test_schema.avsc").read_text())
    newer = older | {"fields": [*older["fields"], {"name": "score", "type": "double", "default": 0.5}]}
    record = Record("t", 0, 0, 0, None, (place / "test_message.bin").read_bytes())
    for wire in (Avro(older), Avro(place / "test_schema.avsc"), Avro(newer, older)):

        class TestMessage(Event, namespace="org.apache.avro", topic="t", external=True, wire=wire):
            id: int
            name: str
            tags: tuple[str, ...]
            score: float = 1.5

        expected = TestMessage(id=42, name="Bill", tags=("dog_lover", "cat_hater"))
        assert Codec(MemoryRegistry(), [TestMessage], "c").event(record) == expected

    class Unknown(Event, namespace="org.apache.avro", topic="t", external=True, wire=Avro(newer)):
        id: int

    with pytest.raises(DecodeError) as caught:
        Codec(MemoryRegistry(), [Unknown], "c").event(record)
    assert f"single object (C3 01) by a schema with the fingerprint {fingerprint(older).hex()}" in (
        caught.value.why or ""
    )


WHOLE = [
    f"load_schema_test{n}/A.avsc" for n in ("", *(f"_{n}" for n in (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)))
]


@pytest.mark.parametrize("file", [*WHOLE, "load_schema_test_16/namespace.match.avsc"])
def test_types_in_other_files_are_found(file: str) -> None:
    """A schema whose types lie in files beside it is read whole: no name is left that nobody defines."""
    schema_in(avro_directory() / "fastavro-load_schema_test" / file)


def test_a_type_that_nobody_defines_is_said() -> None:
    """A schema that names a type which is nowhere is refused by that name."""
    with pytest.raises(SchemaError, match="no valid Avro schema") as caught:
        schema_in(avro_directory() / "fastavro-avro-files" / "ParentMissingChild.avsc")
    assert "Missing" in (caught.value.why or "")


def test_every_record_becomes_a_class_with_its_schema() -> None:
    """`choreo schemas import` writes a module for each record of the material, whose class has the same canonical form.

    None of them is refused.
    """
    made = 0
    for path in sorted(path for path in avro_directory().rglob("*") if path.suffix in (".avsc", ".avro")):
        try:
            schema = record_in(path)
        except SchemaError:
            continue
        module = ModuleType(f"interop_{made}")
        sys.modules[module.__name__] = module
        try:
            exec(compile(event_source(schema, Place("t")), str(path), "exec"), module.__dict__)
            (event,) = [
                kind
                for kind in vars(module).values()
                if isinstance(kind, EventType) and issubclass(kind, Event) and kind.__module__ == module.__name__
            ]
            assert canonical_form(schema_of(event)) == canonical_form(schema), path
        finally:
            del sys.modules[module.__name__]
        made += 1
    assert made >= 80
