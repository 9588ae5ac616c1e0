"""Reads Avro bodies by Python made for one schema; what nobody asks for is skipped. Other schemas are left to fastavro.

What is skipped is checked as far as it must be walked over: its lengths, counts and indexes, but not whether a text is
UTF-8 or a moment lies within the years that Python knows.
"""

from collections.abc import Callable, Mapping
from struct import Struct
from struct import error as StructError
from typing import Any, TypeAlias

from fastavro import parse_schema
from fastavro.const import AVRO_TYPES
from fastavro.read import LOGICAL_READERS
from fastavro.schema import extract_record_type

from choreo.events import varint
from choreo.events.resolution import UNASKED
from choreo.events.source import NotGeneratedError, Source, literal
from choreo.events.strict import Reader

ReadBody: TypeAlias = Callable[[bytes, int], Any]
"""The datum that lies in these bytes from this index to their end."""

_KNOWN: dict[str, Any] = {
    "long": varint.read_long,
    "int32": varint.read_int,
    "span": varint.read_span,
    "block": varint.read_block,
    "skip_long": varint.SKIP_LONG,
    "skip_int": varint.SKIP_INT,
    "Z": varint.ZIGZAG,
    "T": varint.TEXT_SPAN,
    "float32": Struct("<f").unpack_from,
    "float64": Struct("<d").unpack_from,
    "Misread": (LookupError, ArithmeticError, AttributeError, TypeError, StructError),
}
"""The names that lines use. `Misread`: what reading behind the end raises, and logical types for what is none."""
_FIXED_WIDTH = {"null": 0, "boolean": 1, "float": 4, "double": 8}
_LEAST = _FIXED_WIDTH | dict.fromkeys(("int", "long", "bytes", "string", "enum", "array", "map"), 1)
"""How many bytes a value of a type takes at least."""
_KINDS = frozenset(_LEAST) | {"fixed", "record", "union"}
_MOST_BRANCHES = 50


def reader_of(schema: Any) -> ReadBody:
    """How bodies of a schema are read that `resolution.resolve` gave: one schema, what is not asked for marked.

    The datum is fastavro's, with the name of each record of a union of several records, and without what is unasked.
    The function raises an exception of any class for a body that is malformed, cut short or goes on too long.
    """
    return generated_reader(schema) or fastavro_reader(schema)


def generated_reader(schema: Any) -> ReadBody | None:
    """The same by Python made for this schema; raises nothing but ValueError. None where there can be none."""
    parsed = parse_schema(schema)
    try:
        return _Reader(parsed.get("__named_schemas", {}) if isinstance(parsed, dict) else {}).function(parsed)
    except NotGeneratedError:
        return None


def fastavro_reader(schema: Any) -> ReadBody:
    """The same by fastavro, for any schema: everything is read, and unasked fields stand in the datum too."""
    return Reader(schema, tells_records=True).body


