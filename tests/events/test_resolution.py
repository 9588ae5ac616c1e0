"""Evolution: what an old class wrote, a new one reads; what it can't read is said with the path of the field."""

import types
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field

from choreo.errors import DecodeError
from choreo.events.avro import schema_of
from choreo.events.codec import Codec
from choreo.events.contracts import compatibility
from choreo.events.envelope import Ids
from choreo.events.event import Event, EventType, Value
from choreo.events.registry import MemoryRegistry
from choreo.record import NewRecord
from choreo.types import Fixed, Formerly, Int32, Millis
from tests.events.sample import Node, kept
from tests.events.sample import Size as SampleSize

NOON = datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)


class Tree(Value, formerly="shop.Node"):
    children: tuple["Tree", ...] = ()
    label: Annotated[str, Formerly("name")]


def version(annotations: dict[str, Any], /, name: str = "Changed", **keywords: Any) -> Any:
    """One version of an event class; a tuple in place of an annotation also gives the default."""
    body: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
    for field, annotation in annotations.items():
        body["__annotations__"][field] = annotation[0] if isinstance(annotation, tuple) else annotation
        if isinstance(annotation, tuple):
            body[field] = annotation[1]
    return EventType(name, (Event,), body, **({"namespace": "shop", "topic": "changes"} | keywords))


def read_with(new: Any, event: Event) -> Event:
    """An event as another version of its class reads it."""
    registry = MemoryRegistry()
    return Codec(registry, [new], "c").event(kept(Codec(registry, (), "c").encode(event, Ids(b"1" * 16, "s"))))


def symbols(name: str, /, **members: object) -> Any:
    return Enum(name, members)


def value(name: str, /, **annotations: Any) -> Any:
    return EventType(name, (Value,), {"__annotations__": annotations, "__module__": __name__})


@pytest.mark.parametrize(
    ("old", "given", "new", "read"),
    [
        ({"a": int, "b": str}, {"a": 1, "b": "x"}, {"b": str, "a": int}, {"b": "x", "a": 1}),
        ({"a": int, "b": str}, {"a": 1, "b": "x"}, {"b": str}, {"b": "x"}),
        ({"a": int}, {"a": 1}, {"a": int, "b": (str, "new")}, {"a": 1, "b": "new"}),
        ({"a": int}, {"a": 1}, {"a": int, "b": (datetime, NOON)}, {"a": 1, "b": NOON}),
        ({"a": int}, {"a": 1}, {"b": Annotated[int, Formerly("a")]}, {"b": 1}),
        ({"a": int}, {"a": 1}, {"b": Annotated[int, Formerly("z", "a"), Field(alias="c")]}, {"b": 1}),
        ({"a": Int32}, {"a": 1}, {"a": int}, {"a": 1}),
        ({"a": int}, {"a": 2}, {"a": float}, {"a": 2.0}),
        ({"a": str}, {"a": "ö"}, {"a": bytes}, {"a": "ö".encode()}),
        ({"a": bytes}, {"a": b"x"}, {"a": str}, {"a": "x"}),
        ({"a": UUID}, {"a": UUID(int=1)}, {"a": str}, {"a": str(UUID(int=1))}),
        ({"a": str}, {"a": str(UUID(int=1))}, {"a": UUID}, {"a": UUID(int=1)}),
        ({"a": datetime}, {"a": NOON}, {"a": Millis}, {"a": NOON.replace(microsecond=123_000)}),
        ({"a": Millis}, {"a": NOON}, {"a": datetime}, {"a": NOON.replace(microsecond=123_000)}),
        ({"a": str}, {"a": "x"}, {"a": str | None}, {"a": "x"}),
        ({"a": int}, {"a": 1}, {"a": str | int | None}, {"a": 1}),
        ({"a": int}, {"a": 1}, {"a": float | str}, {"a": 1.0}),
        ({"a": tuple[int, ...]}, {"a": (1,)}, {"a": tuple[float, ...]}, {"a": (1.0,)}),
        ({"a": dict[str, int]}, {"a": {"x": 1}}, {"a": dict[str, int | None]}, {"a": {"x": 1}}),
    ],
)
def test_a_new_version_reads_the_old_one(old: Any, given: Any, new: Any, read: Any) -> None:
    """Order, removals, defaults, earlier names and promotions: the old body is read under the new class."""
    new_class = version(new)
    assert read_with(new_class, version(old)(**given)) == new_class(**read)
    assert compatibility(schema_of(version(old)), schema_of(new_class)) == []


