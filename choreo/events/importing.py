"""From an Avro schema to the Python class of an event that someone else owns: the way back of `avro.py`, as text."""

import keyword
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from choreo.errors import SchemaError
from choreo.events.datums import NAME, branch_name
from choreo.events.event import Event
from choreo.events.literals import docstring, literal, values_of
from choreo.events.schema import logical_type, named_types, normalised, takes_no_bytes, type_of

_PRIMITIVES = {
    "null": "None",
    "boolean": "bool",
    "int": "Int32",
    "long": "int",
    "float": "Float32",
    "double": "float",
    "bytes": "bytes",
    "string": "str",
}
_LOGICAL = {
    ("int", "date"): "date",
    ("int", "time-millis"): "TimeMillis",
    ("long", "time-micros"): "time",
    ("long", "timestamp-micros"): "datetime",
    ("long", "timestamp-millis"): "Millis",
    ("long", "local-timestamp-micros"): "LocalMicros",
    ("long", "local-timestamp-millis"): "LocalMillis",
    ("string", "uuid"): "UUID",
}
_HOMES = {
    "datetime": ("date", "datetime", "time"),
    "decimal": ("Decimal",),
    "enum": ("Enum",),
    "typing": ("Annotated",),
    "uuid": ("UUID",),
    "pydantic": ("Field",),
    "choreo": ("Event", "Personal", "Value"),
    "choreo.types": (
        "AsUnion",
        "Fixed",
        "Float32",
        "Formerly",
        "Int32",
        "LocalMicros",
        "LocalMillis",
        "Millis",
        "TimeMillis",
    ),
}
_THIRD_PARTY = ("pydantic",)
_OURS = ("choreo", "choreo.types")
_BUILTINS = ("bool", "bytes", "dict", "float", "int", "str", "tuple")
_TAKEN = frozenset({*_BUILTINS, *(name for names in _HOMES.values() for name in names), *keyword.kwlist})


@dataclass(frozen=True)
class Place:
    """Where the events of a foreign schema lie: topic and, where it is known, the field of the key."""

    topic: str
    key: tuple[str, ...] = ()


def event_source(schema: dict[str, Any], place: Place) -> str:
    """The text of a module with an external event class for a record schema, and the types inside of it.

    Its Avro schema reads every body that `schema` writes, under the same names. Raises SchemaError, with the path of
    the field, for what no event class can say (a union of an enum and a string).
    """
    return _Module(normalised(schema, docs=True)).source(place)


