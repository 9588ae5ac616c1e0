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
        hidden = personal_fields(type(value))
        return {name: MASK if name in hidden else masked(part) for name, part in value}
    if isinstance(value, dict):
        return {key: masked(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [masked(part) for part in value]
    return value


class Shown:
    """Stands for an event or value in the text of a log line: prints as `OrderPlaced(order_id='o1', email=***)`."""

    def __init__(self, model: BaseModel) -> None:
        self._model = model

    def __repr__(self) -> str:
        hidden = personal_fields(type(self._model))
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
