"""Writes Avro bodies by Python made for one schema, straight from events. Other schemas are left to fastavro.

What is made is stricter than fastavro: it takes no number of more bits than its type has, no value for a field that has
none, nothing but a `bool` for a boolean, and no value of a union without the name of its branch.
"""

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from struct import Struct
from typing import Any, TypeAlias

from fastavro import parse_schema, schemaless_writer
from fastavro.const import NAMED_TYPES
from fastavro.schema import extract_record_type
from fastavro.write import LOGICAL_WRITERS

from choreo.events import varint
from choreo.events.shape import Shape
from choreo.events.source import NotGeneratedError, Source, literal

WriteBody: TypeAlias = Callable[[Any], bytes]
"""The prefix and the body of a value. Raises an exception of any class for a value that does not fit."""


def _raw(value: object) -> bytes:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"{type(value).__name__} is no bytes")


_KNOWN: dict[str, Any] = {
    "bits64": varint.write_bits,
    "bits32": varint.write_int_bits,
    "raw": _raw,
    "BOOLEAN": {True: 1, False: 0},
    "float32": Struct("<f").pack,
    "float64": Struct("<d").pack,
}
_LEAVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string", "fixed", "enum"})


def writer_of(schema: Any, shape: Shape, prefix: bytes = b"") -> WriteBody:
    """How values of this shape become bytes by a schema: after the prefix, what fastavro writes of their datum."""
    return generated_writer(schema, shape, prefix) or fastavro_writer(schema, shape, prefix)


def generated_writer(schema: Any, shape: Shape | None, prefix: bytes = b"") -> WriteBody | None:
    """The same by Python made for this schema; without a shape it takes datums. None where there can be none."""
    parsed = parse_schema(schema)
    named = parsed.get("__named_schemas", {}) if isinstance(parsed, dict) else {}
    try:
        return _Writer(named).function(parsed, shape, prefix)
    except NotGeneratedError:
        return None


def fastavro_writer(schema: Any, shape: Shape, prefix: bytes = b"") -> WriteBody:
    """The same by fastavro, for any schema."""
    parsed, to_datum = parse_schema(schema), shape.to_datum or dict

    def write_body(value: Any) -> bytes:
        body = BytesIO()
        body.write(prefix)
        schemaless_writer(body, parsed, to_datum(value))
        return body.getvalue()

    return write_body


