"""Bodies that every Avro decoder must reject are dead letters, wherever in an event they stand."""

import json
from enum import Enum
from typing import Any

import pytest

from choreo.errors import DecodeError
from choreo.events.avro import schema_of
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.events.registry import MemoryRegistry
from choreo.record import Record
from choreo.types import Int32
from tests.avro_interop.vectors import avro_directory


class E(Enum):
    A = "A"
    B = "B"


KINDS: dict[str, Any] = {
    '"long"': int,
    '"int"': Int32,
    '{"type":"array","items":"int"}': tuple[Int32, ...],
    '"bytes"': bytes,
    '"string"': str,
    '["null","int"]': Int32 | None,
    '{"type":"enum","name":"E","symbols":["A","B"]}': E,
}
"""What holds each of the vectors' schemas."""
NAMES = (
    "long_varint_non_terminating",
    "int_varint_non_terminating",
    "array_block_count_int64_min",
    "bytes_length_negative",
    "string_length_negative",
    "union_branch_index_negative",
    "union_branch_index_too_large",
    "enum_index_negative",
    "enum_index_too_large",
)


def reads(kind: Any, body: bytes) -> Event:
    """The event whose only field is of this kind."""

    class Probe(Event, namespace="n", topic="t"):
        x: kind

    registry = MemoryRegistry()
    frame = b"\0" + registry.register("n.Probe", schema_of(Probe)).to_bytes(4, "big")
    return Codec(registry, [Probe], "c").event(Record("t", 0, 0, 0, None, frame + body, ()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("after", [0, 1, 2, 7, 40])
def test_a_malformed_body_is_no_event(name: str, after: int) -> None:
    """Each of the vectors is rejected, alone and with bytes behind it that a careless reader would take for its end."""
    (vector,) = [
        v for v in json.loads((avro_directory() / "binary-rejections.json").read_text())["vectors"] if v["name"] == name
    ]
    with pytest.raises(DecodeError):
        reads(KINDS[vector["schema"]], bytes.fromhex(vector["bytesHex"]) + bytes(after))


def test_no_vector_is_left_out() -> None:
    """Every vector of the file is tried."""
    vectors = json.loads((avro_directory() / "binary-rejections.json").read_text())["vectors"]
    assert [vector["name"] for vector in vectors] == list(NAMES)


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        (str, "ж" * 30, None),
        (tuple[Int32, ...], b"\x03\x04\x02\x04\x00", (1, 2)),
        (int, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", -(2**63)),
        (int, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 0),
        (Int32, b"\xff\xff\xff\xff\x0f", -(2**31)),
        (E | None, b"\x02\x02", E.B),
    ],
)
def test_what_only_looks_malformed_is_read(kind: Any, body: Any, value: Any) -> None:
    """Long texts without ASCII, sized blocks, the least numbers and padded ones are as Avro allows them."""
    if isinstance(body, str):
        value, encoded = body, body.encode()
        body = bytes([len(encoded) << 1 & 0x7F]) + encoded if len(encoded) < 64 else b"\x78" + encoded[:60]
        value = body[1:].decode()
    assert reads(kind, body).model_dump()["x"] == value
