"""Bodies read by generated Python: what fastavro reads, only what is asked for, and nothing that is malformed."""

import json
import tracemalloc
from copy import deepcopy
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.events.body_reader import ReadBody, fastavro_reader, generated_reader, reader_of
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.registry import MemoryRegistry
from choreo.events.resolution import UNASKED, resolve
from choreo.events.source import MOST_LOOPS, MOST_RECORDS
from tests.avro_interop.vectors import avro_directory
from tests.events.bodies import Bodies, asked_in_part, read, written
from tests.events.sample import OrderPlaced, kept
from tests.events.test_codec import placed

randoms = st.integers(0, 2**32).map(Random)
VECTORS = json.loads((avro_directory() / "binary-rejections.json").read_text())["vectors"]
NUMBERS = count()
HUGE = b"\xfe\xff\xff\xff\x0f"
"""The number 2**31 - 1: of items, of bytes."""


def generated(schema: Any) -> ReadBody:
    """The generated reader; there has to be one."""
    made = generated_reader(schema)
    assert made is not None
    return made


def record(*types: Any) -> dict[str, Any]:
    """A record with fields a, b ... of these types."""
    fields = [{"name": chr(97 + number), "type": deepcopy(kind)} for number, kind in enumerate(types)]
    return {"type": "record", "name": f"R{next(NUMBERS)}", "fields": fields}


def skipping(schema: Any) -> dict[str, Any]:
    """A record in which a value is not asked for, and a number behind it is."""
    made = record(schema, "long")
    made["fields"][0][UNASKED] = True
    return made


def said(read_body: ReadBody, body: bytes) -> str | None:
    """The datum as text, so that NaN is equal to itself; None where the body is refused."""
    try:
        return repr(read_body(body, 0))
    except ValueError:
        return None


@settings(deadline=None, max_examples=150)
@given(random=randoms)
def test_a_body_is_read_as_fastavro_reads_it(random: Random) -> None:
    """Any schema, any datum: the same datum, wherever in the bytes the body begins."""
    bodies = Bodies(random)
    schema = bodies.record(4)
    read_body = generated(schema)
    for _ in range(3):
        body = written(schema, bodies.datum(schema))
        assert repr(read_body(b"frame" + body, 5)) == repr(read(schema, body))


@settings(deadline=None, max_examples=150)
@given(random=randoms)
def test_only_what_is_asked_for_is_read(random: Random) -> None:
    """A reader without some of the fields, and with new names, gets what Avro's schema resolution would give it."""
    bodies = Bodies(random, plain=True)
    schema = bodies.record(4)
    wanted = asked_in_part(random, schema)
    resolution = resolve(schema, wanted)
    assert not resolution.problems
    read_body = generated(resolution.schema)
    for _ in range(3):
        body = written(schema, bodies.datum(schema))
        assert repr(read_body(body, 0)) == repr(read(schema, body, wanted))


@settings(deadline=None, max_examples=60)
@given(random=randoms)
def test_a_body_cut_short_is_refused(random: Random) -> None:
    """At every length short of its own, and one byte longer; also where the end is of no interest to the reader."""
    bodies = Bodies(random, plain=True)
    schema = bodies.record(3)
    body = written(schema, bodies.datum(schema))
    for read_body in (generated(schema), generated(resolve(schema, asked_in_part(random, schema)).schema)):
        for end in range(len(body)):
            with pytest.raises(ValueError, match=r".+"):
                read_body(body[:end], 0)
        with pytest.raises(ValueError, match="1 bytes follow its end"):
            read_body(body + b"\0", 0)


@settings(deadline=None, max_examples=60)
@given(random=randoms)
def test_a_damaged_body_is_refused_or_read_as_fastavro_reads_it(random: Random) -> None:
    """Any byte changed: nothing but ValueError, or the datum that fastavro and its checks give."""
    bodies = Bodies(random)
    schema = bodies.record(3)
    strict, read_body = fastavro_reader(schema), generated(schema)
    body = bytearray(written(schema, bodies.datum(schema)))
    for at in range(min(len(body), 200)):
        damaged = bytes(body[:at] + bytes([random.randrange(256)]) + body[at + 1 :])
        found = said(read_body, damaged)
        if found is not None:
            assert repr(strict(damaged, 0)) == found


@settings(deadline=None, max_examples=60)
@given(random=randoms)
def test_a_damaged_body_means_the_same_to_every_reader(random: Random) -> None:
    """Who asks for less reads every body that the others read, and the same out of it."""
    bodies = Bodies(random, plain=True)
    schema = record(bodies.record(3), "long")
    whole, part = generated(schema), generated(skipping(schema["fields"][0]["type"]))
    body = bytearray(written(schema, bodies.datum(schema)))
    for at in range(min(len(body), 200)):
        damaged = bytes(body[:at] + bytes([random.randrange(256)]) + body[at + 1 :])
        if said(whole, damaged) is not None:
            assert part(damaged, 0) == {"b": whole(damaged, 0)["b"]}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
@pytest.mark.parametrize("after", [0, 1, 7, 40])
def test_malformed_bodies_are_refused(vector: Any, after: int) -> None:
    """The vectors of the Avro project, alone and in a record, asked for or not, whatever follows them."""
    schema, body = json.loads(vector["schema"]), bytes.fromhex(vector["bytesHex"]) + bytes(after)
    for wrapped in (schema, record(schema, "long"), skipping(schema)):
        assert said(generated(wrapped), body) is None  # as it stands and within a record


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ("int", b"\x80\x80\x80\x80\x10"),
        ("long", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
        ("string", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
        ({"type": "array", "items": "int"}, b"\x01\x01\x02\x00"),
        ({"type": "map", "values": "int"}, b"\x02\x01a\x02\x00"),
    ],
)
def test_what_fastavro_would_take_is_refused(schema: Any, body: bytes) -> None:
    """Numbers of more bits than their type has, and sizes below zero, asked for or not."""
    assert said(generated(schema), body) is None
    assert said(generated(skipping(schema)), body + b"\x02") is None


