"""Bodies that every Avro decoder must reject are dead letters, wherever in an event they stand."""

import json
import tracemalloc
from collections.abc import Callable
from enum import Enum
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypeAlias

import pytest
from fastavro import schemaless_writer

from choreo.cli.records import Bodies
from choreo.errors import DecodeError, SchemaError
from choreo.events.avro import schema_of
from choreo.events.codec import Codec
from choreo.events.container import MAGIC, open_container
from choreo.events.event import Event, EventType
from choreo.events.registry import MemoryRegistry
from choreo.events.strict import Reader
from choreo.record import Record
from choreo.types import Avro, Fixed, Int32
from tests.avro_interop.vectors import avro_directory


class E(Enum):
    A = "A"
    B = "B"


NOTHING = {"type": "record", "name": "Nothing", "fields": [{"name": "a", "type": "null"}]}


def long(number: int) -> bytes:
    """A number as Avro writes it."""
    out = BytesIO()
    schemaless_writer(out, "long", number)
    return out.getvalue()


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


Road: TypeAlias = Callable[[type[Event], bytes], Any]


def by_frame(cls: type[Event], body: bytes) -> Any:
    """An event in the Confluent frame."""
    registry = MemoryRegistry()
    frame = b"\0" + registry.register("n.Probe", schema_of(cls)).to_bytes(4, "big")
    return Codec(registry, [cls], "c").event(Record("t", 0, 0, 0, None, frame + body, ())).model_dump()["x"]


def by_wire(cls: type[Event], body: bytes) -> Any:
    """An event of another system, without a frame."""
    kind = cls.model_fields["x"].rebuild_annotation()
    fields = {"__annotations__": {"x": kind}, "__module__": __name__}
    plain: Any = EventType("Probe", (Event,), fields, namespace="n", topic="t", external=True, wire=Avro())
    return Codec(MemoryRegistry(), [plain], "c").event(Record("t", 0, 0, 0, None, body, ())).model_dump()["x"]


def by_listing(cls: type[Event], body: bytes) -> Any:
    """A record in a listing of the command line, which knows no class."""
    registry = MemoryRegistry()
    frame = b"\0" + registry.register("n.Probe", schema_of(cls)).to_bytes(4, "big")
    return Bodies(registry).read(Record("t", 0, 0, 0, None, frame + body, ()))["x"]


def by_file(cls: type[Event], body: bytes) -> Any:
    """A row of a container file."""
    head = BytesIO()
    schemaless_writer(head, {"type": "map", "values": "bytes"}, {"avro.schema": json.dumps(schema_of(cls)).encode()})
    block = BytesIO()
    schemaless_writer(block, "long", 1)
    schemaless_writer(block, "bytes", body)
    with TemporaryDirectory() as directory:
        file = Path(directory, "probe.avro")
        file.write_bytes(MAGIC + head.getvalue() + bytes(16) + block.getvalue() + bytes(16))
        (row,) = open_container(file).rows()
    return row["x"]


ROADS = (by_frame, by_wire, by_listing, by_file)


def probe(kind: Any) -> type[Event]:
    """An event whose only field is of this kind."""
    body = {"__annotations__": {"x": kind}, "__module__": __name__}
    cls: type[Event] = EventType("Probe", (Event,), body, namespace="n", topic="t")
    return cls


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("after", [0, 1, 2, 7, 40])
@pytest.mark.parametrize("road", ROADS)
def test_a_malformed_body_is_no_event(name: str, after: int, road: Road) -> None:
    """Each of the vectors is rejected, alone and with bytes behind it that a careless reader would take for its end."""
    (vector,) = [
        v for v in json.loads((avro_directory() / "binary-rejections.json").read_text())["vectors"] if v["name"] == name
    ]
    with pytest.raises((DecodeError, SchemaError)):
        road(probe(KINDS[vector["schema"]]), bytes.fromhex(vector["bytesHex"]) + bytes(after))


