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
    "int64": varint.long_bits,
    "int32": varint.int_bits,
    "LAST": varint.LAST,
    "MORE": varint.MORE,
    "raw": _raw,
    "BOOLEAN": {True: b"\1", False: b"\0"},
    "float32": Struct("<f").pack,
    "float64": Struct("<d").pack,
}
_ADDED = 3
"""So many bytes objects are added to one another; more are joined, which costs a tuple."""
_LEAVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string", "fixed", "enum"})


def writer_of(schema: Any, shape: Shape | None, prefix: bytes = b"") -> WriteBody:
    """How values of this shape, or datums where it is None, become bytes: after the prefix, as fastavro writes them."""
    return generated_writer(schema, shape, prefix) or fastavro_writer(schema, shape, prefix)


def generated_writer(schema: Any, shape: Shape | None, prefix: bytes = b"") -> WriteBody | None:
    """The same by Python made for this schema; without a shape it takes datums. None where there can be none."""
    parsed = parse_schema(schema)
    named = parsed.get("__named_schemas", {}) if isinstance(parsed, dict) else {}
    try:
        return _Writer(named).function(parsed, shape, prefix)
    except NotGeneratedError:
        return None


def fastavro_writer(schema: Any, shape: Shape | None, prefix: bytes = b"") -> WriteBody:
    """The same by fastavro, for any schema."""
    parsed, to_datum = parse_schema(schema), (shape and shape.to_datum) or dict

    def write_body(value: Any) -> bytes:
        body = BytesIO()
        body.write(prefix)
        schemaless_writer(body, parsed, to_datum(value))
        return body.getvalue()

    return write_body


