"""What fastavro takes for a body and Avro does not: indexes below zero and numbers that never end.

Its compiled reader counts an index from the end of a list, as Python does, and reads a varint of any length. The first
is stopped by what stands at the end of the lists, for the indexes of one byte: enum indexes down to -64, of unions only
-1; what lies below still counts from the end. The second is looked for only in bodies that could hold one.
"""

import re
from collections.abc import Mapping
from typing import Any

_NO_SYMBOL = "\0"
_NO_BRANCH = {"type": "enum"}
"""An enum without symbols can't be read; fastavro counts the records of a union, so it must be of a type it knows."""
_BELOW_ZERO = 64
"""So many indexes below zero fit one byte."""
_LONG = re.compile(rb"[\x80-\xff]{10}|\xff{9}\x01")
_INT = re.compile(rb"[\x80-\xff]{5}")
_FIXED_WIDTH = {"float": 4, "double": 8, "boolean": 1, "null": 0}


def guarded(parsed: Any) -> Any:
    """A schema of fastavro's `parse_schema`, in which the last branch of each union and the last symbols of each enum
    can't be read: what counts from the end meets them.
    """
    for part in (parsed, *parsed.get("__named_schemas", {}).values()):
        _guard(part)
    return parsed


def may_lie(schema: Any) -> "re.Pattern[bytes]":
    """What a body must hold to hold a number that is too long; most bodies do not, which is seen quickly."""
    return _INT if "int" in _kinds(schema) else _LONG


def check_numbers(schema: Any, body: bytes, start: int = 0) -> None:
    """Walk a body by its schema. Raises ValueError for a varint of more than 64 bits (an `int`: 32), or a block of
    2**63 items.
    """
    _Walk(schema.get("__named_schemas", {}), body, start).read(schema)


def _guard(part: Any) -> None:
    if isinstance(part, list):
        for branch in part:
            _guard(branch)
        if part and part[-1] is not _NO_BRANCH:
            part.append(_NO_BRANCH)
    elif isinstance(part, dict) and part is not _NO_BRANCH:
        for word in ("type", "items", "values"):
            _guard(part.get(word))
        for field in part.get("fields", ()):
            _guard(field["type"])
        if part.get("type") == "enum" and part["symbols"][-1] != _NO_SYMBOL:
            part["symbols"] = [*part["symbols"], *[_NO_SYMBOL] * _BELOW_ZERO]


def _kinds(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {kind for part in schema for kind in _kinds(part)}
    if not isinstance(schema, dict):
        return {str(schema)}
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[word] for word in ("type", "items", "values") if word in schema]
    return _kinds(inner)


class _Walk:
    """Skips over one body; what is otherwise wrong with it has been found by whoever read it."""

    def __init__(self, named: Mapping[str, Any], body: bytes, at: int) -> None:
        self._named, self._body, self._at = named, body, at

    def read(self, schema: Any) -> None:
        if isinstance(schema, list):
            return self.read(schema[self._number(10)])
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, (list, dict)):
            return self.read(kind)
        if isinstance(schema, str) and schema in self._named:
            return self.read(self._named[schema])
        if kind == "record":
            for field in schema["fields"]:
                self.read(field["type"])
        elif kind in ("array", "map"):
            self._blocks(schema)
        elif kind in ("bytes", "string"):
            length = self._number(10)
            self._at += length
        elif kind in ("int", "enum"):
            self._number(5)
        elif kind == "long":
            self._number(10)
        else:
            self._at += schema["size"] if kind == "fixed" else _FIXED_WIDTH[kind]
        return None

    def _blocks(self, schema: Mapping[str, Any]) -> None:
        while count := self._number(10):
            if count == -(2**63):
                raise ValueError("a block of 2**63 items")
            if count < 0:
                self._number(10)
            for _ in range(abs(count)):
                if schema["type"] == "map":
                    self.read("string")
                self.read(schema["values" if schema["type"] == "map" else "items"])

    def _number(self, most: int) -> int:
        begin, number = self._at, 0
        while True:
            byte = self._body[self._at]
            number |= (byte & 0x7F) << 7 * (self._at - begin)
            self._at += 1
            if byte < 0x80:
                break
            if self._at - begin == most:
                raise ValueError(f"a number of more than {most} bytes at byte {begin}")
        return (number >> 1) ^ -(number & 1)
