"""Derived Avro schemas: what a class says is what its schema says."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from io import BytesIO
from typing import Annotated, Any, Generic, TypeVar

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from pydantic import Field

from choreo.events.avro import schema_of, shape_of
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.event import Event, Value
from choreo.events.registry import MemoryRegistry
from choreo.types import Formerly, Millis
from tests.events.sample import Colour, Everything, Flag, Line, Money, Node, OrderEvent, OrderPlaced, Size, kept

T = TypeVar("T")
MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}


def field(cls: Any, name: str) -> Any:
    """The entry of one field in the schema of a class."""
    return next(entry for entry in schema_of(cls)["fields"] if entry["name"] == name)


def test_the_sample_order() -> None:
    """The sample event gives the schema that its authors agreed on: docs, digits, personal marks, no noise."""
    line = [{"name": "sku", "type": "string"}, {"name": "quantity", "type": "long"}, {"name": "price", "type": MONEY}]
    doc = "Where the customer reads mail: masked on screens, erased with the customer."
    assert schema_of(OrderPlaced) == {
        "type": "record",
        "name": "OrderPlaced",
        "namespace": "shop",
        "doc": "A customer placed an order.",
        "fields": [
            {"name": "order_id", "type": "string"},
            {"name": "customer_id", "type": "string"},
            {"name": "email", "type": "string", "doc": doc, "choreo.personal": True},
            {"name": "warehouse", "type": "string"},
            {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": line}}},
            {"name": "total", "type": MONEY},
            {"name": "card_token", "type": "string", "choreo.personal": True},
            {"name": "placed_at", "type": MICROS},
            {"name": "promised_at", "type": ["null", MICROS], "default": None},
        ],
    }


@pytest.mark.parametrize(
    ("name", "avro"),
    [
        ("uid", {"type": "string", "logicalType": "uuid"}),
        ("day", {"type": "int", "logicalType": "date"}),
        ("number", "long"),
        ("small", "int"),
        ("ratio", "double"),
        ("yes", "boolean"),
        ("raw", "bytes"),
        ("digest", {"type": "fixed", "name": "Fixed4", "size": 4}),
        ("rough", {"type": "long", "logicalType": "timestamp-millis"}),
        ("hour", {"type": "long", "logicalType": "time-micros"}),
        ("colour", {"type": "enum", "name": "Colour", "symbols": ["red", "blue"]}),
        ("size", {"type": "enum", "name": "Size", "symbols": ["SMALL", "LARGE"]}),
        ("flag", {"type": "enum", "name": "Flag", "symbols": ["up", "down", "unknown"], "default": "unknown"}),
        ("mood", "string"),
        ("sku", "string"),
        ("tags", {"type": "array", "items": "string"}),
        ("prices", {"type": "map", "values": MONEY}),
        ("maybe_money", ["null", MONEY]),
        ("either", ["null", "long", "string", MONEY | {"precision": 5, "scale": 1}]),
    ],
)
def test_types(name: str, avro: object) -> None:
    """Each Python type has its Avro type."""
    assert field(Everything, name)["type"] == avro


def test_a_named_type_is_written_out_once() -> None:
    """A record is inline where it comes first, and a name after that; also within itself."""
    assert field(Everything, "maybe_lines")["type"][1]["items"]["name"] == "Line"
    tree = field(Everything, "tree")["type"]
    assert tree["fields"][2] == {"name": "children", "type": {"type": "array", "items": "test.Node"}, "default": []}
    assert tree["fields"][1]["type"] == "test.Size"
    parse_schema(schema_of(Everything))


class Defaults(Event, namespace="test", topic="defaults"):
    text: str = "a"
    money: Money = Decimal("-1.28")
    raw: bytes = b"\xff"
    moment: datetime = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    day: date = date(1970, 1, 3)
    hour: time = time(0, 0, 2)
    colour: Colour = Colour.BLUE
    size: Size | None = Size.LARGE
    flag: Flag | None = None
    tags: tuple[str, ...] = ("x",)
    prices: dict[str, Money] = Field(default_factory=dict)
    line: Line = Line(sku="tea", quantity=1, price=Decimal(2))
    again: Line | None = Line(sku="milk", quantity=1, price=Decimal(3))
    rough: Millis = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
    node: Node | None = Node(name="n", size=Size.SMALL)
    either: int | str = "b"


def test_defaults_stand_in_the_schema_as_avro_wants_them() -> None:
    """A default is JSON of the Avro kind; the branch of a default stands first in its union."""
    said = {entry["name"]: entry["default"] for entry in schema_of(Defaults)["fields"]}
    assert said == {
        "text": "a", "money": "\x80", "raw": "\xff", "moment": 1_000_000, "day": 2, "hour": 2_000_000, "colour": "blue",
        "size": "LARGE", "flag": None, "tags": ["x"], "prices": {}, "either": "b",
        "line": {"sku": "tea", "quantity": 1, "price": "\x00\xc8"},
        "again": {"sku": "milk", "quantity": 1, "price": "\x01\x2c"}, "rough": 1_000,
        "node": {"name": "n", "size": "SMALL", "children": []},
    }  # fmt: skip
    assert [field(Defaults, name)["type"][0] for name in ("flag", "either")] == ["null", "string"]
    assert field(Defaults, "size")["type"][1] == field(Defaults, "node")["type"][1] == "null"
    parse_schema(schema_of(Defaults))


def test_other_libraries_read_the_same_values() -> None:
    """A reader that knows the schema only gets the values: decimals, moments and enums as Avro means them."""
    event = Defaults()
    body = BytesIO()
    shape = shape_of(Defaults)
    schemaless_writer(body, parse_schema(shape.avro), shape.written(event))
    body.seek(0)
    datum: Any = schemaless_reader(body, parse_schema(schema_of(Defaults)), None)
    assert datum["money"] == Decimal("-1.28")
    assert datum["moment"] == event.moment
    assert (datum["colour"], datum["size"], datum["either"]) == ("blue", "LARGE", "b")
    assert datum["line"] == {"sku": "tea", "quantity": 1, "price": Decimal("2.00")}


def test_wire_names_and_earlier_names() -> None:
    """An alias is the name on the wire; Formerly and formerly are Avro aliases."""

    class Renamed(OrderEvent, formerly="OrderReworded"):
        warehouse: Annotated[str, Field(alias="whs")]
        reason: Annotated[str, Formerly("why", "cause")]
        inner: Annotated[str, Formerly("hidden")] | None = None

    schema = schema_of(Renamed)
    assert schema["aliases"] == ["shop.OrderReworded"]
    assert schema["fields"][1] == {"name": "whs", "type": "string"}
    assert schema["fields"][2] == {"name": "reason", "type": "string", "aliases": ["why", "cause"]}
    assert schema["fields"][3]["aliases"] == ["hidden"]


class Page(Value, Generic[T]):
    items: tuple[T, ...]


def test_a_generic_value_has_an_avro_name() -> None:
    """A Value of a Value is a record of its own, under a name that Avro takes."""

    class Listed(OrderEvent):
        lines: Page[Line]
        more: Annotated[Money, Field(max_digits=20, decimal_places=2)] = Decimal(0)

    assert field(Listed, "lines")["type"]["name"] == "Page_Line"
    assert field(Listed, "more")["type"]["precision"] == 20
    parse_schema(schema_of(Listed))


def test_a_value_of_another_namespace_keeps_it() -> None:
    """A Value that names a namespace is that type for every event that holds it, with the types inside it."""

    class Address(Value, namespace="post"):
        street: str
        colour: Colour | None = None
        again: Colour = Colour.RED

    class Sent(OrderEvent):
        to: Address
        back: Address | None = None
        colour: Colour | None = None

    assert field(Sent, "to")["type"]["namespace"] == "post"
    assert field(Sent, "back")["type"] == ["null", "post.Address"]
    assert field(Sent, "to")["type"]["fields"][2]["type"] == "post.Colour"
    codec = Codec(MemoryRegistry(), [Sent], "c")
    event = Sent(order_id="o", to=Address(street="s", colour=Colour.BLUE), colour=Colour.BLUE)
    assert codec.event(kept(codec.encode(event, Ids(bytes(16), "s")))) == event
