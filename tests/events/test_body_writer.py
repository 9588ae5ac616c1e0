"""Bodies written by generated Python: byte for byte what fastavro writes, and nothing that does not fit."""

from copy import deepcopy
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from struct import error as StructError
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from choreo.events.avro import shape_of
from choreo.events.body_reader import generated_reader
from choreo.events.body_writer import WriteBody, fastavro_writer, generated_writer, writer_of
from choreo.events.event import Event, Value
from choreo.types import Fixed
from tests.events.bodies import Bodies, written
from tests.events.sample import Colour, Everything, Line, Money, OrderPlaced
from tests.events.test_body_reader import nested, record
from tests.events.test_codec import everything, placed

randoms = st.integers(0, 2**32).map(Random)


def generated(schema: Any) -> WriteBody:
    """The generated writer of datums; there has to be one."""
    made = generated_writer(schema, None, b"frame")
    assert made is not None
    return made


class Flat(Event, namespace="test", topic="flat"):
    """Every type, but no record within itself."""

    name: Annotated[str, Field(alias="called")]
    other: Annotated[str, Field(alias="name")]
    everything: Annotated[bytes, Fixed(4)]
    prices: dict[str, Money]
    lines: dict[str, tuple[Line, ...]]
    maybe_lines: tuple[Line, ...] | None
    colours: tuple[Colour | None, ...]
    either: int | str | None
    moment: datetime | None = None


def flat(**changed: Any) -> Flat:
    """One with something in each field."""
    tea = Line(sku="tea", quantity=2, price=Decimal("3.50"))
    fields: dict[str, Any] = {
        "called": "a", "name": "ž" * 40, "everything": b"1234", "prices": {"x": Decimal(-1)},
        "lines": {"": (tea,) * 70}, "maybe_lines": (tea,), "colours": (Colour.RED, None), "either": 2**40,
        "moment": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return Flat(**(fields | changed))


@settings(deadline=None, max_examples=150)
@given(random=randoms)
def test_a_datum_is_written_as_fastavro_writes_it(random: Random) -> None:
    """Any schema, any datum: the same bytes behind the prefix, and the datum stays what it was."""
    bodies = Bodies(random)
    schema = bodies.record(4)
    write = generated(schema)
    for _ in range(3):
        datum = bodies.datum(schema)
        before = deepcopy(datum)
        assert write(datum) == b"frame" + written(schema, datum)
        assert repr(datum) == repr(before)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"maybe_lines": None, "moment": None, "either": None},
        {"either": "x", "prices": {}, "lines": {}, "colours": ()},
    ],
    ids=["filled", "null", "empty"],
)
def test_an_event_is_written_as_its_datum_is(changed: dict[str, Any]) -> None:
    """Straight from the event: aliases that swap names, converted values, records in arrays in maps in unions."""
    shape, event = shape_of(Flat), flat(**changed)
    write = generated_writer(shape.avro, shape, b"frame")
    assert write is not None
    assert write(event) == b"frame" + written(shape.avro, shape.written(event))
    assert event == flat(**changed)


@settings(deadline=None, max_examples=30)
@given(event=everything)
def test_a_class_that_holds_itself_is_left_to_fastavro(event: Everything) -> None:
    """An event with a tree in it, and every type beside: no function is made, and fastavro writes."""
    shape = shape_of(Everything)
    assert generated_writer(shape.avro, shape) is None
    assert writer_of(shape.avro, shape, b"p")(event) == b"p" + written(shape.avro, shape.written(event))


@pytest.mark.parametrize("bits", range(65))
def test_numbers_of_every_size(bits: int) -> None:
    """Around each power of two, the number is written as fastavro writes it, and read back."""
    write, read = generated("long"), generated_reader("long")
    assert read is not None
    for number in (2**bits - 1, 2**bits, 2**bits + 1, -(2**bits), -(2**bits) - 1):
        if -(2**63) <= number < 2**63:
            assert write(number) == b"frame" + written("long", number)
            assert read(write(number), 5) == number


MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}
ENUM = {"type": "enum", "name": "E", "symbols": ["A"]}