class _Reader:
    """Writes the lines: `b` is the body, `i` the index of the next byte, `n` the length of the body.

    Nothing ever lowers `i`: what was cut short leaves it behind `n`, where reading on fails, and else the last line.
    """

    def __init__(self, named: Mapping[str, Any]) -> None:
        self._named = named
        self._extents: dict[str, tuple[int, int | None]] = {}
        self._source = Source()

    def function(self, schema: Any) -> ReadBody:
        """The function for a schema. Raises NotGeneratedError."""
        source = self._source
        source.add("n = len(b)")
        with source.inside("try:"):
            result = self._read(schema)
            with source.inside("if i == n:"):
                source.add(f"return {result}")
        with source.inside("except Misread as error:"):
            source.add('raise ValueError(f"it is malformed or cut short: {error}") from error')
        source.add('raise ValueError(f"{n - i} bytes follow its end" if i < n else "it is cut short")')
        return source.function("def made(b, i):", _KNOWN, "reads an Avro body")

    def _read(self, schema: Any) -> str:
        """Add the lines that read a value; the expression that stands for it."""
        schema, kind = self._full(schema)
        if isinstance(schema, list):
            return self._union(schema, asked=True)
        if kind == "record":
            value = self._record(schema)
        elif kind in ("array", "map"):
            value = self._blocks(schema, kind, asked=True)
        else:
            value = self._leaf(schema, kind)
        logical = isinstance(schema, dict) and LOGICAL_READERS.get(f"{kind}-{schema.get('logicalType')}")
        if not logical:
            return value
        name = self._source.name()
        self._source.add(f"{name} = {self._source.bind(logical)}({value}, {self._source.bind(schema)})")
        return name

    def _skip(self, schema: Any) -> None:
        """Add the lines that walk over a value."""
        schema, kind = self._full(schema)
        size = self._extent(schema)[1]
        if size is not None:
            if size:
                self._source.add(f"i += {size}")
        elif isinstance(schema, list):
            self._union(schema, asked=False)
        elif kind == "record":
            with self._source.within(schema["name"]):
                for field in schema["fields"]:
                    self._skip(field["type"])
        elif kind in ("array", "map"):
            self._blocks(schema, kind, asked=False)
        elif kind in ("string", "bytes"):
            self._skip_text()
        elif kind == "enum":
            self._source.add(self._symbol(schema))
        else:
            self._skip_number("skip_long" if kind == "long" else "skip_int")

    def _leaf(self, schema: Any, kind: str) -> str:
        source, name = self._source, self._source.name()
        if kind == "null":
            return "None"
        if kind == "string":
            self._text()
            source.add(f"{name} = b[j:i].decode()")
        elif kind == "bytes":
            self._text()
            source.add(f"{name} = b[j:i]")
        elif kind in ("int", "long"):
            self._number(name, "long" if kind == "long" else "int32")
        elif kind == "enum":
            source.add(f"{name} = {self._symbol(schema)}")
        elif kind == "boolean":
            source.add(f"{name} = b[i] != 0", "i += 1")
        elif kind == "fixed":
            source.add(f"{name} = b[i:i + {schema['size']}]", f"i += {schema['size']}")
        else:
            source.add(f"{name}, = {'float32' if kind == 'float' else 'float64'}(b, i)", f"i += {_FIXED_WIDTH[kind]}")
        return name

    def _symbol(self, schema: Any) -> str:
        symbols = {index << 1: symbol for index, symbol in enumerate(schema["symbols"])}
        self._source.add("k = b[i]", "i += 1")
        with self._source.inside("if k > 127:"):
            self._source.add("k, i = int32(b, i - 1)", "k <<= 1")
        return f"{self._source.bind(symbols)}[k]"

    def _number(self, name: str, long: str) -> None:
        source = self._source
        with source.inside("if (k := b[i]) < 128:"):
            source.add(f"{name} = Z[k]", "i += 1")
        with source.inside("elif (m := b[i + 1]) < 128:"):
            source.add(f"{name} = Z[k] - (m << 6) if k & 1 else Z[k] + (m << 6)", "i += 2")
        with source.inside("else:"):
            source.add(f"{name}, i = {long}(b, i)")

    def _text(self) -> None:
        """A text lies from j to i."""
        source = self._source
        with source.inside("if (k := b[i]) < 128:"):
            source.add("j = i + 1", "i += T[k]")  # which can't be added where the length is below zero
        with source.inside("else:"):
            source.add("j, i = span(b, i)")

    def _skip_text(self) -> None:
        source = self._source
        with source.inside("if (k := b[i]) < 128:"):
            source.add("i += T[k]")
        with source.inside("else:"):
            source.add("i = span(b, i)[1]")

    def _skip_number(self, skip: str) -> None:
        source = self._source
        with source.inside("if b[i] < 128:"):
            source.add("i += 1")
        with source.inside("else:"):
            source.add(f"i = {skip}(b, i).end()")

    def _record(self, schema: Any) -> str:
        values = []
        with self._source.within(schema["name"]):
            for field in schema["fields"]:
                if field.get(UNASKED):
                    self._skip(field["type"])
                else:
                    values.append(f"{literal(field['name'])}: {self._read(field['type'])}")
        return "{" + ", ".join(values) + "}"

    def _blocks(self, schema: Any, kind: str, asked: bool) -> str:
        """An array or a map: blocks of items until one of none."""
        source, name = self._source, self._source.name()
        inner = schema["items" if kind == "array" else "values"]
        least, size = self._extent(inner)
        least += kind == "map"
        if not least:
            raise NotGeneratedError("items that take no bytes: a few bytes could promise billions of them")
        if asked:
            source.add(f"{name} = {'[]' if kind == 'array' else '{}'}")
        source.add("k = b[i]", "i += 1")
        with source.inside("while k:", loops=2):
            with source.inside("if k & 129:"):
                source.add("k, i = block(b, i - 1)")
                with source.inside("if not k:"):
                    source.add("break")
            with source.inside("else:"):
                source.add("k >>= 1")
            with source.inside(f"if k * {least} > n - i:"):
                source.add('raise ValueError(f"{k} items in {n - i} bytes")')
            if not asked and kind == "array" and size is not None:
                source.add(f"i += k * {size}")
            else:
                with source.inside("for _ in range(k):"):
                    self._item(inner, kind, name if asked else None)
            source.add("k = b[i]", "i += 1")
        return name

    def _item(self, inner: Any, kind: str, into: str | None) -> None:
        source = self._source
        if into is None:
            if kind == "map":
                self._skip_text()
            self._skip(inner)
        elif kind == "array":
            source.add(f"{into}.append({self._read(inner)})")
        else:
            key = source.name()
            self._text()
            source.add(f"{key} = b[j:i].decode()")
            source.add(f"{into}[{key}] = {self._read(inner)}")

    def _union(self, schema: list[Any], asked: bool) -> str:
        source, name, index = self._source, self._source.name(), self._source.name()
        if len(schema) > _MOST_BRANCHES:
            raise NotGeneratedError(f"a union of more than {_MOST_BRANCHES}")
        source.add(f"{index} = b[i]", "i += 1")
        with source.inside(f"if {index} > 127:"):
            source.add(f"{index}, i = long(b, i - 1)", f"{index} <<= 1")
        for number, part in enumerate(schema):
            with source.inside(f"{'elif' if number else 'if'} {index} == {2 * number}:"):
                if not asked:
                    self._skip(part)
                    continue
                value, called = self._read(part), self._branch_name(schema, part)
                source.add(f"{name} = {value if called is None else f'({literal(called)}, {value})'}")
        with source.inside("else:"):
            source.add('raise ValueError(f"there is no such branch, before byte {i}")')
        return name

    def _branch_name(self, union: list[Any], part: Any) -> str | None:
        """What fastavro says of a datum of several records: the name of its record, or of any type given by name."""
        kinds = [extract_record_type(branch) for branch in union]
        kind = extract_record_type(part)
        if sum(each == "record" or each not in AVRO_TYPES for each in kinds) == 1:
            return None
        if kind == "record":
            return str(part["name"])
        return None if kind in AVRO_TYPES else str(self._named[kind]["name"])

    def _extent(self, schema: Any) -> tuple[int, int | None]:
        """How many bytes a value takes at least; how many each value takes, None where they differ."""
        schema, kind = self._full(schema)
        if isinstance(schema, list):
            return 1 + min((self._extent(part)[0] for part in schema), default=0), None
        if kind == "fixed":
            return schema["size"], schema["size"]
        if kind != "record":
            return _LEAST[kind], (_LEAST[kind] if kind in _FIXED_WIDTH else None)
        name = schema["name"]
        if name not in self._extents:  # records that name one another would else be walked over and over
            with self._source.within(schema["name"]):
                found = [self._extent(field["type"]) for field in schema["fields"]]
            sizes = [size for _, size in found if size is not None]
            least = sum(least for least, _ in found)
            self._extents[name] = least, (sum(sizes) if len(sizes) == len(found) else None)
        return self._extents[name]

    def _full(self, schema: Any) -> tuple[Any, str]:
        """A schema, written out, and its type."""
        kind = extract_record_type(schema)
        if isinstance(schema, str) and kind in self._named:
            schema = self._named[kind]
            kind = extract_record_type(schema)
        if not isinstance(kind, str) or kind not in _KINDS:
            raise NotGeneratedError(f"a type {kind}")
        if kind == "fixed" and not (type(schema["size"]) is int and schema["size"] >= 0):
            raise NotGeneratedError(f"a size of {schema['size']}")
        return schema, kind
