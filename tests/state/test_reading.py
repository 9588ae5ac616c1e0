"""Reading what another shape wrote: what the comparison allows is read, and what can't be read is not allowed."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NotRequired
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, Field, computed_field
from typing_extensions import TypedDict

from choreo import Event
from choreo.errors import StateError
from choreo.events.fields import Formerly
from choreo.state.reading import misfits
from choreo.state.value_shape import reading_shape, written_shape
from choreo.state.values import value_codec


class Color(Enum):
    RED = "red"
    BLUE = "blue"


class Paler(Enum):
    RED = "red"


class Line(BaseModel):
    sku: str
    pieces: int


class Noted(BaseModel):
    sku: str
    pieces: float
    note: str = "none"
    seen: tuple[str, ...] = ()


class Priced(BaseModel):
    sku: str
    pieces: int
    price: int


class Bare(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sku: str


class Kept(BaseModel):
    model_config = ConfigDict(extra="allow")
    sku: str


class Article(BaseModel):
    article: Annotated[str, Formerly("sku")]
    pieces: int


class Tree(BaseModel):
    name: str
    below: list["Tree"] = []


class Grove(BaseModel):
    name: str
    age: int = 0
    below: list["Grove"] = []


class Doubled(BaseModel):
    pieces: int

    @computed_field
    def twice(self) -> int:
        return 2 * self.pieces


class Twice(BaseModel):
    twice: int


class Road(TypedDict):
    name: str
    length: NotRequired[int]


class Way(TypedDict):
    name: str
    length: int


@dataclass
class Point:
    x: int


@dataclass
class Place:
    x: int
    y: int = 7


class Told(Event, namespace="reading", topic="told", key="sku"):
    sku: str
    pieces: int


class Less(Event, namespace="reading", topic="told", key="sku"):
    sku: str


LINE, NOTED = Line(sku="a", pieces=2), Noted(sku="a", pieces=2)
READ = [
    pytest.param(int, 3, float, 3.0, id="a whole number becomes any number"),
    pytest.param(int, 3, int | None, 3, id="it may be nothing"),
    pytest.param(Color, Color.RED, str, "red", id="one of a few becomes text"),
    pytest.param(Paler, Paler.RED, Color, Color.RED, id="one of a few becomes one of more"),
    pytest.param(Literal["red"], "red", Color, Color.RED, id="a literal becomes one of more"),
    pytest.param(UUID, UUID(int=1), str, str(UUID(int=1)), id="an id becomes text"),
    pytest.param(list[int], [1, 2], tuple[float, ...], (1.0, 2.0), id="a list of other numbers"),
    pytest.param(tuple[int, int], (1, 2), list[int], [1, 2], id="a pair becomes a list"),
    pytest.param(dict[str, Line], {"a": LINE}, dict[str, Noted], {"a": NOTED}, id="records in a map"),
    pytest.param(Line, LINE, Noted, Noted(sku="a", pieces=2), id="fields with defaults"),
    pytest.param(Line, LINE, Bare, Bare(sku="a"), id="a field less, where others are forbidden"),
    pytest.param(Told, Told(sku="a", pieces=1), Less, Less(sku="a"), id="an event with a field less"),
    pytest.param(Line, LINE, Article, Article(article="a", pieces=2), id="a field of another name"),
    pytest.param(
        list[Line], [LINE], list[Article | None], [Article(article="a", pieces=2)], id="another name, deep within"
    ),
    pytest.param(
        Tree, Tree(name="a", below=[Tree(name="b")]), Grove, Grove(name="a", below=[Grove(name="b")]), id="recursive"
    ),
    pytest.param(Point, Point(1), Place, Place(1, 7), id="dataclasses"),
    pytest.param(Way, {"name": "a", "length": 1}, Road, {"name": "a", "length": 1}, id="typed dicts"),
    pytest.param(
        Annotated[Decimal, Field(max_digits=4)],
        Decimal("12.5"),
        Annotated[Decimal, Field(max_digits=6)],
        Decimal("12.5"),
        id="more digits",
    ),
    pytest.param(
        Annotated[int, Field(ge=5)], 6, Annotated[int, Field(ge=1)], 6, id="bounds that are wider than they were"
    ),
]

REFUSED = [
    pytest.param(Line, LINE, Priced, ["price: was added and has no default"], id="a field without a default"),
    pytest.param(str, "x", int, ["string became integer"], id="text becomes a number"),
    pytest.param(float, 1.5, int, ["number became integer"], id="a number becomes whole"),
    pytest.param(int | None, None, int, ["null became integer"], id="nothing is no longer allowed"),
    pytest.param(Color, Color.BLUE, Paler, ["'blue' is none of 'red'"], id="one of a few that is gone"),
    pytest.param(str, "x", Color, ["string became one of 'red', 'blue'"], id="text becomes one of a few"),
    pytest.param(str, "x", date, ["string became date"], id="text becomes a date"),
    pytest.param(date, date(2026, 3, 2), UUID, ["date became uuid"], id="another format"),
    pytest.param(Line, LINE, dict[str, int], ["a record of sku, pieces became a map"], id="a record becomes a map"),
    pytest.param(dict[str, str], {"sku": "x"}, Line, ["a map became a record of sku, pieces"], id="a map, a record"),
    pytest.param(dict[str, int], {"x": 1}, dict[int, int], ["keys: string became integer"], id="keys of a map"),
    pytest.param(list[int], [1], tuple[int, int], ["a list became a tuple of 2"], id="a list becomes a pair"),
    pytest.param(
        Line, LINE, Line | Noted, ["a record of sku, pieces became a tuple of 2"], id="a class becomes one of several"
    ),
    pytest.param(
        list[Tree], [Tree(name="a")], list[dict[str, int]], ["[]: a record of name, below became a map"], id="in a list"
    ),
    pytest.param(Doubled, Doubled(pieces=1), Twice, ["twice: was added and has no default"], id="what was computed"),
    pytest.param(Road, {"name": "a"}, Way, ["length: may be missing, and has no default"], id="what may be missing"),
    pytest.param(int, 3, Annotated[int, Field(ge=5)], ["minimum 5 was not set"], id="a bound"),
    pytest.param(
        Annotated[Decimal, Field(max_digits=6)],
        Decimal("12345"),
        Annotated[Decimal, Field(max_digits=4)],
        ["maxDigits 4.0 was 6.0"],
        id="fewer digits",
    ),
]


@pytest.mark.parametrize(("old", "value", "new", "read"), READ)
def test_what_fits_is_read(old: Any, value: object, new: Any, read: object) -> None:
    """Where nothing is said against it, a value that the old type wrote is read as the new one."""
    assert misfits(written_shape(old), reading_shape(new)) == []
    assert value_codec(new).load(value_codec(old).dump(value)) == read


@pytest.mark.parametrize(("old", "value", "new", "problems"), REFUSED)
def test_what_can_not_be_read_is_said(old: Any, value: object, new: Any, problems: list[str]) -> None:
    """A type that can't read what stands there is refused with what was, what is, and the field."""
    assert misfits(written_shape(old), reading_shape(new)) == problems
    with pytest.raises((StateError, ValueError)):
        value_codec(new).load(value_codec(old).dump(value))


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(each, id=str(each))
        for each in (
            int,
            bytes,
            datetime,
            set[str],
            dict[UUID, list[Line]],
            Line | Noted,
            Line | None,
            tuple[()],
            Tree,
            Told,
            Any,
            Kept,
            Annotated[str, Field(pattern="a+")],
        )
    ],
)
def test_every_type_reads_itself(kind: Any) -> None:
    """A shape is never refused by the code that wrote it."""
    assert misfits(written_shape(kind), reading_shape(kind)) == []


def test_further_fields_that_a_class_keeps_are_kept() -> None:
    """Where a model asks for fields that it does not name, they are read as ever."""
    codec = value_codec(Kept)
    value = Kept(sku="a", more="b")  # type: ignore[call-arg]  # it allows others
    assert codec.load(codec.dump(value)) == value


def test_docs_and_titles_are_no_part_of_a_shape() -> None:
    """A docstring or description that changes leaves the shape as it was; a field called title is a field."""

    def made(doc: str) -> Any:
        fields = {"title": (str, Field(description=doc)), "moment": (datetime, datetime(2026, 3, 2, tzinfo=UTC))}
        from pydantic import create_model

        return create_model("Made", __doc__=doc, **fields)  # type: ignore[call-overload]  # fields in a dict

    one, other = written_shape(made("one")), written_shape(made("other"))
    assert one == other
    assert list(one["properties"]) == ["title", "moment"]
