"""What log lines and status pages leave out: fields marked `Personal`, and the inputs that a validation quotes."""

import re
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel

from choreo.events.fields import PersonalMark

MASK = "***"
_QUOTED_INPUT = re.compile(r", input_value=.*, input_type=")
"""How pydantic quotes what a field held: on one line, as `repr` writes it."""


def without_inputs(text: str) -> str:
    """The text of an error without the values that failed a validation; which field and why stays."""
    return _QUOTED_INPUT.sub(", input_type=", text) if "input_value=" in text else text


def masked(value: object) -> object:
    """`value` as it may be shown: of events and values, what is marked `Personal` is replaced, however deep it lies."""
    if isinstance(value, BaseModel):
        hidden = _personal(type(value))
        return {name: MASK if name in hidden else masked(part) for name, part in value}
    if isinstance(value, dict):
        return {key: masked(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(part) for part in value]
    return value


def masked_as(schema: Any, value: Any) -> Any:
    """A value of a body as it may be shown: what the schema that it was written with marks is replaced."""
    return _masked_as(schema, value, {})


def _masked_as(schema: Any, value: Any, named: dict[str, Any]) -> Any:
    if isinstance(schema, str):
        return _masked_as(named[schema], value, named) if schema in named else value
    if isinstance(schema, list):  # of a union only the branch of a record, list or table can hide anything
        for branch in schema:
            value = _masked_as(branch, value, named)
        return value
    if schema["type"] == "record":
        full = f"{schema['namespace']}.{schema['name']}" if schema.get("namespace") else schema["name"]
        named |= {full: schema, schema["name"]: schema}
        if not isinstance(value, dict):
            return value
        shown = dict(value)
        for field in schema["fields"]:
            if field["name"] in shown:
                hidden = field.get("choreo.personal", False)
                part = shown[field["name"]]
                shown[field["name"]] = MASK if hidden else _masked_as(field["type"], part, named)
        return shown
    if schema["type"] == "array" and isinstance(value, list | tuple):
        return [_masked_as(schema["items"], part, named) for part in value]
    if schema["type"] == "map" and isinstance(value, dict):
        return {key: _masked_as(schema["values"], part, named) for key, part in value.items()}
    return _masked_as(schema["type"], value, named) if isinstance(schema["type"], dict | list) else value


class Shown:
    """Stands for an event or value in the text of a log line: prints as `OrderPlaced(order_id='o1', email=***)`."""

    def __init__(self, model: BaseModel) -> None:
        self._model = model

    def __repr__(self) -> str:
        hidden = _personal(type(self._model))
        parts = [f"{name}={MASK if name in hidden else repr(shown(value))}" for name, value in self._model]
        return f"{type(self._model).__name__}({', '.join(parts)})"


def shown(value: Any) -> Any:
    """An argument of a log line: events and values in it are masked when they are printed."""
    if isinstance(value, BaseModel):
        return Shown(value)
    if type(value) in (list, tuple):
        return type(value)(shown(part) for part in value)
    if type(value) is dict:
        return {key: shown(part) for key, part in value.items()}
    return value


@lru_cache(maxsize=1024)
def _personal(model: type[BaseModel]) -> frozenset[str]:
    """The fields that are marked, directly or inside a union or a container."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(mark, PersonalMark) for mark in [*field.metadata, *_marks(field.annotation)])
    )


def _marks(annotation: Any) -> list[object]:
    marks = list(getattr(annotation, "__metadata__", ()))
    return marks + [mark for part in get_args(annotation) for mark in _marks(part)]
