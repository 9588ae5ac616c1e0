"""What log lines and status pages leave out: fields marked `Personal`, and the inputs that a validation quotes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, get_args

from pydantic import BaseModel

from choreo.events.fields import ERASED, PersonalMark
from choreo.events.schema import named_types, normalised

MASK = "***"
MARK = "choreo.personal"
"""How the Avro schema of an event marks such a field."""
_QUOTED_INPUT = re.compile(r", input_value=.*, input_type=")
"""How pydantic quotes what a field held: on one line, as `repr` writes it."""


def without_inputs(text: str) -> str:
    """The text of an error without the values that failed a validation; which field and why stays."""
    return _QUOTED_INPUT.sub(", input_type=", text) if "input_value=" in text else text


def without(text: str, hidden: Iterable[str]) -> str:
    """A text in which none of these words stands any more; one of a single character is left, it says nothing."""
    for word in sorted({word for word in hidden if len(word) > 1}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", MASK, text)
    return text


def masked(value: object) -> object:
    """`value` as it may be shown: of events and values, what is marked `Personal` is replaced, however deep it lies."""
    if isinstance(value, BaseModel):
        hidden = personal_fields(type(value))
        return {name: _mask(part) if name in hidden else masked(part) for name, part in value}
    if isinstance(value, dict):
        return {key: masked(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(part) for part in value]
    return value


def masked_as(schema: Any, body: Any, hidden: list[str] | None = None) -> Any:
    """`body` as it may be shown, by the marks of the Avro schema that it was written with, however deep they lie.

    `hidden` is told the texts of what was masked. A value of a union is masked where any branch that it may be says so.
    """
    return _masked(normalised(schema), body, named_types(normalised(schema)), [] if hidden is None else hidden)


def _masked(schema: Any, value: Any, named: Mapping[str, Any], hidden: list[str]) -> Any:
    schema = named.get(schema, schema) if isinstance(schema, str) else schema
    if isinstance(schema, list):
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping):
            value = value[1]  # a record of a union of several: fastavro gives its name with it
        for branch in schema:
            value = _masked(branch, value, named, hidden)
        return value
    if not isinstance(schema, dict):
        return value
    if isinstance(value, Mapping) and "fields" in schema:
        marked = {field["name"] for field in schema["fields"] if field.get(MARK)}
        hidden += [text for name in marked & value.keys() for text in _texts(value[name])]
        kinds = {field["name"]: field["type"] for field in schema["fields"]}
        return {
            name: _mask(part) if name in marked else _masked(kinds.get(name, "null"), part, named, hidden)
            for name, part in value.items()
        }
    if isinstance(value, Mapping) and "values" in schema:
        return {name: _masked(schema["values"], part, named, hidden) for name, part in value.items()}
    if isinstance(value, list | tuple) and "items" in schema:
        return [_masked(schema["items"], part, named, hidden) for part in value]
    return value


def _texts(value: Any) -> Iterator[str]:
    """The values in what is personal, as texts."""
    if isinstance(value, Mapping):
        yield from (text for part in value.values() for text in _texts(part))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (text for part in value for text in _texts(part))
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _mask(value: object) -> str:
    """What stands in place of a personal value: of one that was erased, that it was."""
    return str(ERASED) if value == ERASED else MASK


class Shown:
    """Stands for an event or value in the text of a log line: prints as `OrderPlaced(order_id='o1', email=***)`."""

    def __init__(self, model: BaseModel) -> None:
        self._model = model

    def __repr__(self) -> str:
        hidden = personal_fields(type(self._model))
        parts = [f"{name}={_mask(value) if name in hidden else repr(shown(value))}" for name, value in self._model]
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
def personal_fields(model: type[BaseModel]) -> frozenset[str]:
    """The fields that are marked, directly or inside a union or a container."""
    return frozenset(
        name
        for name, field in model.model_fields.items()
        if any(isinstance(mark, PersonalMark) for mark in [*field.metadata, *_marks(field.annotation)])
    )


def _marks(annotation: Any) -> list[object]:
    marks = list(getattr(annotation, "__metadata__", ()))
    return marks + [mark for part in get_args(annotation) for mark in _marks(part)]
