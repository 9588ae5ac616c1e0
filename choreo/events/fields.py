"""Facts about fields that pydantic has no word for: earlier names, Avro types, personal data; and Avro's bounds."""

from dataclasses import dataclass
from datetime import datetime, time
from struct import Struct
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, NaiveDatetime

_SINGLE = Struct("<f")
Moment = TypeVar("Moment", datetime, time)
T = TypeVar("T")

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class PersonalMark:
    """Personal data: masked on screens, erased with its subject."""


class Erased(str):
    """What is left of a personal field once its subject was erased: a text that says so, whatever the field's type."""

    __slots__ = ()


ERASED = Erased("erased")


class Formerly:
    """Earlier names of a field (Avro aliases): bodies written under them are still read."""

    def __init__(self, *names: str) -> None:
        self.names = names


@dataclass(frozen=True)
class AvroType:
    """Another Avro type than the one that the Python type would get."""

    name: str


@dataclass(frozen=True)
class Fixed:
    """`Annotated[bytes, Fixed(16)]`: exactly this many bytes, without a length on the wire.

    A Decimal or a UUID (of 16 bytes) can be written so too. `name` is the type's in the schema, `Fixed16` by default;
    with dots in it, it is one of another namespace.
    """

    size: int
    name: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        schema = handler(source)
        return {**schema, "min_length": self.size, "max_length": self.size} if source is bytes else schema


class AsUnion:
    """`Annotated[str | None, AsUnion("string", "null")]`: a union whose branches lie on the wire in this order.

    Otherwise null is first, or the branch of the default. A type by itself becomes a union of one. A branch is called
    as in Avro; a record, enum or fixed type by its name, with its namespace where another branch has the same.
    """

    def __init__(self, *branches: str) -> None:
        self.branches = branches  # the annotation can't say the order: Python takes A | B and B | A for one


def _whole_millis(moment: Moment) -> Moment:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _single(number: float) -> float:
    try:
        rounded: float = _SINGLE.unpack(_SINGLE.pack(number))[0]
    except OverflowError:
        raise ValueError("too large for 32 bits") from None
    return rounded


Personal = Annotated[T, PersonalMark()]
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1), AvroType("int")]
Int64 = Annotated[int, Field(ge=INT64_MIN, le=INT64_MAX)]
Millis = Annotated[datetime, AfterValidator(_whole_millis), AvroType("timestamp-millis")]
"""A moment in whole milliseconds; what is finer is cut off when the event is made, so that it reads back equal."""
TimeMillis = Annotated[time, AfterValidator(_whole_millis), AvroType("time-millis")]
"""A time of day in whole milliseconds."""
LocalMicros = Annotated[NaiveDatetime, AvroType("local-timestamp-micros")]
"""A date and a time of day of some place that the event does not tell."""
LocalMillis = Annotated[NaiveDatetime, AfterValidator(_whole_millis), AvroType("local-timestamp-millis")]
"""The same in whole milliseconds."""
Float32 = Annotated[float, AfterValidator(_single), AvroType("float")]
"""A number of single precision, rounded when the event is made."""

INNER = (
    "schema",
    "items_schema",
    "keys_schema",
    "values_schema",
    "extras_schema",
    "fields",
    "choices",
    "definitions",
    "steps",
    "lax_schema",
    "strict_schema",
    "json_schema",
    "python_schema",
)
"""Where a pydantic core schema holds others."""


def bound_to_avro(schema: Any) -> Any:
    """A pydantic core schema whose ints fit 64 bits, whose datetimes are aware and whose times are naive.

    Avro would write other values wrongly or not at all; so they are refused when the event is made.
    """
    if isinstance(schema, (list, tuple)):
        return type(schema)(bound_to_avro(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _BOUNDS:
        # What the field says itself wins, and is tighter: 2**63 is refused by either.
        return _BOUNDS[kind] | schema
    return {word: _inner(word, part) for word, part in schema.items()}


def _inner(word: str, part: Any) -> Any:
    if word == "fields" and isinstance(part, dict):
        return {name: bound_to_avro(field) for name, field in part.items()}
    return bound_to_avro(part) if word in INNER else part


_BOUNDS: dict[str, dict[str, Any]] = {
    "int": {"ge": INT64_MIN, "le": INT64_MAX},
    "datetime": {"tz_constraint": "aware"},
    "time": {"tz_constraint": "naive"},
}
