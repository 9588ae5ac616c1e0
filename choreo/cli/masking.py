"""Masks for what is personal in a story: one value has one mask of its type everywhere, so the story still fits."""

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel

from choreo.telemetry.privacy import personal_fields

M = TypeVar("M", bound=BaseModel)


class Masks:
    """The masks of one story. Texts are replaced wherever they stand, in keys too; other values in their fields."""

    def __init__(self, models: Iterable[BaseModel]) -> None:
        self._masks: dict[object, Any] = {}
        for model in models:
            self._learn(model)

    def __len__(self) -> int:
        return len(self._masks)

    def reveals(self, value: object) -> bool:
        """Whether any of what was masked stands in it as it was, or anything else that is personal."""
        if isinstance(value, BaseModel):
            hidden = personal_fields(type(value))
            return any((name in hidden and part) or self.reveals(part) for name, part in value)
        if isinstance(value, dict):
            return any(self.reveals(part) for part in (*value, *value.values()))
        if isinstance(value, list | tuple | set | frozenset):
            return any(self.reveals(part) for part in value)
        return isinstance(value, str) and (str, value) in self._masks

    def shown(self, value: Any) -> Any:
        """A plain value with a mask wherever one that is personal stands in it."""
        if isinstance(value, dict):
            return {name: self.shown(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.shown(part) for part in value]
        return self._masks.get((type(value), value), value) if isinstance(value, str) else value

    def masked(self, model: M) -> M:
        """The same with masks."""
        hidden = personal_fields(type(model))
        changed = {name: self._put(value, hidden=name in hidden) for name, value in model}
        return type(model).model_validate(changed)

    def _learn(self, value: object, field: str = "") -> None:
        if isinstance(value, BaseModel):
            hidden = personal_fields(type(value))
            for name, part in value:
                self._learn(part, name if name in hidden or field else "")
        elif isinstance(value, list | tuple | set | frozenset):
            for part in value:
                self._learn(part, field)
        elif field and value is not None and (type(value), value) not in self._masks:
            self._masks[type(value), value] = _mask(value, field, len(self._masks) + 1)

    def _put(self, value: Any, *, hidden: bool) -> Any:
        if isinstance(value, BaseModel):
            return self.masked(value)
        if isinstance(value, list | tuple | set | frozenset):
            return type(value)(self._put(part, hidden=hidden) for part in value)
        if hidden or isinstance(value, str):
            return self._masks.get((type(value), value), value)
        return value


def _mask(value: object, field: str, number: int) -> object:
    """Something of the same type that says nothing."""
    if isinstance(value, str):
        return f"{field}-{number}@example.org" if "@" in value else f"{field}-{number}"
    if isinstance(value, bool):
        return False
    if isinstance(value, int | float):
        return type(value)(number)
    return value