def test_a_renamed_record_is_read_by_its_earlier_name() -> None:
    """A class that was called otherwise reads what was written under that name, also inside another record."""
    old_line, note = value("Line", sku=str), value("Note", text=str)
    old = version({"line": old_line, "other": note}, name="Placed")
    body = {"__annotations__": {"article": Annotated[str, Formerly("sku")]}, "__module__": __name__}
    line: Any = EventType("Item", (Value,), body, formerly="shop.Line")
    new = version({"line": line}, name="Ordered", formerly="Placed")
    event = old(line=old_line(sku="tea"), other=note(text="t"))
    assert read_with(new, event) == new(line=line(article="tea"))


def test_a_type_that_comes_back_is_read_each_time() -> None:
    """A record used in a removed field and in a kept one is read as the new class has it in the kept one."""
    old_line, new_line = value("Line", sku=str), value("Line", article=Annotated[str, Formerly("sku")])
    old = version({"gone": old_line, "first": old_line, "more": types.GenericAlias(tuple, (old_line, ...))})
    new = version({"first": new_line, "more": types.GenericAlias(tuple, (new_line, ...))})
    event = old(gone=old_line(sku="g"), first=old_line(sku="f"), more=(old_line(sku="m"),))
    assert read_with(new, event) == new(first=new_line(article="f"), more=(new_line(article="m"),))


def test_records_that_hold_themselves_evolve() -> None:
    """A tree whose nodes lost and got fields is read to its leaves."""
    old, new = version({"tree": Node}), version({"tree": Tree})
    event = old(tree=Node(name="a", size=SampleSize.SMALL, children=(Node(name="b", size=SampleSize.LARGE),)))
    assert read_with(new, event) == new(tree=Tree(label="a", children=(Tree(label="b"),)))


def test_a_symbol_that_the_reader_lacks_needs_a_default() -> None:
    """An enum that lost a symbol reads it as what its `_missing_` answers, else the schema is refused."""
    old, strict = symbols("Colour", RED="red", PINK="pink"), symbols("Colour", RED="red")

    class Colour(Enum):
        RED = "red"
        OTHER = "other"

        @classmethod
        def _missing_(cls, value: object) -> "Colour":
            return cls.OTHER

    class Size(Enum):
        OTHER = 0

        @classmethod
        def _missing_(cls, value: object) -> "Size":
            return cls.OTHER

    event = version({"a": old})(a=old.PINK)
    assert read_with(version({"a": Colour}), event).model_dump() == {"a": Colour.OTHER}
    with pytest.raises(DecodeError, match="symbol pink was removed"):
        read_with(version({"a": strict}), event)
    numbers = symbols("Size", HUGE=3)
    assert read_with(version({"a": Size}), version({"a": numbers})(a=numbers.HUGE)).model_dump() == {"a": Size.OTHER}


