"""The form of a decision: the fields of an event that a person fills in, with what may stand there.

Read from the JSON Schema of the event's class, which programs get as it is.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from choreo.events.event import Event
from choreo.saga.vocabulary import decimal_places

_FORMATS = {
    "date-time": "date and time with its zone (ISO 8601)",
    "date": "date (ISO 8601)",
    "time": "time (ISO 8601)",
    "uuid": "UUID",
    "base64url": "bytes (base64)",
}
_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list (JSON)",
    "object": "table (JSON)",
}
_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "as {}",
    "minItems": "at least {} of them",
    "maxItems": "at most {} of them",
}
_WIDEST = (-(2**63), 2**63 - 1)
"""What every whole number of an event keeps to anyway."""


class Entry(NamedTuple):
    """One field to fill in. `type`, `limits` and `says` are words for people; `default` is as JSON has it."""

    name: str
    type: str
    choices: tuple[str, ...]
    limits: str
    required: bool
    default: Any
    says: str

    @property
    def hint(self) -> str:
        """What may stand there, in one line."""
        what = f"one of {', '.join(self.choices)}" if self.choices else self.type
        return ", ".join(part for part in (what, self.limits) if part)


def form_of(event: type[Event], filled: Collection[str] = ()) -> tuple[Entry, ...]:
    """The fields of an event that a person fills in; those of `filled` are no matter of theirs."""
    schema = schema_of(event, filled)
    return tuple(
        _entry(event, name, field, name in schema["required"], schema.get("$defs", {}))
        for name, field in schema["properties"].items()
    )


def schema_of(event: type[Event], filled: Collection[str] = ()) -> dict[str, Any]:
    """The same as JSON Schema, draft 2020-12."""
    schema = event.model_json_schema(by_alias=False)
    rest = {name: field for name, field in schema.get("properties", {}).items() if name not in filled}
    required = [name for name in schema.get("required", ()) if name in rest]
    return schema | {"properties": rest, "required": required}


def fault_of(event: type[Event], name: str, value: object) -> str | None:
    """What is wrong with the value of one field, as `choreo sagas answer` reads it; None where nothing is."""
    field = event.model_fields[name]
    wanted: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    try:
        TypeAdapter(wanted).validate_python(value)
    except ValidationError as error:
        return "; ".join(one["msg"] for one in error.errors())
    return None


def _entry(event: type[Event], name: str, schema: Mapping[str, Any], required: bool, known: Mapping[str, Any]) -> Entry:
    ways = [way for way in _ways(schema, known) if way.get("type") != "null"]
    places = decimal_places(event.model_fields[name])
    limits = list(dict.fromkeys(text for way in ways for text in _limits(way)))
    if places is not None:
        limits.append(f"{places} decimal places at most")
    return Entry(
        name=name,
        type=" or ".join(dict.fromkeys(_word(way) for way in _leading(ways))) or "JSON",
        choices=tuple(str(choice) for way in ways for choice in _choices(way)),
        limits=", ".join(limits),
        required=required,
        default=schema.get("default"),
        says=str(schema.get("description", "")),
    )


def _ways(schema: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas of which one has to fit, with references followed."""
    if "$ref" in schema:
        yield from _ways(known[str(schema["$ref"]).rpartition("/")[2]], known)
    elif "anyOf" in schema:
        for way in schema["anyOf"]:
            yield from _ways(way, known)
    else:
        yield schema


def _leading(ways: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """A decimal may be written as a number or as its text: people read one word."""
    if [way.get("type") for way in ways] == ["number", "string"] and "enum" not in ways[1]:
        return ways[:1]
    return ways


def _word(way: Mapping[str, Any]) -> str:
    return _FORMATS.get(str(way.get("format")), _TYPES.get(str(way.get("type")), "JSON"))


def _choices(way: Mapping[str, Any]) -> tuple[Any, ...]:
    return (way["const"],) if "const" in way else tuple(way.get("enum", ()))


def _limits(way: Mapping[str, Any]) -> Iterator[str]:
    for key, text in _LIMITS.items():
        value = way.get(key)
        if value is not None and not (way.get("type") == "integer" and value in _WIDEST):
            shown = format(value, "g") if isinstance(value, float) else value
            yield text.format(shown)