@pytest.mark.parametrize(
    ("schema", "datum"),
    [
        ("int", 2**31), ("int", -(2**31) - 1), ("int", 1.0), ("int", "1"), ("int", None),
        ("long", 2**63), ("long", -(2**63) - 1), ("long", 2**70), ("long", -(2**70)), ("long", 1.0), ("long", None),
        ("string", b"a"), ("string", 1), ("string", None), ("string", "\ud800"),
        ("bytes", "a"), ("bytes", [1]), ("bytes", 1), ("bytes", None),
        ("boolean", "yes"), ("boolean", None), ("boolean", 2),
        ("float", "x"), ("double", None), ("double", "x"),
        (ENUM, "B"), (ENUM, None), (ENUM, []),
        ({"type": "fixed", "name": "F", "size": 2}, b"a"), ({"type": "fixed", "name": "F", "size": 2}, "ab"),
        ({"type": "array", "items": "int"}, None), ({"type": "array", "items": "int"}, [None]),
        ({"type": "map", "values": "int"}, ["a"]), ({"type": "map", "values": "int"}, {1: 1}),
        (["null", "int"], "a"), (["null", "int"], ("long", 1)), (["null", "int"], ("int", "a")),
        (["int", "string"], None),
        (MONEY, Decimal("100.00")), (MONEY, Decimal("0.001")), (MONEY, "1.00"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(schema: Any, datum: Any) -> None:
    """Numbers too large, values of another type, branches that are none: alone and as a field."""
    for write, value in ((generated(schema), datum), (generated(record(schema)), {"a": datum})):
        with pytest.raises((TypeError, ValueError, LookupError, ArithmeticError, AttributeError, StructError)):
            write(value)


def test_a_field_without_a_value_is_refused() -> None:
    """fastavro would write its default."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": ["null", "int"], "default": None}]}
    with pytest.raises(KeyError):
        generated(schema)({})


def test_a_value_of_a_union_has_its_branch() -> None:
    """A bare value is refused, where fastavro would look for a branch that it fits."""
    with pytest.raises(TypeError, match="int without the name of its branch"):
        generated(["null", "int"])(1)


@pytest.mark.parametrize("kind", ["array", "record"])
def test_a_schema_too_deep_is_left_to_fastavro(kind: str) -> None:
    """As deep as Python can nest it is generated for; beyond it is not."""
    assert generated_writer(nested(8 if kind == "array" else 40, "int", kind), None) is not None
    assert generated_writer(nested(9 if kind == "array" else 41, "int", kind), None) is None


@pytest.mark.parametrize("name", ["a'); raise SystemExit('", 'a"""\nraise SystemExit', "{i}", "\\"])
def test_names_are_never_code(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands as the name of a field, a branch or a symbol is a text in the function."""
    monkeypatch.setattr("choreo.events.body_writer.parse_schema", lambda schema: schema)  # which checks some names
    enum = {"type": "enum", "name": name, "symbols": [name]}
    schema = {"type": "record", "name": name + "R", "fields": [{"name": name, "type": ["null", enum]}]}
    assert generated(schema)({name: (name, name)}) == b"frame\x02\0"


class Part(Value, namespace="test"):
    number: int


class Whole(Event, namespace="test", topic="wholes"):
    parts: tuple[Part, ...]


def test_a_schema_of_another_shape_is_left_to_fastavro() -> None:
    """A sender's schema that asks for a field, or for a record, where the class has none."""
    shape = shape_of(Whole)
    schemas = [
        record("int"),
        record({"type": "array", "items": record("int")}),
        record({"type": "map", "values": "int"}),
    ]
    for schema in schemas:
        schema["fields"][0]["name"] = "parts"
        assert generated_writer(schema, shape) is None
    more = shape.avro | {"fields": [*shape.avro["fields"], {"name": "more", "type": "int"}]}
    assert generated_writer(more, shape) is None


def test_both_ways_write_the_same() -> None:
    """The sample order, by generated Python and by fastavro."""
    shape = shape_of(OrderPlaced)
    made = generated_writer(shape.avro, shape, b"p")
    assert made is not None
    assert made(placed()) == fastavro_writer(shape.avro, shape, b"p")(placed())
