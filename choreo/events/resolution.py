"""How a reader's schema reads what a writer's schema wrote: worked out once, so that reading needs one schema only."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from choreo.events.schema import logical_type, named_types, normalised, say, takes_no_bytes, type_of

_PROMOTIONS = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("bytes", "string"),
}
_NAMED = ("record", "enum", "fixed")
UNASKED = "choreo.unasked"
"""Marks a field in a resolved schema that the reader does not have."""
_KNOWN = {
    "decimal",
    "uuid",
    "date",
    "time-millis",
    "time-micros",
    "timestamp-millis",
    "timestamp-micros",
    "local-timestamp-millis",
    "local-timestamp-micros",
}
"""The logical types that values depend on; any other is ignored, as the specification asks."""
_FREE: tuple[set[str | None], ...] = (
    {"timestamp-millis", "timestamp-micros"},
    {"local-timestamp-millis", "local-timestamp-micros"},
    {"time-millis", "time-micros"},
    {"uuid", None},
)
"""Logical types that may become one another: pydantic reads either."""
Names: TypeAlias = Mapping[str, Any]


class Resolution(NamedTuple):
    """`schema`: the writer's, under the reader's names. `problems`: why the reader may fail, each with its path."""

    schema: dict[str, Any]
    problems: tuple[str, ...]


def resolve(writer: dict[str, Any], reader: dict[str, Any]) -> Resolution:
    """Work out how `reader` reads what `writer` wrote (Avro specification, "Schema Resolution").

    Names of fields, records and symbols do not lie in an Avro body; so a renamed field is read by giving the writer's
    schema the new name. Removed fields and missing ones (defaults) are left to whoever takes the datum.
    """
    old, new = normalised(writer), normalised(reader)
    walk = _Walk(named_types(old), named_types(new), {})
    return Resolution(walk.read(old, new, ""), tuple(walk.problems))


def whole(schema: Any) -> Any:
    """A resolved schema in which every field is asked for: ids may be taken from fields that the reader lacks."""
    if isinstance(schema, list):
        return [whole(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = ("type", "items", "values", "fields")
    return {word: whole(part) if word in inner else part for word, part in schema.items() if word != UNASKED}


class _Walk:
    """One walk over both schemas; `written` are the pairs of named types that are written out already, with a name."""

    def __init__(
        self, old_names: Names, new_names: Names, written: dict[tuple[str, str], str], suffix: str = ""
    ) -> None:
        self.old_names, self.new_names, self.written, self.suffix = old_names, new_names, written, suffix
        self.unasked: dict[tuple[str, str], str] = {}
        self.problems: list[str] = []

    def read(self, old: Any, new: Any, path: str) -> Any:
        """The schema to read `old` with where `new` is wanted; notes problems."""
        old, new = self._full(old, self.old_names), self._full(new, self.new_names)
        if isinstance(old, list):
            return self._from_union(old, new, path)
        if isinstance(new, list):
            match = self._branch(old, new)
            if match is None:
                self._note(path, f"{say(old)} is no part of {say(new)}")
            return self.read(old, old if match is None else match, path)
        old_type, new_type = type_of(old), type_of(new)
        if old_type in _NAMED and old_type == new_type:
            return self._named(old, new, path)
        if old_type == new_type == "array":
            items = self._full(old["items"], self.old_names)
            if takes_no_bytes(items, self.old_names):
                self._note(path, f"items of {say(items)} take no bytes: a few bytes could promise billions of them")
            return old | {"items": self.read(old["items"], new["items"], f"{path}[]")}
        if old_type == new_type == "map":
            return old | {"values": self.read(old["values"], new["values"], f"{path}{{}}")}
        self._plain(old, new, path)
        if old_type in (*_NAMED, "array", "map"):
            return self._as_written(old)
        if old_type == "string" and new_type == "bytes":
            return "bytes"  # the same on the wire
        return old_type if logical_type(old) == "uuid" and logical_type(new) is None else old

    def _from_union(self, old: list[Any], new: Any, path: str) -> list[Any]:
        parts, branches = [], new if isinstance(new, list) else [new]
        for part in old:
            match = self._branch(part, branches)
            if match is None:
                self._note(path, f"{say(part)} was allowed, and is no part of {say(new)}")
            parts.append(self.read(part, part if match is None else match, path))
        return parts

    def _branch(self, old: Any, branches: list[Any]) -> Any | None:
        """The branch that reads `old`: one of its full name, then one of its type, then one that it is promoted to."""
        full = self._full(old, self.old_names)
        fitting = [(b, self._full(b, self.new_names)) for b in branches]
        fitting = [(b, new) for b, new in fitting if self._fits(full, new)]
        same = [(b, new) for b, new in fitting if type_of(new) == type_of(full)]
        named = [(b, new) for b, new in same if type_of(new) in _NAMED and new["name"] == full["name"]]
        return next((b for b, _ in named + same + fitting), None)

    def _fits(self, old: Any, new: Any) -> bool:
        old_type, new_type = type_of(old), type_of(new)
        if old_type in _NAMED and old_type == new_type:
            return _same_name(old, new)
        return old_type == new_type or (old_type, new_type) in _PROMOTIONS

    def _named(self, old: Any, new: Any, path: str) -> Any:
        if path and not _same_name(old, new):
            self._note(path, f"{old['name']} became {new['name']}, which has no such alias")
        pair = (old["name"], new["name"])
        if pair in self.written:
            return self.written[pair]
        name = new["name"] + self.suffix
        while name in self.written.values():  # one reader's type may read two of the writer's: each has its own body
            name += "_"
        self.written[pair] = name
        kept = {word: part for word, part in old.items() if word != "aliases"} | {"name": name}
        if old["type"] == "record":
            return kept | {"fields": self._fields(old, new, path)}
        if old["type"] == "enum" and "default" not in new:
            for symbol in (symbol for symbol in old["symbols"] if symbol not in new["symbols"]):
                self._note(path, f"symbol {symbol} was removed, and {new['name']} has no default")
        if old["type"] == "fixed" and old["size"] != new["size"]:
            self._note(path, f"{old['size']} bytes became {new['size']}")
        if old["type"] == "fixed":
            self._logical(old, new, path)
        return kept

    def _fields(self, old: Any, new: Any, path: str) -> list[dict[str, Any]]:
        wanted = {field["name"]: field for field in new["fields"]}
        there = {field["name"] for field in old["fields"]}
        renamed = [field for field in new["fields"] if field["name"] not in there]
        by_alias = {alias: field for field in renamed for alias in field.get("aliases", ())}
        fields, met = [], set()
        for field in old["fields"]:
            target = wanted.get(field["name"]) or by_alias.get(field["name"])
            kept = {"name": field["name"], "type": field["type"]}
            if target is None or target["name"] in met:
                name = _unused(field["name"], wanted)
                fields.append(kept | {"name": name, "type": self._as_written(field["type"]), UNASKED: True})
                continue
            met.add(target["name"])
            inner = self.read(field["type"], target["type"], f"{path}.{target['name']}".lstrip("."))
            fields.append(kept | {"name": target["name"], "type": inner})
        for name in [name for name, field in wanted.items() if name not in met and "default" not in field]:
            self._note(f"{path}.{name}".lstrip("."), "was added without a default")
        return fields

    def _as_written(self, old: Any) -> Any:
        """A type that nobody asks for: it must be read all the same, for what lies behind it."""
        quiet = _Walk(self.old_names, self.old_names, self.unasked, "__unasked")
        return quiet.read(old, old, "")

    def _plain(self, old: Any, new: Any, path: str) -> None:
        old_type, new_type = type_of(old), type_of(new)
        if old_type != new_type and (old_type, new_type) not in _PROMOTIONS:
            was, now = (say(part) if say(old) != say(new) else f"{type_of(part)} {say(part)}" for part in (old, new))
            return self._note(path, f"{was} became {now}")
        self._logical(old, new, path)

    def _logical(self, old: Any, new: Any, path: str) -> None:
        old_logical, new_logical = (found if (found := logical_type(part)) in _KNOWN else None for part in (old, new))
        if old_logical == new_logical == "decimal" and old["scale"] != new["scale"]:
            return self._note(path, f"{old['scale']} decimal places became {new['scale']}")
        if old_logical == new_logical == "decimal" and old["precision"] > new["precision"]:
            return self._note(path, f"{old['precision']} digits became {new['precision']}")
        if old_logical != new_logical and not any({old_logical, new_logical} <= free for free in _FREE):
            self._note(path, f"{say(old)} became {say(new)}")

    def _full(self, schema: Any, names: Mapping[str, Any]) -> Any:
        return names.get(schema, schema) if isinstance(schema, str) else schema

    def _note(self, path: str, problem: str) -> None:
        self.problems.append(f"{path}: {problem}" if path else problem)


def _same_name(old: Any, new: Any) -> bool:
    """As Avro's own libraries match names: without the namespace, or by an alias of the reader."""
    short = old["name"].rpartition(".")[2]
    return short == new["name"].rpartition(".")[2] or old["name"] in new.get("aliases", ())


def _unused(name: str, wanted: Names) -> str:
    while name in wanted:
        name += "_"
    return name
