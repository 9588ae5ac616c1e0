"""What fastavro takes for a body and Avro does not: indexes below zero, numbers that never end, items without bytes.

Its compiled reader counts an index from the end of a list, as Python does; here symbols and branches lie under their
numbers instead. It reads a varint of any length; that is looked for only in bodies that could hold one. And it makes
as many empty items as a block promises; those are counted first, in the schemas that have them.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from io import BytesIO
from typing import Any

from fastavro import _read_py, parse_schema, schemaless_reader
from fastavro.const import AVRO_TYPES

from choreo.events.schema import is_recursive, named_types, normalised, takes_no_bytes, type_of

_LONG = re.compile(rb"[\x80-\xff]{9}[\x02-\xff]|\xff{9}\x01")
_INT = re.compile(rb"[\x80-\xff]{4}[\x10-\xff]")
"""A number of more than 64 or 32 bits, or a block of 2**63 items; text that is not ASCII looks alike."""
_RECORDS = ("record", "error")
_FIXED_WIDTH = {"float": 4, "double": 8, "boolean": 1, "null": 0}
_MOST_EMPTY_ITEMS = 1_000_000
"""So many items without bytes one body may hold: more than anyone means, less than fills a memory."""


class Reader:
    """Reads the bodies of one schema, strictly. Raises SchemaError, and what fastavro raises for a schema of none.

    `tells_records`: of a union of several records the datum is (name, record), which `Shape.from_datum` goes by.
    """

    def __init__(self, schema: Any, *, tells_records: bool = False) -> None:
        full = normalised(schema)
        # On bodies of great depth the compiled reader overruns the stack and ends the process: Python's raises.
        self._read: Callable[..., Any] = _read_py.schemaless_reader if is_recursive(full) else schemaless_reader
        self._parsed, self._tells_records = _parsed(schema), tells_records
        self._may_lie = may_lie(full).search
        self._is_empty, self._has_empty_items = takes_no_bytes(full), _has_empty_items(full, named_types(full))

    def body(self, value: bytes, start: int = 0) -> Any:
        """The datum from byte `start` to the end. Raises ValueError, EOFError, IndexError and whatever else fastavro
        raises for garbage.
        """
        stream = BytesIO(value)
        stream.seek(start)
        (datum,) = self.some(stream, 1)
        if left := len(value) - stream.tell():
            raise ValueError(f"{left} bytes follow its end")
        return datum

    def some(self, stream: BytesIO, count: int) -> list[Any]:
        """The next data of a stream, so many. Raises as `body` does."""
        value, start, tells = stream.getvalue(), stream.tell(), self._tells_records
        if count < 0 or (self._is_empty and count > _MOST_EMPTY_ITEMS):
            raise ValueError(f"{count} bodies in {len(value) - start} bytes")
        if self._has_empty_items:  # once they are read they fill the memory
            check_numbers(self._parsed, value, start, count)
        found = [self._read(stream, self._parsed, None, tells, tells) for _ in range(count)]
        if self._may_lie(value, start, stream.tell()):
            check_numbers(self._parsed, value, start, count)
        return found


def guarded(parsed: Any) -> Any:
    """A schema of fastavro's `parse_schema`, changed in place: an index that is no symbol or branch raises IndexError.

    It is for reading only.
    """
    for part in (parsed, *parsed.get("__named_schemas", {}).values()):
        _guard(part)
    return parsed


def may_lie(schema: Any) -> "re.Pattern[bytes]":
    """What a body must hold to hold a number that is too long; most bodies do not, which is seen quickly."""
    return _INT if {"int", "enum"} & _kinds(schema) else _LONG


def check_numbers(schema: Any, body: bytes, start: int = 0, count: int = 1) -> None:
    """Walk so many bodies by their schema. Raises ValueError for a number of more than 64 bits (`int`: 32), a block of
    2**63 items and more than a million items without bytes, EOFError or IndexError for a body that is cut short.
    """
    walk = _Walk(schema.get("__named_schemas", {}), body, start)
    for _ in range(count):
        walk.read(schema)


class _Numbered(dict[Any, Any]):
    """Symbols or branches under their numbers. Iterates over the records among them, and over what stands there as a
    name: fastavro, which is used to a list, counts these for each body.
    """

    def __init__(self, word: str, parts: Sequence[Any], **more: str) -> None:
        super().__init__(enumerate(parts), **more)
        self.word, self.parts = word, tuple(parts)
        self._counted = tuple(part for part in parts if type_of(part) not in AVRO_TYPES or type_of(part) in _RECORDS)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._counted)

    def __missing__(self, index: object) -> Any:
        raise IndexError(f"there is no {self.word} {index}")


def _parsed(schema: Any) -> Any:
    """A guarded schema of any type; fastavro would parse one that is no record anew for each body."""
    named: dict[str, Any] = {}
    holder: dict[str, Any] = {"type": parse_schema(schema, named)}
    for part in (holder, *named.values()):
        _guard(part)
    top = holder["type"]
    top = {"type": top} if isinstance(top, str) else top
    top |= {"__fastavro_parsed": True, "__named_schemas": named}
    return top


def _guard(part: Any) -> None:
    """Number the unions and the symbols of enums inside of a schema."""
    if isinstance(part, _Numbered) or not isinstance(part, dict):
        return
    holders = [(part, word) for word in ("type", "items", "values") if word in part]
    for holder, word in holders + [(field, "type") for field in part.get("fields", ())]:
        inner = holder[word]
        for branch in inner if isinstance(inner, list) else [inner]:
            _guard(branch)
        if isinstance(inner, list):
            holder[word] = _Numbered("branch", inner, type="union")
    if part.get("type") == "enum" and not isinstance(part["symbols"], _Numbered):
        part["symbols"] = _Numbered("symbol", part["symbols"])


def _kinds(schema: Any) -> set[str]:
    if isinstance(schema, (list, _Numbered)):
        return {kind for part in (schema if isinstance(schema, list) else schema.parts) for kind in _kinds(part)}
    if not isinstance(schema, dict):
        return {str(schema)}
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[word] for word in ("type", "items", "values") if word in schema]
    return _kinds(inner)


def _has_empty_items(schema: Any, named: Mapping[str, Any]) -> bool:
    """Whether an array somewhere in a normalised schema holds items that take no bytes."""
    if isinstance(schema, list):
        return any(_has_empty_items(part, named) for part in schema)
    if not isinstance(schema, dict):
        return False
    if schema["type"] == "array" and takes_no_bytes(schema["items"], named):
        return True
    inner = [field["type"] for field in schema.get("fields", ())]
    return _has_empty_items(inner + [schema[word] for word in ("items", "values") if word in schema], named)


class _Walk:
    """Skips over bodies; what is otherwise wrong with them is found by whoever reads them."""

    def __init__(self, named: Mapping[str, Any], body: bytes, at: int) -> None:
        self._named, self._body, self._at = named, body, at
        self._empty_items = 0

    def read(self, schema: Any) -> None:
        if isinstance(schema, _Numbered):
            return self.read(schema[self._number(10, 64)])
        kind = schema["type"] if isinstance(schema, dict) else schema
        if isinstance(kind, dict):
            return self.read(kind)
        if isinstance(schema, str) and schema in self._named:
            return self.read(self._named[schema])
        if kind in _RECORDS:
            for field in schema["fields"]:
                self.read(field["type"])
        elif kind in ("array", "map"):
            self._blocks(schema)
        elif kind in ("bytes", "string"):
            self._skip(self._number(10, 64))
        elif kind in ("int", "enum"):
            self._number(5, 32)
        elif kind == "long":
            self._number(10, 64)
        else:
            self._skip(schema["size"] if kind == "fixed" else _FIXED_WIDTH[kind])
        return None

    def _blocks(self, schema: Mapping[str, Any]) -> None:
        while count := self._number(10, 64):
            if count == -(2**63):
                raise ValueError("a block of 2**63 items")
            if count < 0:
                self._number(10, 64)
            for _ in range(abs(count)):
                begin = self._at
                if schema["type"] == "map":
                    self.read("string")
                self.read(schema["values" if schema["type"] == "map" else "items"])
                if self._at == begin:  # nor does any other of them take bytes
                    self._empty_items += abs(count)
                    break
            if self._empty_items > _MOST_EMPTY_ITEMS:
                raise ValueError(f"{self._empty_items} items that take no bytes")

    def _skip(self, length: int) -> None:
        if not 0 <= length <= len(self._body) - self._at:
            raise EOFError(f"{length} bytes are said to follow byte {self._at} of {len(self._body)}")
        self._at += length

    def _number(self, most: int, bits: int) -> int:
        begin, number = self._at, 0
        while True:
            byte = self._body[self._at]
            number |= (byte & 0x7F) << 7 * (self._at - begin)
            self._at += 1
            if byte < 0x80:
                break
            if self._at - begin == most:
                raise ValueError(f"a number of more than {most} bytes at byte {begin}")
        if number >> bits:
            raise ValueError(f"a number of more than {bits} bits at byte {begin}")
        return (number >> 1) ^ -(number & 1)
