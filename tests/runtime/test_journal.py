"""The journal's bytes: a format that persists, whatever way they are made."""

from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader

from choreo.log.interface import MAX_RECORD_BYTES
from choreo.runtime.calls import Recorded
from choreo.runtime.journal import MAX_PART_BYTES, SCHEMA, Answered, Fired, Inputs, Page, Reading, Refused, Step

STEPS: list[Step] = [
    Reading(1_772_452_800_000_000),
    Inputs(1, 7, 300, 12),
    Recorded("quote", 2, True, b"no"),
    Fired(b"\x01timer", -5),
    Answered(b"key", "quote", 1, False, b"3"),
    Refused("too large: \N{SNOWMAN}"),
]
KINDS = ["Reading", "Inputs", "Called", "Fired", "Answered", "Refused"]


def test_a_page_is_its_schema_in_avro() -> None:
    """After the version byte a page is one Avro body of SCHEMA, as any reader of Avro reads it, to its last byte; its
    steps are in their order, and what stays the same from page to page is that of this page.
    """
    for build, specs, epoch, topics in [("b1", ("d1", "d2"), 3, ("a", "b")), ("b2", (), -4, ("a",)), ("b1", (), 3, ())]:
        (record,) = Page(build, specs, epoch, 17, topics, STEPS).records("choreo.x.journal", 5)
        assert (record.topic, record.key, record.headers, record.partition) == ("choreo.x.journal", None, (), 5)
        assert record.value is not None
        assert record.value[:1] == b"\x01"
        body = BytesIO(record.value[1:])
        read: Any = schemaless_reader(body, parse_schema(SCHEMA), None, return_record_name=True)
        assert body.read() == b""
        steps = read.pop("steps")
        assert read == {
            "build": build,
            "specs": [*specs],
            "epoch": epoch,
            "checkpoint": 17,
            "part": 0,
            "parts": 1,
            "topics": [*topics],
        }
        expected = [(f"choreo.{kind}", step._asdict()) for kind, step in zip(KINDS, STEPS, strict=True)]
        assert steps == expected


def test_a_large_page_is_in_parts() -> None:
    """Each part says which it is, and of how many; none is larger than a log takes."""
    large = [Recorded("page", number, False, bytes(MAX_PART_BYTES - 64)) for number in range(3)]
    records = Page("b", ("d",), 0, 1, ("a",), [*large]).records("choreo.x.journal", 0)
    assert max(len(record.value or b"") for record in records) < MAX_RECORD_BYTES
    parts: list[Any] = [
        schemaless_reader(BytesIO((record.value or b"")[1:]), parse_schema(SCHEMA), None) for record in records
    ]
    assert [(part["part"], part["parts"], len(part["steps"])) for part in parts] == [(0, 3, 1), (1, 3, 1), (2, 3, 1)]
    assert {(part["build"], part["checkpoint"]) for part in parts} == {("b", 1)}
