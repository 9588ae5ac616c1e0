"""Store values: what comes back is what went in, of the same class, as the same bytes in every process."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, computed_field

from choreo.errors import DeclarationError, StateError
from choreo.state.values import ValueCodec, remembering_codec, value_codec


class Line(BaseModel):
    model_config = ConfigDict(frozen=True)
    sku: str
    price: Decimal


class Order(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    order_id: str = Field(alias="orderId")
    placed: datetime
    lines: tuple[Line, ...] = ()
    note: Line | None = None

    @computed_field
    def total(self) -> Decimal:
        return sum((line.price for line in self.lines), Decimal(0))


class Placed(BaseModel):
    order_id: str


class Cancelled(BaseModel):
    order_id: str


class Measured(BaseModel):
    grams: float


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Point:
    x: int
    raw: bytes = b""


NOW = datetime(2017, 5, 3, 1, 2, 3, 456789, tzinfo=UTC)
TEA = Line(sku="tea", price=Decimal("1.50"))
ORDER = Order(orderId="o1", placed=NOW, lines=(TEA,), note=Line(sku="n", price=Decimal(0)))


class Spiced(Line):
    spice: str = "clove"


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, -(2**80)),
        (str, 'te"a\n\x00é'),
        (bool, False),
        (float, 0.1),
        (float, float("inf")),
        (Decimal, Decimal("0.00")),
        (bytes, b"\xff\x00"),
        (datetime, NOW),
        (date, date(2020, 2, 29)),
        (UUID, UUID(int=5)),
        (Colour, Colour.RED),
        (tuple[Line, ...], ORDER.lines),
        (dict[str, tuple[int, str]], {"b": (1, "x"), "a": (2, "y")}),
        (set[str], {"b", "a"}),
        (dict[str, frozenset[int]], {"x": frozenset({3, 1})}),
        (Order, ORDER),
        (Order | None, None),
        (Placed | Cancelled, Cancelled(order_id="o1")),
        (Placed | Cancelled | None, None),
        (Placed | Cancelled | int, 5),
        (int | str, "5"),
        (Point, Point(1)),
        (list[Point], [Point(1, b"ok")]),
        (type(None), None),
    ],
    ids=lambda case: (
        "a set" if isinstance(case, set | frozenset) else str(case)
    ),  # the text of a set has no fixed order
)
def test_values_come_back_exactly(annotation: Any, value: Any) -> None:
    """load(dump(value)) is equal and of the same class, and dumps to the same bytes again."""
    codec = value_codec(annotation)
    data = codec.dump(value)
    assert data[:1] == b"\x01"
    back = codec.load(data)
    assert back == value
    assert type(back) is type(value)
    assert codec.dump(back) == data


@given(st.text(), st.integers())
def test_every_text_and_number_comes_back(text: str, number: int) -> None:
    """Any str that is UTF-8 and any int come back."""
    assert value_codec(int).load(value_codec(int).dump(number)) == number
    assert value_codec(str).load(value_codec(str).dump(text)) == text


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, "5"),
        (int, True),
        (str, 5),
        (bool, 1),
        (Decimal, "1"),
        (Order, "x"),
        (Order, None),
        (Placed | Cancelled, ORDER),
        (Line, Spiced(sku="chai", price=Decimal(2))),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_refused(annotation: Any, value: Any) -> None:
    """A value of the wrong type is a TypeError that says as what it was to be stored."""
    with pytest.raises(TypeError, match="can't be stored as"):
        value_codec(annotation).dump(value)


def test_a_value_that_json_would_change_is_refused() -> None:
    """Where a nested union can't be told apart in JSON, dump says so instead of storing something else."""
    codec = value_codec(list[Placed | Cancelled])
    assert codec.load(codec.dump([Placed(order_id="o")])) == [Placed(order_id="o")]
    with pytest.raises(TypeError, match="would not come back"):
        codec.dump([Cancelled(order_id="o")])


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
def test_a_number_that_json_does_not_have_is_refused_in_a_model(number: float) -> None:
    """A model writes infinity as null: dump says so, not a load two years later."""
    codec = value_codec(Measured)
    assert codec.load(codec.dump(Measured(grams=0.1))) == Measured(grams=0.1)
    with pytest.raises(TypeError, match="would not come back"):
        codec.dump(Measured(grams=number))