class _Module:
    """One walk over a schema: classes are written before those that hold them."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._named = named_types(schema)
        for word in _words_of(self._named):
            if not NAME.fullmatch(word):
                raise SchemaError(f"{word!r} is no name", why="Avro has letters, digits and _ in a name")
        self._classes = _class_names(self._named)
        self._used: set[str] = set()
        self._open: list[str] = []
        self._done: dict[str, str] = {}
        self._namespaces: list[str] = []

    def source(self, place: Place) -> str:
        name = self._schema["name"]
        self._record(self._schema, "", place)
        opening = f"{name}, an event that another system owns, as its schema has it: `choreo schemas import`."
        blocks = "\n\n\n".join(self._done.values())
        return f"{docstring(opening)}\n\n{self._imports(blocks)}\n\n\n{blocks}\n"

    def _imports(self, blocks: str) -> str:
        groups: dict[int, list[str]] = {}
        for home, names in _HOMES.items():
            if used := sorted(self._used.intersection(names)):
                group = 2 if home in _OURS else 1 if home in _THIRD_PARTY else 0
                groups.setdefault(group, []).append(f"from {home} import {', '.join(used)}")
        return "\n\n".join("\n".join(lines) for _, lines in sorted(groups.items()))

    def _record(self, schema: Mapping[str, Any], path: str, place: Place | None = None) -> None:
        name = schema["name"]
        namespace = name.rpartition(".")[0]
        words = self._event_words(schema, place) if place else self._value_words(schema, namespace)
        self._open.append(name)
        self._namespaces.append(namespace)
        lines = [f"    {docstring(schema['doc'], 4)}"] if schema.get("doc") else []
        names = self._field_names(schema["fields"])
        for field in schema["fields"]:
            lines += self._field(field, names[field["name"]], f"{path}.{field['name']}".lstrip("."))
        self._open.pop()
        self._namespaces.pop()
        head = f"class {self._classes[name]}({', '.join([self._use('Event' if place else 'Value'), *words])}):"
        self._done[name] = "\n".join([head, *lines]) if lines else f"{head} ..."

    def _event_words(self, schema: Mapping[str, Any], place: Place) -> list[str]:
        names = self._field_names(schema["fields"])
        for part in place.key:
            if part not in names:
                raise SchemaError(
                    f"{schema['name']} has no field {part} to be its key",
                    hint=f"its fields are {', '.join(names) or 'none'}",
                )
        namespace = schema["name"].rpartition(".")[0]
        words = [f"namespace={literal(namespace)}"] if namespace else []
        words.append(f"topic={literal(place.topic)}")
        key = [literal(names[part]) for part in place.key]
        if key:
            words.append(f"key={key[0]}" if len(key) == 1 else f"key=({', '.join(key)})")
        return [*words, *self._formerly(schema), "external=True"]

    def _value_words(self, schema: Mapping[str, Any], namespace: str) -> list[str]:
        other = self._namespaces and namespace and namespace != self._namespaces[-1]
        return [*([f"namespace={literal(namespace)}"] if other else []), *self._formerly(schema)]

    def _formerly(self, schema: Mapping[str, Any]) -> list[str]:
        """An event class has one earlier name; more of them are told by the schema itself."""
        return [f"formerly={literal(alias)}" for alias in schema.get("aliases", ())[:1]]

    def _field_names(self, fields: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """Field names that Python, pydantic and the annotations beside them leave free."""
        wire = {field["name"] for field in fields}
        chosen: dict[str, str] = {}
        for name in wire_order(fields):
            free = name.lstrip("_") or "field"
            free = f"field_{free}" if free[0].isdigit() or free.startswith("model_") else free
            while self._is_taken(free) or (free != name and free in wire) or free in chosen.values():
                free += "_"
            chosen[name] = free
        return chosen

    def _is_taken(self, name: str) -> bool:
        return name in _TAKEN or name in self._classes.values() or hasattr(Event, name)

    def _field(self, field: Mapping[str, Any], name: str, path: str) -> list[str]:
        annotation = self._type(field["type"], path)
        if isinstance(field["type"], list) and "default" in field:
            annotation = self._union(field["type"], path, self._branch_of(field["type"], field["default"], path))
        facts = [f"{self._use('Field')}(alias={literal(field['name'])})"] if name != field["name"] else []
        if field.get("aliases"):
            facts.append(f"{self._use('Formerly')}({', '.join(map(literal, field['aliases']))})")
        if facts:
            annotation = f"{self._use('Annotated')}[{annotation}, {', '.join(facts)}]"
        if field.get("choreo.personal"):
            annotation = f"{self._use('Personal')}[{annotation}]"
        if any(self._classes[name] in _words(annotation) for name in self._open):
            annotation = literal(annotation)  # the class is not there yet
        lines = [f"    {docstring(field['doc'], 4)}"] if field.get("doc") else []
        default = f" = {self._default(field['type'], field['default'], path)}" if "default" in field else ""
        return [f"    {name}: {annotation}{default}", *lines]

    def _type(self, schema: Any, path: str) -> str:
        """The annotation for a type; writes the classes that it needs."""
        if isinstance(schema, list):
            return self._union(schema, path)
        schema = self._full(schema)
        kind = type_of(schema)
        if kind in ("record", "enum"):
            if schema["name"] not in self._done and schema["name"] not in self._open:
                (self._record if kind == "record" else self._enum)(schema, path)
            return self._classes[schema["name"]]
        if kind == "array":
            return f"tuple[{self._item(schema['items'], f'{path}[]')}, ...]"
        if kind == "map":
            return f"dict[str, {self._type(schema['values'], f'{path}{{}}')}]"
        fixed = self._fixed(schema) if kind == "fixed" else ""
        logical = logical_type(schema)
        if logical == "decimal" and kind in ("bytes", "fixed"):
            digits = f"max_digits={schema['precision']}, decimal_places={schema.get('scale', 0)}"
            facts = [f"{self._use('Field')}({digits})", *([fixed] if fixed else [])]
            return f"{self._use('Annotated')}[{self._use('Decimal')}, {', '.join(facts)}]"
        if kind == "fixed":
            plain = self._use("UUID") if logical == "uuid" and schema["size"] == 16 else "bytes"
            return f"{self._use('Annotated')}[{plain}, {fixed}]"
        if kind not in _PRIMITIVES:
            raise SchemaError(
                f"{path}: {kind} is no type of a field", hint="record, enum, fixed, array, map, primitives"
            )
        return self._use(_LOGICAL.get((kind, logical or ""), _PRIMITIVES[kind]))

    def _item(self, items: Any, path: str) -> str:
        if takes_no_bytes(items, self._named):
            raise SchemaError(
                f"{path} takes no bytes",
                why="a few bytes could promise billions of them",
                hint="ask its owner to count them, or leave the field to a class of your own",
            )
        return self._type(items, path)

    def _fixed(self, schema: Mapping[str, Any]) -> str:
        namespace, _, short = schema["name"].rpartition(".")
        name = short if namespace == self._namespaces[-1] else schema["name"]
        return f"{self._use('Fixed')}({schema['size']}, {literal(name)})"

    def _union(self, parts: Sequence[Any], path: str, first: Any = "null") -> str:
        """`first` is the branch that stands first if nothing else is said: null, or that of a default."""
        filled = [part for part in parts if part != "null"]
        kinds = [type_of(self._full(part)) for part in filled]
        enums = kinds.count("enum")
        blurred = ("record" in kinds and "map" in kinds) or (enums and "string" in kinds) or enums > 1
        if len(filled) > 1 and blurred:
            raise SchemaError(
                f"{path}: {' | '.join(kinds)} can't be told apart by the class of a value",
                hint="write a class without this field, which reads the rest; or ask for one record each",
            )
        said = list(dict.fromkeys(self._type(part, path) for part in filled))
        annotation = " | ".join([*said, *(["None"] if "null" in parts else [])])
        usual = sorted(sorted(parts, key=lambda part: part != "null"), key=lambda part: part is not first)
        if len(parts) > 1 and usual == list(parts):
            return annotation
        names = ", ".join(literal(branch_name(self._full(part))) for part in parts)
        return f"{self._use('Annotated')}[{annotation}, {self._use('AsUnion')}({names})]"

    def _branch_of(self, parts: Sequence[Any], value: Any, path: str) -> Any:
        """The branch that a default belongs to. Raises SchemaError for none."""
        for part in parts:
            try:
                self._default(part, value, path)
            except SchemaError:
                continue
            return part
        raise SchemaError(f"{path}: the default {value!r} is of no part of its union")

    def _full(self, schema: Any) -> Any:
        return self._named.get(schema, schema) if isinstance(schema, str) else schema

    def _enum(self, schema: Mapping[str, Any], path: str) -> None:
        members = _members(schema["symbols"])
        lines = [f"    {docstring(schema['doc'], 4)}\n"] if schema.get("doc") else []
        lines += [f"    {member} = {literal(symbol)}" for symbol, member in members.items()]
        name = self._classes[schema["name"]]
        if len({full.rpartition(".")[0] for full in self._named}) > 1:
            lines.insert(0, f"    __namespace__ = {literal(schema['name'].rpartition('.')[0])}\n")
        if "default" in schema:
            lines += [
                "",
                "    @classmethod",
                f'    def _missing_(cls, value: object) -> "{name}":',
                f"        return cls.{members[schema['default']]}",
            ]
        self._done[schema["name"]] = "\n".join([f"class {name}({self._use('Enum')}):", *lines])

    def _default(self, schema: Any, value: Any, path: str) -> str:
        """The default of a field as an expression. Raises SchemaError for one that is none of its type."""
        if isinstance(schema, list):
            return self._default(self._branch_of(schema, value, path), value, path)
        schema = self._full(schema)
        kind = type_of(schema)
        try:
            if kind == "enum":
                return f"{self._classes[schema['name']]}.{_members(schema['symbols'])[value]}"
            if kind == "array":
                parts = [self._default(schema["items"], part, f"{path}[]") for part in value]
                return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
            if kind == "map":
                pairs = [f"{literal(k)}: {self._default(schema['values'], v, path)}" for k, v in value.items()]
                return f"{{{', '.join(pairs)}}}"
            if kind == "record":
                return self._default_record(schema, value, path)
            text, needed = values_of(schema)(value)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise SchemaError(f"{path}: the default {value!r} is no {kind}", why=str(error)) from error
        self._used.update(needed)
        return text

    def _default_record(self, schema: Mapping[str, Any], value: Mapping[str, Any], path: str) -> str:
        if schema["name"] in self._open:
            raise SchemaError(f"{path}: a record within itself can't be a default", hint="give it null, or nothing")
        names = self._field_names(schema["fields"])
        said = []
        for field in schema["fields"]:
            if field["name"] in value:
                given = self._default(field["type"], value[field["name"]], f"{path}.{field['name']}")
                said.append(f"{names[field['name']]}={given}")
            elif "default" not in field:
                raise KeyError(field["name"])
        return f"{self._classes[schema['name']]}({', '.join(said)})"

    def _use(self, name: str) -> str:
        self._used.add(name)
        return name


def _words_of(named: Mapping[str, Any]) -> Iterator[str]:
    """What becomes a name in Python: of types, fields and symbols."""
    for name, schema in named.items():
        if schema["type"] in ("record", "enum"):
            yield name.rpartition(".")[2]
        yield from (field["name"] for field in schema.get("fields", ()))
        yield from schema.get("symbols", ())


def wire_order(fields: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Field names, those first that keep their own: a renamed one must not take another's."""
    names = [str(field["name"]) for field in fields]
    return sorted(names, key=lambda name: name.startswith("_"))