@pytest.mark.parametrize("index", [-1, -2, -3, -64, -65, -66, -67, -(2**31), 2, 3, 64, 2**31 - 1])
@pytest.mark.parametrize("kind", [E, E | None, Int32 | None, Int32 | str | None])
@pytest.mark.parametrize("road", ROADS)
def test_an_index_that_is_not_there_is_never_read(index: int, kind: Any, road: Road) -> None:
    """However many bytes an index takes, what counts from the end of the symbols or branches is not there."""
    index = max(index, 3) if index > 0 else index
    for after in (0, 1, 2, 70):
        with pytest.raises((DecodeError, SchemaError)):
            road(probe(kind), long(index) + bytes(after))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (str, b"\x02\xff"),  # no UTF-8
        (str, b"\x04a"),  # cut short
        (str, long(2**62) + b"a"),
        (bytes, long(2**62) + b"a"),
        (bytes, long(-(2**62)) + b"a"),
        (str, b"\x02aa"),  # goes on
        (tuple[Int32, ...], long(2**62) + b"\x02"),
        (tuple[Int32, ...], long(-5) + b"\x02\x02"),
        (dict[str, Int32], long(2**62) + b"\x02a\x02"),
        (Int32, b"\xff\xff\xff\xff\x1f"),  # 33 bits
        (int, b"\xff" * 9 + b"\x03"),  # 65 bits
        (tuple[int, ...], b"\xff" * 9 + b"\x01\x02\x02\x00"),
        (E, b"\x80\x80\x80\x80\x80\x00"),
        (float, bytes(7)),
        (float, bytes(9)),
        (bool, b""),
        (Annotated[bytes, Fixed(4)], bytes(3)),
    ],
)
@pytest.mark.parametrize("road", ROADS)
def test_garbage_is_refused_at_once(kind: Any, body: bytes, road: Road) -> None:
    """Texts that are none, lengths beyond the body, numbers of too many bits: refused, and without filling memory."""
    tracemalloc.start()
    try:
        with pytest.raises((DecodeError, SchemaError)):
            road(probe(kind), body)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("items", ["null", {"type": "fixed", "name": "F", "size": 0}, NOTHING])
@pytest.mark.parametrize("count", [2**62, -(2**62)])
def test_items_without_bytes_do_not_fill_the_memory(items: Any, count: int) -> None:
    """Ten bytes that promise as many empty items as they can count are refused; some thousands are read."""
    schema = {"type": "record", "name": "A", "fields": [{"name": "x", "type": {"type": "array", "items": items}}]}
    size = long(8) if count < 0 else b""
    with pytest.raises(ValueError, match="items that take no bytes"):
        Reader(schema).body(long(count) + size + b"\x00")
    assert len(Reader(schema).body(long(5000) + b"\x00")["x"]) == 5000


def test_rows_without_bytes_do_not_fill_the_memory() -> None:
    """A block that promises 2**62 rows of a type that takes no bytes is refused."""
    with pytest.raises(ValueError, match="bodies in 0 bytes"):
        Reader("null").some(BytesIO(), 2**62)
    assert Reader("null").some(BytesIO(), 3) == [None] * 3


@pytest.mark.parametrize("schema", ["int", ["null", "long"], {"type": "enum", "name": "E", "symbols": ["A"]}])
def test_schemas_of_no_record_are_read_strictly(schema: Any) -> None:
    """Rows need not be records: a type by itself is read, and its malformed bodies are refused."""
    reader = Reader(schema)
    assert reader.body(b"\x00") in (0, None, "A")
    for body in (b"\x80" * 11 + b"\x00", b"", b"\x00\x00"):
        with pytest.raises((ValueError, EOFError, IndexError)):
            reader.body(body)
    with pytest.raises((ValueError, EOFError, IndexError)):
        Reader(["null", "long"]).body(b"\x81\x01")


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
    for road in (by_frame, by_wire):
        assert road(probe(kind), body) == value
