"""Events of which fields were erased: they stand there as ERASED, whatever their type, and the others are as ever.

Erased may be a field of the event, or one of a value within it, in lists and maps too.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from pydantic import BaseModel
from pydantic_core import SchemaValidator

from choreo.events.event import Event
from choreo.events.fields import ERASED, INNER

_AROUND = ("function-after", "function-before", "function-wrap")


@lru_cache(maxsize=256)
def with_erased(cls: type[Event]) -> Callable[..., Event]:
    """Makes events of `cls` from their fields by wire name, in which something is ERASED: the rest is validated.

    Validators of a class as a whole are not asked: they would look for what is gone.
    """
    made: SchemaValidator | None = None

    def validate(fields: Mapping[str, Any], **options: Any) -> Event:
        nonlocal made
        if made is None:
            schema: Any = cls.__pydantic_core_schema__
            made = SchemaValidator(_lenient(schema), _config_of(schema))
        event: Event = made.validate_python(fields, **options)
        return event

    return validate


def erased_in(value: object) -> int:
    """How many times ERASED stands in a field, however deep."""
    if isinstance(value, Mapping):
        return sum(map(erased_in, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return sum(map(erased_in, value))
    return value is ERASED


def _lenient(schema: Any) -> Any:
    """A pydantic core schema that takes ERASED in the place of any field, item or value of a map."""
    if isinstance(schema, list | tuple):
        return type(schema)(_lenient(part) for part in schema)
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in _AROUND and _is_model(schema["schema"]):
        return _lenient(schema["schema"]) | _referred(schema)
    found = {word: _inner(word, part) for word, part in schema.items()}
    if schema.get("type") == "model-field":
        found["schema"] = _or_erased(found["schema"])
    if schema.get("type") == "model" and not schema.get("root_model"):
        # Where a schema says `model` pydantic takes the validator that the class has already.
        made = {"type": "no-info", "function": partial(_made, schema["cls"])}
        return {"type": "function-after", "function": made, "schema": found["schema"]} | _referred(schema)
    for word in ("items_schema", "values_schema"):
        if isinstance(items := found.get(word), dict):
            found[word] = _or_erased(items)
        elif items is not None:  # of a tuple, one for each place
            found[word] = [_or_erased(item) for item in items]
    return found


def _inner(word: str, part: Any) -> Any:
    if word == "fields" and isinstance(part, dict):
        return {name: _lenient(field) for name, field in part.items()}
    return _lenient(part) if word in INNER else part


def _or_erased(schema: dict[str, Any]) -> dict[str, Any]:
    if schema["type"] == "default":  # pydantic looks for the default of a field here and no deeper
        return schema | {"schema": _or_erased(schema["schema"])}
    return {"type": "function-wrap", "function": {"type": "no-info", "function": _pass_erased}, "schema": schema}


def _pass_erased(value: Any, validate: Callable[[Any], Any]) -> Any:
    return value if value is ERASED else validate(value)


def _made(cls: type[BaseModel], found: tuple[dict[str, Any], Any, set[str]]) -> BaseModel:
    values, _, given = found
    return cls.model_construct(given, **values)


def _config_of(schema: dict[str, Any]) -> Any:
    """That of the event's class, which lies deeper where there are validators around it or definitions beside it."""
    while "config" not in schema:
        named = {one["ref"]: one for one in schema.get("definitions", ())}
        schema = schema["schema"]
        schema = named[schema["schema_ref"]] if schema["type"] == "definition-ref" else schema
    return schema["config"]


def _referred(schema: dict[str, Any]) -> dict[str, Any]:
    """By what other parts of a schema name it, where they do."""
    return {"ref": schema["ref"]} if "ref" in schema else {}


def _is_model(schema: dict[str, Any]) -> bool:
    """Whether it is that of a class, perhaps with more validators around it."""
    return schema["type"] in ("model", "model-fields") or (schema["type"] in _AROUND and _is_model(schema["schema"]))