class _Writer:
    """Writes the lines: `o` are the bytes so far. A value that is looked at twice gets a name first."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named, self._source = named, Source()

    def function(self, schema: Any, shape: Shape | None, prefix: bytes) -> WriteBody:
        """The function for a schema. Raises NotGeneratedError."""
        source = self._source
        source.add(f"o = bytearray({source.bind(prefix)})", "add = o.append")
        self._write(schema, shape, "value")
        source.add("return bytes(o)")
        return source.function("def made(value):", _KNOWN, "writes an Avro body")

    def _write(self, schema: Any, shape: Shape | None, value: str) -> None:
        """Add the lines that write what the expression `value` stands for: a value of the shape, or a datum."""
        if isinstance(schema, str) and schema in self._named:
            schema = self._named[schema]
        kind = extract_record_type(schema)
        if kind == "union":
            self._union(schema, shape, value)
        elif kind == "record":
            self._record(schema, shape, value)
        elif kind in ("array", "map"):
            self._items(schema, kind, shape, value)
        elif kind in _LEAVES:
            self._leaf(schema, kind, shape, value)
        else:
            raise NotGeneratedError(f"a type {kind}")

    def _leaf(self, schema: Any, kind: str, shape: Shape | None, value: str) -> None:
        logical = isinstance(schema, dict) and LOGICAL_WRITERS.get(f"{kind}-{schema.get('logicalType')}")
        if shape is not None and (shape.inner or shape.branch == "union"):
            raise NotGeneratedError(f"a {shape.branch} where the schema has {kind}")
        source = self._source
        if shape is not None and shape.to_datum:  # which leaves nothing to do for the logical type
            value = f"{source.bind(shape.to_datum)}({value})"
        elif logical:
            value = f"{source.bind(logical)}({value}, {source.bind(schema)})"
        if kind in ("int", "long"):
            self._number(value, "bits32" if kind == "int" else "bits64")
        elif kind == "string":
            source.add(f"s = {value}.encode()")
            self._sized()
        elif kind in ("bytes", "fixed"):
            source.add(f"s = {value}")
            with source.inside("if type(s) is not bytes:"):
                source.add("s = raw(s)")
            if kind == "bytes":
                self._sized()
                return
            with source.inside(f"if len(s) != {int(schema['size'])}:"):
                source.add(f'raise ValueError(f"{{len(s)}} bytes instead of {int(schema["size"])}")')
            source.add("o += s")
        elif kind == "enum":
            source.add(f"o += {source.bind(_symbols(schema['symbols']))}[{value}]")
        elif kind == "boolean":
            source.add(f"add(BOOLEAN[{value}])")
        elif kind in ("float", "double"):
            source.add(f"o += {'float32' if kind == 'float' else 'float64'}({value})")

    def _number(self, value: str, bits: str) -> None:
        source = self._source
        source.add(f"z = {value}", "z = z << 1 ^ z >> 63")  # never below zero, and too large where `value` is
        with source.inside("if z < 128:"):
            source.add("add(z)")
        with source.inside("elif z < 16384:"):
            source.add("add(z & 127 | 128)", "add(z >> 7)")
        with source.inside("else:"):
            source.add(f"{bits}(o, z)")

    def _sized(self) -> None:
        source = self._source
        source.add("z = len(s)")
        with source.inside("if z < 64:"):
            source.add("add(z << 1)")
        with source.inside("else:"):
            source.add("bits64(o, z << 1)")
        source.add("o += s")

    def _record(self, schema: Any, shape: Shape | None, value: str) -> None:
        source, fields = self._source, self._source.name()
        with source.within(schema["name"]):
            if shape is None:
                source.add(f"{fields} = {value}")
                for field in schema["fields"]:
                    self._write(field["type"], None, f"{fields}[{literal(field['name'])}]")
                return
            source.add(f"{fields} = {value}.__dict__")  # where a model keeps its fields
            known = {field.avro["name"]: field for field in _fields(shape)}
            for field in schema["fields"]:
                if field["name"] not in known:
                    raise NotGeneratedError(f"no field {field['name']}")
                known_field = known[field["name"]]
                self._write(field["type"], known_field.shape, f"{fields}[{literal(known_field.name)}]")

    def _items(self, schema: Any, kind: str, shape: Shape | None, value: str) -> None:
        source, items, item = self._source, self._source.name(), self._source.name()
        inner = None if shape is None else _item(shape, kind)
        source.add(f"{items} = {value}", f"z = len({items})")
        with source.inside("if z:"):
            with source.inside("if z < 64:"):
                source.add("add(z << 1)")
            with source.inside("else:"):
                source.add("bits64(o, z << 1)")
            if kind == "array":
                with source.inside(f"for {item} in {items}:", loops=1):
                    self._write(schema["items"], inner, item)
            else:
                with source.inside(f"for key, {item} in {items}.items():", loops=1):
                    source.add("s = key.encode()")
                    self._sized()
                    self._write(schema["values"], inner, item)
        source.add("add(0)")

    def _union(self, schema: list[Any], shape: Shape | None, value: str) -> None:
        source, found = self._source, self._source.name()
        branches = {_branch_name(part): (index, part) for index, part in enumerate(schema)}
        inner = shape.inner if shape is not None and shape.branch == "union" else None
        if shape is not None and shape.branch != "union":
            raise NotGeneratedError(f"a {shape.branch} where the schema has a union")
        if shape is not None and inner is None and shape.to_datum:
            value = f"{source.bind(shape.to_datum)}({value})"
        source.add(f"{found} = {value}")
        with source.inside(f"if {found} is None:"):
            self._index(branches["null"][0]) if "null" in branches else source.add('raise TypeError("no value")')
        with source.inside("else:"):
            if isinstance(inner, Shape):
                if inner.branch not in branches:
                    raise NotGeneratedError(f"no branch {inner.branch}")
                index, part = branches[inner.branch]
                self._index(index)
                self._write(part, inner, found)
                return
            branch = source.name()
            with source.inside(f"if type({found}) is not tuple:"):
                source.add(f'raise TypeError(f"{{type({found}).__name__}} without the name of its branch")')
            source.add(f"{branch}, {found} = {found}")
            for number, (name, (index, part)) in enumerate(branches.items()):
                with source.inside(f"{'elif' if number else 'if'} {branch} == {literal(name)}:"):
                    self._index(index)
                    self._write(part, None, found)
            with source.inside("else:"):
                source.add(f'raise ValueError(f"there is no branch {{{branch}}}")')

    def _index(self, index: int) -> None:
        self._source.add(f"o += {_bits(index << 1)!r}")


def _fields(shape: Shape) -> Sequence[Any]:
    if not isinstance(shape.inner, tuple):
        raise NotGeneratedError(f"a {shape.branch} where the schema has a record")
    return shape.inner


def _item(shape: Shape, kind: str) -> Shape:
    if shape.branch != kind or not isinstance(shape.inner, Shape):
        raise NotGeneratedError(f"a {shape.branch} where the schema has {kind}")
    return shape.inner


def _branch_name(part: Any) -> str:
    """What fastavro calls a branch: the name of a type that has one, else its type."""
    kind = extract_record_type(part)
    return str(part["name"] if kind in NAMED_TYPES else kind)


def _symbols(symbols: Sequence[str]) -> dict[str, bytes]:
    return {symbol: _bits(index << 1) for index, symbol in reversed([*enumerate(symbols)])}


def _bits(bits: int) -> bytes:
    out = bytearray()
    varint.write_bits(out, bits)
    return bytes(out)
