"""Can values of one shape be read as another? Two JSON Schemas in, what does not fit out, each with its path.

The rules are those of schema resolution in Avro, told of JSON: a field may come with a default and may go, a whole
number may become any number, and what was bounded may be bounded less.
"""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

from choreo.state.value_shape import Shape

_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties", "maxDigits", "decimalPlaces")
_ALIKE = ("pattern", "multipleOf")
_KINDS = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}


def misfits(written: Shape, reading: Shape) -> list[str]:
    """Why values that were written in one shape may not be read in another; nothing where they all can be."""
    return list(_Walk().read(_Part(written, {}), _Part(reading, {}), ""))


def in_words(shape: Shape) -> str:
    """A shape as a message names it: `a record of points, spent`."""
    return said(_Part(shape, {}).of(shape))


class _Part(NamedTuple):
    """A schema, and the definitions that it refers to."""

    schema: Any
    defs: Shape

    def of(self, schema: Any) -> "_Part":
        """One within, with what it refers to looked up."""
        defs = self.defs
        while isinstance(schema, dict):
            defs = schema.get("$defs", defs)
            if "$ref" not in schema:
                break
            schema = defs.get(schema["$ref"].rpartition("/")[2], {})
        return _Part({} if schema is True else schema, defs)

    def branches(self) -> "list[_Part]":
        """The alternatives, or itself."""
        said = self.schema.get("anyOf") or self.schema.get("oneOf")
        return [part for one in said for part in self.of(one).branches()] if said else [self]


class _Walk:
    """One walk over two shapes. Records hold themselves: a pair that is being looked at is not looked at again."""

    def __init__(self) -> None:
        self._open: set[tuple[int, int]] = set()

    def read(self, old: _Part, new: _Part, path: str) -> Iterator[str]:
        old, new = old.of(old.schema), new.of(new.schema)
        pair = (id(old.schema), id(new.schema))
        if pair in self._open or not new.schema:
            return
        self._open.add(pair)
        wanted = new.branches()
        for branch in old.branches():
            found = [list(self._one(branch, one, path)) for one in wanted]
            if all(found):
                alike = [each for each, one in zip(found, wanted, strict=True) if _type(one) == _type(branch)]
                at = f"{path}: " if path else ""
                yield from alike[0] if len(alike) == 1 else [f"{at}{said(branch)} became {said(new)}"]
        self._open.discard(pair)

    def _one(self, old: _Part, new: _Part, path: str) -> Iterator[str]:
        """Neither has alternatives."""
        at = f"{path}: " if path else ""
        if not new.schema:
            return
        was, now = _type(old), _type(new)
        if was != now and (was, now) != ("integer", "number"):
            yield f"{at}{said(old)} became {said(new)}"
            return
        if was is None and old.schema != new.schema:
            yield f"{at}{said(old)} became {said(new)}"
        yield from (f"{at}{problem}" for problem in _narrowed(old.schema, new.schema))
        if now == "array":
            yield from self._items(old, new, path)
        elif now == "object":
            yield from self._fields(old, new, path) if "properties" in new.schema else self._map(old, new, path)

    def _items(self, old: _Part, new: _Part, path: str) -> Iterator[str]:
        firsts, wanted = old.schema.get("prefixItems", []), new.schema.get("prefixItems", [])
        if wanted and len(firsts) != len(wanted):
            count = f"a tuple of {len(firsts)}" if firsts else "a list"
            yield f"{path}: {count} became a tuple of {len(wanted)}".removeprefix(": ")
            return
        rest = new.schema.get("items", {})
        for n, (one, other) in enumerate(zip_longest(firsts, wanted, fillvalue=rest)):
            yield from self.read(old.of(one), new.of(other), f"{path}[{n}]")
        if "items" in old.schema or not firsts:
            yield from self.read(old.of(old.schema.get("items", {})), new.of(rest), f"{path}[]")

    def _map(self, old: _Part, new: _Part, path: str) -> Iterator[str]:
        values, keys = new.schema.get("additionalProperties", {}), new.schema.get("keys", {})
        if "properties" in old.schema and values:
            yield f"{path}: {said(old)} became {said(new)}".removeprefix(": ")
            return
        yield from self.read(old.of(old.schema.get("additionalProperties", {})), new.of(values), f"{path}{{}}")
        yield from self.read(old.of(old.schema.get("keys", {})), new.of(keys), f"{path} keys".lstrip())

    def _fields(self, old: _Part, new: _Part, path: str) -> Iterator[str]:
        if "properties" not in old.schema and old.schema.get("additionalProperties"):
            yield f"{path}: {said(old)} became {said(new)}".removeprefix(": ")
            return
        there, always = old.schema.get("properties", {}), old.schema.get("required", ())
        needed, taken = new.schema.get("required", ()), set()
        for name, field in new.schema["properties"].items():
            inner = f"{path}.{name}".lstrip(".")
            source = next((one for one in (name, *field.get("formerly", ())) if one in there), None)
            if source is not None:
                taken.add(source)
                yield from self.read(old.of(there[source]), new.of(field), inner)
            if name in needed and source not in always:
                yield f"{inner}: {'may be missing, and' if source else 'was added and'} has no default"
        if new.schema.get("additionalProperties") is False:
            for name in [name for name in there if name not in taken]:
                yield f"{path}.{name}: was removed, and its class forbids other fields".lstrip(".")