def test_sets_are_the_same_bytes_in_every_process() -> None:
    """A set's bytes don't depend on PYTHONHASHSEED, so two runs can be compared entry by entry."""
    code = (
        "from choreo.state.values import value_codec;"
        "v = {'k': ({'a', 'b', 'c', 'd', 'e'}, frozenset({('x', 1), ('y', 2)}))};"
        "t = dict[str, tuple[set[str], frozenset[tuple[str, int]]]];"
        "print(value_codec(t).dump(v))"
    )

    def output(seed: str) -> bytes:
        env = {"PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True).stdout

    assert {output("1"), output("2")} == {b"""b'\\x01{"k":[["a","b","c","d","e"],[["x",1],["y",2]]]}'\n"""}


def test_field_names_are_stored_not_aliases() -> None:
    """An alias may change without touching what is stored, and computed fields are not stored."""
    assert value_codec(Order).dump(ORDER).startswith(b'\x01{"order_id":"o1","placed":')
    assert b"total" not in value_codec(Order).dump(ORDER)


@pytest.mark.parametrize("annotation", [int, str, bool, Line, Placed | Cancelled], ids=str)
@pytest.mark.parametrize("body", [b"", b"{", b"[", b'["Ghost",{}]', b"null"])
def test_bytes_of_another_value_say_what_to_do(annotation: Any, body: bytes) -> None:
    """Bytes that the type no longer takes are a StateError with a cure."""
    with pytest.raises(StateError, match="rebuild it from the log"):
        value_codec(annotation).load(b"\x01" + body)


@pytest.mark.parametrize("data", [b"", b"\x02{}"])
def test_an_unknown_format_says_what_to_do(data: bytes) -> None:
    """Bytes of another version are a StateError with a cure."""
    with pytest.raises(StateError, match="unknown format") as caught:
        value_codec(Line).load(data)
    assert "newer release" in str(caught.value)


def test_a_type_that_pydantic_does_not_know_is_refused() -> None:
    """A store of values that can't be written is refused when it is declared."""

    class Odd:
        pass

    with pytest.raises(DeclarationError, match="Odd can't be the value of a store"):
        value_codec(Odd)


class Kept(BaseModel):
    """A value that brings its own codec."""

    model_config = ConfigDict(frozen=True)
    name: str
    said: dict[str, Any] = Field(default_factory=dict)

    @classmethod
    def __value_codec__(cls) -> ValueCodec:
        return remembering_codec(cls, last=2)


def test_what_was_written_or_read_last_is_not_read_again() -> None:
    """The same bytes are the same object while they are among the last different ones; others are read anew."""
    codec = value_codec(Kept)
    first = Kept(name="a")
    body = codec.dump(first)
    assert codec.load(bytes(bytearray(body))) is first
    for name in "bcdefg":
        codec.dump(Kept(name=name))
    again = codec.load(body)
    assert again == first
    assert again is not first
    assert codec.load(body) is again


def test_a_remembering_codec_writes_no_defaults_and_takes_no_other_class() -> None:
    """A field that was never touched costs nothing; a subclass is refused, and broken bytes stay so."""
    codec = value_codec(Kept)
    assert codec.dump(Kept(name="a", said={"n": 1})) == b'\x01{"name":"a","said":{"n":1}}'
    assert codec.dump(Kept(name="a")) == b'\x01{"name":"a"}'
    assert codec.load(b'\x01{"name":"b","said":{}}') == Kept(name="b")
    with pytest.raises(TypeError, match="it is of type Sub"):
        codec.dump(type("Sub", (Kept,), {})(name="a"))
    for _ in range(2):
        with pytest.raises(StateError, match="rebuild it from the log"):
            codec.load(b"\x01{}")