class _Writer:
    """Writes the lines. Each method answers the expressions whose bytes, one after the other, are the value."""

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named, self._source = named, Source()

    def function(self, schema: Any, shape: Shape | None, prefix: bytes) -> WriteBody:
        """The function for a schema. Raises NotGeneratedError."""
        source = self._source
        parts = self._write(schema, shape, "value")
        source.add(f"return {_joined([source.bind(prefix), *parts])}")
        return source.function("def made(value):", _KNOWN, "writes an Avro body")

    def _write(self, schema: Any, shape: Shape | None, value: str) -> list[str]:
        """Add the lines that write what the expression `value` stands for: a value of the shape, or a datum."""
        if isinstance(schema, str) and schema in self._named:
            schema = self._named[schema]
        kind = extract_record_type(schema)
        if kind == "union":
            return self._union(schema, shape, value)
        if kind == "record":
            return self._record(schema, shape, value)
        if kind in ("array", "map"):
            return self._items(schema, kind, shape, value)
        if kind not in _LEAVES:
            raise NotGeneratedError(f"a type {kind}")
        if shape is not None and (shape.inner or shape.branch == "union"):
            raise NotGeneratedError(f"a {shape.branch} where the schema has {kind}")
        logical = isinstance(schema, dict) and LOGICAL_WRITERS.get(f"{kind}-{schema.get('logicalType')}")
        if shape is not None and shape.to_datum:  # which leaves nothing to do for the logical type
            value = f"{self._source.bind(shape.to_datum)}({value})"
        elif logical:
            value = f"{self._source.bind(logical)}({value}, {self._source.bind(schema)})"
        return self._leaf(schema, kind, value)

    def _leaf(self, schema: Any, kind: str, value: str) -> list[str]:
        source, name = self._source, self._source.name()
        if kind == "null":
            return []
        if kind in ("int", "long"):
            source.add(f"z = {value}", "z = z << 1 ^ z >> 63")  # never below zero, and too large where `value` is
            source.add(f"{name} = {_number('int32' if kind == 'int' else 'int64')}")
        elif kind == "string":
            source.add(f"{name} = {value}.encode()")
            return [self._length(name), name]
        elif kind in ("bytes", "fixed"):
            source.add(f"{name} = {value}")
            with source.inside(f"if type({name}) is not bytes:"):
                source.add(f"{name} = raw({name})")
            if kind == "bytes":
                return [self._length(name), name]
            with source.inside(f"if len({name}) != {int(schema['size'])}:"):
                source.add(f'raise ValueError(f"{{len({name})}} bytes instead of {int(schema["size"])}")')
        elif kind == "enum":
            source.add(f"{name} = {source.bind(_symbols(schema['symbols']))}[{value}]")
        elif kind == "boolean":
            source.add(f"{name} = BOOLEAN[{value}]")
        else:
            source.add(f"{name} = {'float32' if kind == 'float' else 'float64'}({value})")
        return [name]

    def _length(self, value: str) -> str:
        """The length of what has this name, as a number."""
        name = self._source.name()
        self._source.add(f"z = len({value}) << 1", f"{name} = {_number('int64')}")
        return name

    def _record(self, schema: Any, shape: Shape | None, value: str) -> list[str]:
        source, fields, parts = self._source, self._source.name(), list[str]()
        # where a model keeps its fields
        source.add(f"{fields} = {value}" if shape is None else f"{fields} = {value}.__dict__")
        known = {} if shape is None else {field.avro["name"]: field for field in _fields(shape)}
        with source.within(schema["name"]):
            for field in schema["fields"]:
                name = field["name"]
                if shape is None:
                    parts += self._write(field["type"], None, f"{fields}[{literal(name)}]")
                elif name in known:
                    parts += self._write(field["type"], known[name].shape, f"{fields}[{literal(known[name].name)}]")
                else:
                    raise NotGeneratedError(f"no field {name}")
        return parts

    def _items(self, schema: Any, kind: str, shape: Shape | None, value: str) -> list[str]:
        source = self._source
        items, item, written, name = (source.name() for _ in range(4))
        inner = None if shape is None else _item(shape, kind)
        source.add(f"{items} = {value}", f"z = len({items}) << 1")
        with source.inside("if z:"):
            source.add(f"{written} = [{_number('int64')}]")
            each = f"{item} in {items}" if kind == "array" else f"key, {item} in {items}.items()"
            with source.inside(f"for {each}:", loops=1):
                parts = self._write("string", None, "key") if kind == "map" else []
                parts += self._write(schema["items" if kind == "array" else "values"], inner, item)
                source.add(f"{written} += ({''.join(f'{part}, ' for part in parts)})")
            source.add(f"{written}.append(LAST[0])", f"{name} = b''.join({written})")
        with source.inside("else:"):
            source.add(f"{name} = LAST[0]")
        return [name]

    def _union(self, schema: list[Any], shape: Shape | None, value: str) -> list[str]:
        source, found, name = self._source, self._source.name(), self._source.name()
        branches = {_branch_name(part): (index, part) for index, part in enumerate(schema)}
        if shape is not None and shape.branch != "union":
            raise NotGeneratedError(f"a {shape.branch} where the schema has a union")
        inner = None if shape is None else shape.inner
        if shape is not None and inner is None and shape.to_datum:
            value = f"{source.bind(shape.to_datum)}({value})"
        source.add(f"{found} = {value}")
        with source.inside(f"if {found} is None:"):
            source.add(
                f"{name} = {_bits(branches['null'][0])}" if "null" in branches else "raise TypeError('no value')"
            )
        if isinstance(inner, Shape):
            if inner.branch not in branches:
                raise NotGeneratedError(f"no branch {inner.branch}")
            with source.inside("else:"):
                self._branch(*branches[inner.branch], inner, found, name)
            return [name]
        with source.inside(f"elif type({found}) is not tuple:"):
            source.add(f'raise TypeError(f"{{type({found}).__name__}} without the name of its branch")')
        with source.inside("else:"):
            source.add(f"branch, {found} = {found}")
            for number, (called, (index, part)) in enumerate(branches.items()):
                with source.inside(f"{'elif' if number else 'if'} branch == {literal(called)}:"):
                    self._branch(index, part, None, found, name)
            with source.inside("else:"):
                source.add('raise ValueError(f"there is no branch {branch}")')
        return [name]

    def _branch(self, index: int, part: Any, shape: Shape | None, value: str, name: str) -> None:
        self._source.add(f"{name} = {_joined([_bits(index), *self._write(part, shape, value)])}")


def _number(larger: str) -> str:
    """The bytes of `z`, which is after zig-zag; `larger` makes those of more than three."""
    two = "MORE[z & 127] + LAST[z >> 7] if z < 16384"
    three = "MORE[z & 127] + MORE[z >> 7 & 127] + LAST[z >> 14] if z < 2097152"
    return f"LAST[z] if z < 128 else {two} else {three} else {larger}(z)"


def _joined(parts: Sequence[str]) -> str:
    if len(parts) <= _ADDED:
        return " + ".join(parts)
    return f"b''.join(({', '.join(parts)}))"


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
    return {symbol: varint.long_bits(index << 1) for index, symbol in reversed([*enumerate(symbols)])}


def _bits(index: int) -> str:
    """A branch's index as a literal."""
    return repr(varint.long_bits(index << 1))
