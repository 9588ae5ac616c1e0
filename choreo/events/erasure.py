"""Events of which fields were erased: they stand there as ERASED, whatever their type, and the others are as ever.

Erased may be a field of the event, or one of a value within it, in lists and maps too.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from pydantic import BaseModel, ValidationError
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
            made = SchemaValidator(_lenient(schema, _pass_erased), _config_of(schema))
        event: Event = made.validate_python(fields, **options)
        return event

    return validate


def reads_erased(schema: Any) -> Callable[[bytes], Any]:
    """Reads the JSON of values of a pydantic core schema, by field names: what is no value of its type and says that
    it was erased is ERASED. Raises pydantic's ValidationError for anything else.
    """
    made: SchemaValidator | None = None

    def read(body: bytes) -> Any:
        nonlocal made
        made = made or SchemaValidator(_lenient(schema, _or_pass_erased), _config_of(schema))
        return made.validate_json(body, by_alias=False, by_name=True, extra="ignore")

    return read


def erased_in(value: object) -> int:
    """How many times ERASED stands in a value, however deep."""
    if isinstance(value, BaseModel):
        return sum(erased_in(part) for _, part in value)
    if isinstance(value, Mapping):
        return sum(map(erased_in, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return sum(map(erased_in, value))
    return value is ERASED


Around = Callable[[Any, Callable[[Any], Any]], Any]
"""Stands around the validation of a field, an item or a value of a map."""


def _lenient(schema: Any, around: Around) -> Any:
    """A pydantic core schema that takes ERASED in the place of any field, item or value of a map."""
    if isinstance(schema, list | tuple):
        return type(schema)(_lenient(part, around) for part in schema)
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in _AROUND and _is_model(schema["schema"]):
        return _lenient(schema["schema"], around) | _referred(schema)
    found = {word: _inner(word, part, around) for word, part in schema.items()}
    if schema.get("type") == "model-field":
        found["schema"] = _within(found["schema"], around)
    if schema.get("type") == "model" and not schema.get("root_model"):
        # Where a schema says `model` pydantic takes the validator that the class has already.
        made = {"type": "no-info", "function": partial(_made, schema["cls"])}
        return {"type": "function-after", "function": made, "schema": found["schema"]} | _referred(schema)
    for word in ("items_schema", "values_schema"):
        if isinstance(items := found.get(word), dict):
            found[word] = _within(items, around)
        elif items is not None:  # of a tuple, one for each place
            found[word] = [_within(item, around) for item in items]
    return found


def _inner(word: str, part: Any, around: Around) -> Any:
    if word == "fields" and isinstance(part, dict):
        return {name: _lenient(field, around) for name, field in part.items()}
    return _lenient(part, around) if word in INNER else part


def _within(schema: dict[str, Any], around: Around) -> dict[str, Any]:
    if schema["type"] == "default":  # pydantic looks for the default of a field here and no deeper
        return schema | {"schema": _within(schema["schema"], around)}
    return {"type": "function-wrap", "function": {"type": "no-info", "function": around}, "schema": schema}


def _pass_erased(value: Any, validate: Callable[[Any], Any]) -> Any:
    return value if value is ERASED else validate(value)


def _or_pass_erased(value: Any, validate: Callable[[Any], Any]) -> Any:
    try:
        return validate(value)
    except ValidationError:
        if value == ERASED:
            return ERASED
        raise


def _made(cls: type[BaseModel], found: tuple[dict[str, Any], Any, set[str]]) -> BaseModel:
    values, _, given = found
    return cls.model_construct(given, **values)


def _config_of(schema: dict[str, Any]) -> Any:
    """That of the class, which lies deeper where there are validators around it or definitions beside it; None for a
    schema of no class.
    """
    while "config" not in schema and "schema" in schema:
        named = {one["ref"]: one for one in schema.get("definitions", ())}
        schema = schema["schema"]
        schema = named[schema["schema_ref"]] if schema["type"] == "definition-ref" else schema
    return schema.get("config")


def _referred(schema: dict[str, Any]) -> dict[str, Any]:
    """By what other parts of a schema name it, where they do."""
    return {"ref": schema["ref"]} if "ref" in schema else {}


def _is_model(schema: dict[str, Any]) -> bool:
    """Whether it is that of a class, perhaps with more validators around it."""
    return schema["type"] in ("model", "model-fields") or (schema["type"] in _AROUND and _is_model(schema["schema"]))
