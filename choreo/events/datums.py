"""Single values on their way to Avro: decimals to bytes, enums to symbols, defaults to the JSON of a schema."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Context, Decimal
from enum import Enum
from typing import Any, TypeAlias
from uuid import UUID

from choreo.clock import EPOCH, to_micros

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OTHER = re.compile(r"[^A-Za-z0-9_]+")
Convert: TypeAlias = Callable[[Any], Any]


def decimal_bytes(precision: int, scale: int, size: int = 0) -> Convert:
    """How a Decimal becomes the bytes of an Avro decimal: its unscaled value, big endian, two's complement.

    `size`: that many bytes, for a fixed type; by default as few as it takes. Raises OverflowError for too few.
    """
    scaleb = Context(prec=max(28, precision)).scaleb

    def convert(value: Decimal) -> bytes:
        unscaled = int(scaleb(value, scale))
        least = (unscaled if unscaled >= 0 else ~unscaled).bit_length() // 8 + 1
        return unscaled.to_bytes(size or least, "big", signed=True)

    return convert


def wire_name(name: str) -> str:
    """The Avro name of a class: `Page_int` for `Page[int]`."""
    return _OTHER.sub("_", name).strip("_")


def enum_symbols(enum: type[Enum]) -> Mapping[str, Enum]:
    """The Avro symbols of an enum: its values where all are names, else the names of its members."""
    if all(isinstance(member.value, str) and NAME.fullmatch(member.value) for member in enum):
        return {member.value: member for member in enum}
    return {member.name: member for member in enum}


def enum_default(enum: type[Enum], symbols: Mapping[str, Enum]) -> str | None:
    """The symbol for what a reader does not know: the member that the enum's own `_missing_` answers."""
    try:
        fallback = enum._missing_("")
    except ValueError:
        return None
    return next((symbol for symbol, member in symbols.items() if member is fallback), None)


def to_millis(moment: datetime) -> int:
    """Milliseconds since 1970."""
    return to_micros(moment) // 1000


def local_to_millis(moment: datetime) -> int:
    """Milliseconds since 1970 of a date and time without a zone."""
    return to_millis(moment.replace(tzinfo=UTC))


def time_to_millis(moment: time) -> int:
    """Milliseconds since midnight."""
    return _micros_of_day(moment) // 1000


def default_json(datum: Any) -> Any:
    """A datum as the JSON that stands under "default" in a schema (Avro specification, "Complex Types")."""
    if isinstance(datum, tuple):
        return default_json(datum[1])  # a value of a union goes with the name of its branch
    if isinstance(datum, bytes):
        return datum.decode("latin-1")
    if isinstance(datum, datetime):
        return to_micros(datum if datum.tzinfo else datum.replace(tzinfo=UTC))
    if isinstance(datum, date):
        return (datum - EPOCH.date()).days
    if isinstance(datum, time):
        return _micros_of_day(datum)
    if isinstance(datum, UUID):
        return str(datum)
    if isinstance(datum, list):
        return [default_json(part) for part in datum]
    if isinstance(datum, dict):
        return {name: default_json(part) for name, part in datum.items()}
    return datum


def _micros_of_day(moment: time) -> int:
    return ((moment.hour * 60 + moment.minute) * 60 + moment.second) * 1_000_000 + moment.microsecond


def branch_name(avro: Any) -> str:
    """What a branch of a union is called: the type, or the name of a named type."""
    if isinstance(avro, str):
        return avro
    return str(avro.get("name", avro["type"]))