def test_a_union_is_read_branch_by_branch() -> None:
    """A branch that the reader lacks is an error only for the events that have it."""
    old, new = version({"a": int | None}), version({"a": int})
    assert read_with(new, version({"a": int})(a=1)) == new(a=1)
    with pytest.raises(DecodeError, match="a: null was allowed, and is no part of long"):
        read_with(new, old(a=1))


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ({"a": int}, {"a": int, "b": str}, "b: was added without a default"),
        ({"a": int}, {"a": str}, "a: long became string"),
        ({"a": float}, {"a": int}, "a: double became long"),
        ({"a": datetime}, {"a": int}, "a: timestamp-micros became long"),
        ({"a": int}, {"a": datetime}, "a: long became timestamp-micros"),
        ({"a": str | None}, {"a": str}, "a: null was allowed, and is no part of string"),
        ({"a": bool}, {"a": int | str}, "a: boolean is no part of long | string"),
        ({"a": tuple[float, ...]}, {"a": tuple[int, ...]}, "a[]: double became long"),
        ({"a": dict[str, float]}, {"a": dict[str, int]}, "a{}: double became long"),
        ({"a": tuple[int, ...]}, {"a": int}, "a: array became long"),
        ({"a": tuple[int, ...]}, {"a": dict[str, int]}, "a: array became map"),
        ({"a": Annotated[bytes, Fixed(4)]}, {"a": bytes}, "a: shop.Fixed4 became bytes"),
        ({"a": value("Line", x=float)}, {"a": value("Line", x=int)}, "a.x: double became long"),
        ({"a": value("L", x=int)}, {"a": value("R", x=int)}, "a: shop.L became shop.R, which has no such alias"),
    ],
)
def test_a_break_is_named_with_its_path(old: Any, new: Any, problem: str) -> None:
    """What the new class can't read is told by the path of the field, for contracts and for records alike."""
    assert compatibility(schema_of(version(old)), schema_of(version(new))) == [problem]


def test_decimals_keep_their_scale() -> None:
    """A decimal may get more digits; another scale would move the point."""

    def digits(most: int, places: int) -> Any:
        return version({"a": Annotated[Decimal, Field(max_digits=most, decimal_places=places)]})

    wide = digits(14, 2)
    assert read_with(wide, digits(12, 2)(a="1.50")) == wide(a="1.50")
    assert compatibility(schema_of(digits(12, 2)), schema_of(digits(12, 3))) == ["a: 2 decimal places became 3"]
    assert compatibility(schema_of(digits(12, 2)), schema_of(digits(10, 2))) == ["a: 12 digits became 10"]


def test_a_schema_of_another_library_is_read() -> None:
    """Schemas as others write them (nested type objects, short names, docs) resolve as ours do."""
    registry = MemoryRegistry()
    inner = {"type": "record", "name": "Line", "fields": [{"name": "n", "type": {"type": "int"}}]}
    fields = [{"name": "line", "type": inner}, {"name": "next", "type": ["null", "Line"]}]
    schema_id = registry.register("x", {"type": "record", "name": "shop.Changed", "fields": fields})
    line = value("Line", n=int)
    new = version({"line": line, "next": line | None})
    body = b"\0" + schema_id.to_bytes(4, "big") + b"\x02" + b"\x02\x04"
    event = Codec(registry, [new], "c").event(kept(NewRecord("changes", None, body)))
    assert event == new(line=line(n=1), next=line(n=2))


def test_a_schema_whose_items_take_no_bytes_is_not_read() -> None:
    """A few bytes of such a body could promise billions of items and keep a worker busy for ever."""
    old = {"type": "record", "name": "shop.A", "fields": [{"name": "a", "type": {"type": "array", "items": "null"}}]}
    (problem,) = compatibility(old, old)
    assert problem.startswith("a: items of null take no bytes")


def test_an_unusable_schema_is_a_decode_error() -> None:
    """A registered schema that is no Avro is told with the position of the record, not by a crash."""
    registry = MemoryRegistry()
    fields = [{"name": "a", "type": "nope"}]
    schema_id = registry.register("x", {"type": "record", "name": "shop.Changed", "fields": fields})
    record = kept(NewRecord("changes", None, b"\0" + schema_id.to_bytes(4, "big")))
    with pytest.raises(DecodeError) as caught:
        Codec(registry, [version({"b": (int, 1)})], "c").event(record)
    assert caught.value.at == record.position