def _type(part: _Part) -> str | None:
    """`string`, `object` ...; None where it does not say, as of what has no schema."""
    schema = part.schema
    if "type" in schema:
        return str(schema["type"])
    kinds = {_KINDS.get(type(value)) for value in _values(schema) or ()}
    return kinds.pop() if len(kinds) == 1 else None


def _values(schema: Any) -> list[Any] | None:
    """The few values that it allows; None where it allows any of its type."""
    if "const" in schema:
        return [schema["const"]]
    found: list[Any] | None = schema.get("enum")
    return found


def _narrowed(old: Any, new: Any) -> Iterator[str]:
    """Bounds that are tighter than they were."""
    were, are = _values(old), _values(new)
    if are is not None:
        gone = [value for value in were if value not in are] if were is not None else None
        if gone is None:
            yield f"{_text(old)} became one of {_text_of(are)}"
        elif gone:
            yield f"{_text_of(gone)} is none of {_text_of(are)}"
    elif were is None and new.get("format") is not None and new.get("format") != old.get("format"):
        yield f"{_text(old)} became {_text(new)}"
    if were is None:
        for word in (*_LEAST, *_MOST, *_ALIKE):
            bound = None if "prefixItems" in new else new.get(word)  # of a tuple they say what its parts say
            if bound is not None and _tighter(word, old.get(word), bound):
                yield f"{word} {bound} was {old.get(word, 'not set')}"


def _tighter(word: str, was: Any, bound: Any) -> bool:
    if was is None or word in _ALIKE:
        return bool(was != bound)
    return bool(bound > was if word in _LEAST else bound < was)


def said(part: _Part) -> str:
    """A shape as a message names it."""
    return " | ".join(dict.fromkeys(_text(branch.schema) for branch in part.branches()))


def _text(schema: Any) -> str:
    values = _values(schema)
    if values is not None:
        return _text_of(values)
    if "properties" in schema:
        return f"a record of {', '.join(schema['properties']) or 'no fields'}"
    if schema.get("type") == "object":
        return "a map"
    if "prefixItems" in schema:
        return f"a tuple of {len(schema['prefixItems'])}"
    if schema.get("type") == "array":
        return "a list"
    return str(schema.get("format") or schema.get("type") or schema.get("opaque") or "anything")


def _text_of(values: list[Any]) -> str:
    return ", ".join(repr(value) for value in values)