def _class_names(named: Mapping[str, Any]) -> dict[str, str]:
    """The class of each record and enum; a name that is taken gets an underscore, which the wire drops."""
    chosen: dict[str, str] = {}
    for name, schema in named.items():
        if schema["type"] not in ("record", "enum"):
            continue
        short = name.rpartition(".")[2]
        if short.strip("_") != short:
            hint = f"write the class {short.strip('_')} by hand, with formerly={literal(name)}"
            raise SchemaError(f"{name}: the name of an event class can't begin or end with _", hint=hint)
        while short in _TAKEN or short in chosen.values():
            short += "_"
        chosen[name] = short
    return chosen


def _members(symbols: Sequence[str]) -> dict[str, str]:
    """The member of each symbol; names that Enum or Python keep for themselves get an underscore."""
    chosen: dict[str, str] = {}
    for symbol in symbols:
        member = symbol.strip("_") or "symbol"
        member = f"symbol_{member}" if member[0].isdigit() else member
        while (
            keyword.iskeyword(member)
            or member in ("mro", "name", "value")
            or member in chosen.values()
            or (member != symbol and member in symbols)
        ):
            member += "_"
        chosen[symbol] = member
    return chosen


def _words(annotation: str) -> set[str]:
    return set("".join(c if c.isalnum() or c == "_" else " " for c in annotation).split())
