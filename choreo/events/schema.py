"""Avro schemas as data: their normal form, the types named in them, and what a type is called in a message."""

from typing import Any

from choreo.errors import SchemaError

_PRIMITIVE = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_COMPLEX = ("record", "enum", "fixed", "array", "map", "error")


def normalised(schema: Any, namespace: str = "") -> Any:
    """A schema with full names and without docs: equal for two schemas exactly if they mean the same.

    Unlike Avro's parsing canonical form it keeps logical types, digits, defaults, aliases and marks.
    """
    if isinstance(schema, list):
        return [normalised(part, namespace) for part in schema]
    if isinstance(schema, str):
        return schema if schema in _PRIMITIVE or "." in schema or not namespace else f"{namespace}.{schema}"
    if not isinstance(schema, dict):
        raise SchemaError(f"{schema!r} is no Avro schema")
    kept = {word: part for word, part in schema.items() if word not in ("doc", "namespace")}
    if "name" in schema:
        name = str(schema["name"])
        namespace = name.rpartition(".")[0] if "." in name else str(schema.get("namespace", namespace))
        kept["name"] = name if "." in name or not namespace else f"{namespace}.{name}"
        kept["aliases"] = [a if "." in a or not namespace else f"{namespace}.{a}" for a in schema.get("aliases", ())]
    for word in ("type", "items", "values"):
        if word in kept and kept[word] not in _COMPLEX:
            kept[word] = normalised(kept[word], namespace)
    if isinstance(kept.get("fields"), list):
        kept["fields"] = [{w: normalised(p, namespace) if w == "type" else p for w, p in field.items() if w != "doc"}
                          for field in kept["fields"]]
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


def is_recursive(schema: Any, within: frozenset[str] = frozenset()) -> bool:
    """Whether a normalised schema holds a record within itself, so that its bodies can be any number of levels deep."""
    if isinstance(schema, str):
        return schema in within
    if isinstance(schema, list):
        return any(is_recursive(part, within) for part in schema)
    inner = [field["type"] for field in schema.get("fields", ())]
    inner += [schema[word] for word in ("items", "values") if word in schema]
    return is_recursive(inner, within | {schema["name"]} if "name" in schema else within)


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