def test_what_is_skipped_is_not_looked_into() -> None:
    """No UTF-8, no UUID, a moment beyond all years: refused where they are asked for, and else passed over."""
    uuid, moment = {"type": "string", "logicalType": "uuid"}, {"type": "long", "logicalType": "timestamp-micros"}
    for schema, body in (("string", b"\x02\xff"), (uuid, b"\x02a"), (moment, b"\xff" * 9 + b"\x01")):
        assert said(generated(record(schema, "long")), body + b"\x02") is None
        assert generated(skipping(schema))(body + b"\x02", 0) == {"b": 1}


def test_blocks_with_their_size_are_read_and_skipped() -> None:
    """An array in two blocks, one with its size in bytes, as Java's blocking encoder writes it."""
    array = {"type": "array", "items": "string"}
    body = b"\x03\x08\x02a\x02b\x02\x02c\x00\x0e"
    assert generated(record(array, "long"))(body, 0) == {"a": ["a", "b", "c"], "b": 7}
    assert generated(skipping(array))(body, 0) == {"b": 7}


@pytest.mark.parametrize(
    "items", ["int", "string", "double", record("double", "string"), {"type": "map", "values": "int"}]
)
@pytest.mark.parametrize("kind", [{"type": "array", "items": ""}, {"type": "map", "values": ""}])
def test_a_promise_of_many_items_takes_no_memory(kind: dict[str, str], items: Any) -> None:
    """A few bytes that promise 2**31 items, or that many bytes, are refused before room is made for them."""
    schema = {word: part or items for word, part in kind.items()}
    readers = [generated(schema), generated(record("bytes", schema)), generated(skipping(schema))]
    tracemalloc.start()
    try:
        for read_body in readers:
            for body in (HUGE, HUGE + b"\x02" * 100, b"\x02" + HUGE + b"\x02" * 100):
                assert said(read_body, body) is None
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def nested(depth: int, made: Any, kind: str) -> Any:
    """Arrays or records within one another, this deep."""
    for level in range(depth):
        inner = {"name": "f", "type": made}
        made = (
            {"type": "array", "items": made} if kind == "array" else record() | {"name": f"R{level}", "fields": [inner]}
        )
    return made


@pytest.mark.parametrize(("kind", "most"), [("array", MOST_LOOPS // 2), ("record", MOST_RECORDS)])
def test_as_deep_as_python_can_nest(kind: str, most: int) -> None:
    """Up to the bounds a reader is made and reads; beyond them fastavro reads."""
    deep, deeper = nested(most, "int", kind), nested(most + 1, "int", kind)
    body = b"\x02" * (most if kind == "array" else 0) + b"\x0e" + b"\0" * (most if kind == "array" else 0)
    assert generated(deep)(body, 0) == read(deep, body)
    assert generated_reader(deeper) is None
    longer = b"\x02" + body + b"\0" if kind == "array" else body
    assert reader_of(deeper)(longer, 0) == read(deeper, longer)


@pytest.mark.parametrize(
    "schema",
    [
        record(*["int"] * 5_000),
        record(["null", *({"type": "fixed", "name": f"F{n}", "size": 4} for n in range(60))]),
        {"type": "record", "name": "L", "fields": [{"name": "next", "type": ["null", "L"]}]},
        {"type": "array", "items": record("null")},
    ],
    ids=["long", "wide", "recursive", "without bytes"],
)
def test_what_is_left_to_fastavro(schema: Any) -> None:
    """A schema too large, or that holds itself, or whose items take no bytes, is not generated for."""
    assert generated_reader(schema) is None


def test_a_schema_that_doubles_with_each_level_is_given_up_soon() -> None:
    """Forty records, each with two of the one before: a million million fields, of which no line is written."""
    made: Any = "int"
    for level in range(MOST_RECORDS - 1):
        twice = [{"name": "a", "type": made}, {"name": "b", "type": f"R{level - 1}" if level else "int"}]
        made = {"type": "record", "name": f"R{level}", "fields": twice}
    assert generated_reader(made) is None
    assert generated_reader(skipping(made)) is None


@pytest.mark.parametrize("name", ["a'); raise SystemExit('", 'a"""\nraise SystemExit', "{i}", "\\", "import os"])
def test_names_are_never_code(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a registry holds as the name of a field or a symbol stands in the function as a text only."""
    monkeypatch.setattr("choreo.events.body_reader.parse_schema", lambda schema: schema)  # which checks some names
    enum = {"type": "enum", "name": "E", "symbols": [name]}
    schema = {"type": "record", "name": name, "fields": [{"name": name, "type": enum}]}
    assert generated(schema)(b"\0", 0) == {name: name}


def test_both_ways_give_the_same_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """A codec that has fastavro only reads and writes the same records."""
    registry = MemoryRegistry()
    made = Codec(registry, [OrderPlaced], "c")
    monkeypatch.setattr("choreo.events.body_reader.generated_reader", lambda schema: None)
    monkeypatch.setattr("choreo.events.body_writer.generated_writer", lambda schema, shape, prefix: None)
    plain = Codec(registry, [OrderPlaced], "c")
    ids = Ids(b"1" * 16, "o1", at=7)
    new = plain.encode(placed(), ids)
    assert made.encode(placed(), ids) == new
    assert made.event(kept(new)) == plain.event(kept(new)) == placed()
