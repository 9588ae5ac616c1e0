"""Avro schemas as data: their normal form, the types named in them, and what a type is called in a message."""

from collections.abc import Callable, Mapping
from typing import Any

from fastavro.schema import fingerprint as fastavro_fingerprint
from fastavro.schema import to_parsing_canonical_form

from choreo.errors import SchemaError

_PRIMITIVE = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_COMPLEX = ("record", "enum", "fixed", "array", "map", "error")


def normalised(schema: Any, namespace: str = "", docs: bool = False) -> Any:
    """A schema with full names, and without docs unless asked for: equal for two schemas exactly if they mean the same.

    Unlike Avro's parsing canonical form it keeps logical types, digits, defaults, aliases and marks.
    """
    if isinstance(schema, list):
        return [normalised(part, namespace, docs) for part in schema]
    if isinstance(schema, str):
        return schema if schema in _PRIMITIVE or "." in schema or not namespace else f"{namespace}.{schema}"
    if not isinstance(schema, dict):
        raise SchemaError(f"{schema!r} is no Avro schema")
    kept = {word: part for word, part in schema.items() if word != "namespace" and (docs or word != "doc")}
    if "name" in schema:
        name = str(schema["name"])
        namespace = name.rpartition(".")[0] if "." in name else str(schema.get("namespace", namespace))
        kept["name"] = name if "." in name or not namespace else f"{namespace}.{name}"
        kept["aliases"] = [a if "." in a or not namespace else f"{namespace}.{a}" for a in schema.get("aliases", ())]
    for word in ("type", "items", "values"):
        if word in kept and kept[word] not in _COMPLEX:
            kept[word] = normalised(kept[word], namespace, docs)
    if isinstance(kept.get("fields"), list):
        kept["fields"] = [
            {w: normalised(p, namespace, docs) if w == "type" else p for w, p in field.items() if docs or w != "doc"}
            for field in kept["fields"]
        ]
    if not kept.get("aliases"):
        kept.pop("aliases", None)
    return kept["type"] if len(kept) == 1 and "type" in kept else kept


def named_types(schema: Any) -> dict[str, Any]:
    """The records, enums and fixed types of a normalised schema by full name."""
    if isinstance(schema, list):
        return {name: part for branch in schema for name, part in named_types(branch).items()}
    if not isinstance(schema, dict):
        return {}
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[word] for word in ("items", "values") if word in schema]
    own = {schema["name"]: schema} if "name" in schema else {}
    return own | named_types(inner)


def inlined(schema: Any, look_up: Callable[[str], Any | None]) -> Any:
    """A normalised schema, with its docs, in which each type that is only named is written out where it is met first.

    `look_up` answers the schema of a full name that is not defined within, or None, which leaves the name as it is.
    """
    defined: set[str] = set()

    def walk(part: Any) -> Any:
        if isinstance(part, list):
            return [walk(branch) for branch in part]
        if isinstance(part, str):
            found = None if part in _PRIMITIVE or part in defined else look_up(part)
            return part if found is None else walk(normalised(found, docs=True))
        if part.get("name") in defined and "type" in part:
            return part["name"]
        if "name" in part:
            defined.add(part["name"])
        part = {word: walk(inner) if word in ("items", "values") else inner for word, inner in part.items()}
        if "fields" in part:
            part["fields"] = [field | {"type": walk(field["type"])} for field in part["fields"]]
        return part

    return walk(normalised(schema, docs=True))


def is_recursive(schema: Any, within: frozenset[str] = frozenset()) -> bool:
    """Whether a normalised schema holds a record within itself, so that its bodies can be any number of levels deep."""
    if isinstance(schema, str):
        return schema in within
    if isinstance(schema, list):
        return any(is_recursive(part, within) for part in schema)
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[word] for word in ("items", "values") if word in schema]
    return is_recursive(inner, within | {schema["name"]} if "name" in schema else within)


def takes_no_bytes(schema: Any, named: Mapping[str, Any] | None = None) -> bool:
    """Whether each body of a normalised schema is empty: null, a fixed type of no bytes, a record of such.

    `named` holds the named types that it refers to; by default those defined within.
    """
    named = named_types(schema) if named is None else named
    schema = named.get(schema, schema) if isinstance(schema, str) else schema
    if type_of(schema) not in ("record", "error"):
        return type_of(schema) == "null" or (type_of(schema) == "fixed" and schema["size"] == 0)
    # A record without an end would be met again within itself; it has no bodies at all.
    others = {name: part for name, part in named.items() if name != schema["name"]}
    return all(takes_no_bytes(field["type"], others) for field in schema["fields"])


def type_of(schema: Any) -> str:
    """`record`, `array`, `long` ...; `union` for a list; a name that stands for a type is itself."""
    return "union" if isinstance(schema, list) else str(schema["type"]) if isinstance(schema, dict) else str(schema)


def logical_type(schema: Any) -> str | None:
    """`decimal`, `timestamp-micros` ..., where there is one."""
    return schema.get("logicalType") if isinstance(schema, dict) else None


def say(schema: Any) -> str:
    """A type as an error message names it."""
    if isinstance(schema, list):
        return " | ".join(say(part) for part in schema)
    if isinstance(schema, dict) and "name" in schema:
        return str(schema["name"])
    return logical_type(schema) or type_of(schema)


def fingerprint(schema: Any) -> bytes:
    """CRC-64-AVRO of a schema's parsing canonical form, little endian as a single-object header has it.

    Source: Avro specification, "Parsing Canonical Form for Schemas", "Schema Fingerprints".
    """
    return bytes.fromhex(fastavro_fingerprint(canonical_form(schema), "CRC-64-AVRO"))


def canonical_form(schema: Any) -> str:
    """The parsing canonical form: what lies in a body, and nothing else. Raises SchemaError for no schema."""
    return str(to_parsing_canonical_form(normalised(schema)))
