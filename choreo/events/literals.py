"""Values as Python source: texts, docstrings, and the defaults of Avro schemas."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from inspect import cleandoc
from json import dumps
from math import isfinite
from typing import Any
from uuid import UUID

from choreo.clock import EPOCH
from choreo.events.schema import logical_type, type_of

Expression = tuple[str, set[str]]
"""Source, and the names that it needs imported."""
_UNITS = {"millis": timedelta(milliseconds=1), "micros": timedelta(microseconds=1)}


def literal(text: str) -> str:
    """A text in double quotes, on one line, safe whatever it holds."""
    return dumps(text, ensure_ascii=False) if text.isprintable() else repr(text)


def docstring(text: str, indent: int = 0) -> str:
    """A docstring that says `text`; lines after the first are indented by so many blanks."""
    lines = cleandoc(text).splitlines() or [""]
    plain = all(line.isprintable() for line in lines) and '"""' not in text and "\\" not in text
    if not plain or lines[-1].endswith('"'):
        return repr(cleandoc(text))
    ending = [" " * indent] if len(lines) > 1 else []
    return '"""' + "\n".join([lines[0], *(" " * indent * bool(line) + line for line in lines[1:]), *ending]) + '"""'


def values_of(schema: Any) -> Callable[[Any], Expression]:
    """How a default of a primitive or fixed type, as the JSON of its schema, is written in Python.

    The function raises TypeError, ValueError or AttributeError for a default of another type.
    """
    kind, logical = type_of(schema), logical_type(schema)
    if logical == "decimal" and kind in ("bytes", "fixed"):
        return lambda value: _decimal(value, int(schema.get("scale", 0)))
    if logical == "uuid" and kind in ("string", "fixed"):
        as_text = kind == "string"
        return lambda value: (f'UUID("{UUID(value) if as_text else UUID(bytes=value.encode("latin-1"))}")', {"UUID"})
    if kind in ("bytes", "fixed"):
        return lambda value: (repr(value.encode("latin-1")), set())
    if logical == "date" and kind == "int":
        return lambda value: (_called(EPOCH.date() + timedelta(days=_whole(value))), {"date"})
    if logical and kind in ("int", "long") and logical.rpartition("-")[2] in _UNITS:
        return lambda value: _moment(logical, _whole(value))
    return lambda value: (_plain(kind, value), set())


def _plain(kind: str, value: Any) -> str:
    if kind == "null" and value is None:
        return "None"
    if kind == "boolean" and isinstance(value, bool):
        return str(value)
    if kind in ("int", "long"):
        return str(_whole(value))
    if kind in ("float", "double") and not isinstance(value, bool):
        number = float(value)
        return repr(number) if isfinite(number) else f'float("{number}")'
    if kind == "string" and isinstance(value, str):
        return literal(value)
    raise TypeError(f"it is {type(value).__name__}")


def _moment(logical: str, value: int) -> Expression:
    since = value * _UNITS[logical.rpartition("-")[2]]
    if logical.startswith("time-"):
        if not 0 <= value * _UNITS[logical.rpartition("-")[2]] / timedelta(days=1) < 1:
            raise ValueError("it is no time of day")
        return f'time.fromisoformat("{(EPOCH + since).time().isoformat()}")', {"time"}
    moment = EPOCH + since
    return _called(moment if logical.startswith("timestamp") else moment.replace(tzinfo=None)), {"datetime"}


def _called(moment: date) -> str:
    name = "datetime" if isinstance(moment, datetime) else "date"
    return f'{name}.fromisoformat("{moment.isoformat()}")'


def _decimal(value: Any, scale: int) -> Expression:
    unscaled = int.from_bytes(value.encode("latin-1"), "big", signed=True)
    return f'Decimal("{Decimal(unscaled).scaleb(-scale):f}")', {"Decimal"}


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"it is {type(value).__name__}")
    return value
