"""A story as the source of a test: calls and values as somebody would write them, with the imports that they need."""

import datetime as moments
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel

WIDTH, STEP = 100, "    "
Node = str | tuple[str, list["Node"], str]
"""Source that stands as it is, or an opening, parts and a closing: broken into lines where they are too long."""


class Source:
    """Writes values and gathers what is to be imported."""

    def __init__(self) -> None:
        self._imports: dict[str, set[str]] = {}

    def name(self, thing: Any, word: str = "") -> str:
        """What a class or function is called; it is imported."""
        first = (word or str(thing.__qualname__)).partition(".")[0]
        if thing.__module__ != "builtins":
            self.need(thing.__module__, first)
        return word or str(thing.__qualname__)

    def need(self, module: str, word: str) -> None:
        """Import `word` from there."""
        self._imports.setdefault(module, set()).add(word)

    def imports(self, ours: Iterable[str] = ()) -> list[str]:
        """Lines in three groups: of Python, of Choreo, of the project."""
        groups: dict[int, list[str]] = {0: [], 1: [], 2: []}
        for module in sorted(self._imports):
            top = module.partition(".")[0]
            group = 1 if top in ("choreo", "pydantic") else 0 if top in PYTHON else 2
            groups[group].append(_import(module, sorted(self._imports[module], key=_rank)))
        lines: list[str] = []
        for found in groups.values():
            lines += ["", *found] if lines and found else found
        return lines

    def value(self, value: object) -> Node:
        """A value as Python would write it."""
        if isinstance(value, BaseModel):
            told = {name: part for name, part in value if not _is_default(value, name)}
            return self.call(self.name(type(value)), told)
        if isinstance(value, Enum):
            return f"{self.name(type(value))}.{value.name}"
        if isinstance(value, Decimal | UUID):
            return f'{self.name(type(value))}("{value}")'
        if isinstance(value, moments.datetime):
            return self._moment(value)
        if isinstance(value, moments.date | moments.time | moments.timedelta):
            self.need("datetime", type(value).__name__)
            return repr(value).removeprefix("datetime.")
        if isinstance(value, dict):
            return "{", [_joined(self.value(key), ": ", self.value(part)) for key, part in value.items()], "}"
        if isinstance(value, list | tuple):
            parts = [self.value(part) for part in value]
            if isinstance(value, tuple):
                return ("(", parts, ")") if len(parts) != 1 else _joined("(", "", _closed(parts[0], ",)"))
            return "[", parts, "]"
        return _text(value) if isinstance(value, str) else repr(value)

    def call(self, function: str, named: Mapping[str, object], *first: Node) -> Node:
        """A call with these arguments, all by name but the first."""
        return f"{function}(", [*first, *(_joined(name, "=", self.value(value)) for name, value in named.items())], ")"

    def annotation(self, kind: Any) -> str:
        """A type as an annotation."""
        if kind is None or kind is NoneType:
            return "None"
        origin, parts = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            return " | ".join(self.annotation(part) for part in parts)
        if origin is not None and isinstance(origin, type):
            inner = ", ".join("..." if part is Ellipsis else self.annotation(part) for part in parts)
            return f"{self.name(origin)}[{inner}]"
        if isinstance(kind, type):
            return self.name(kind)
        self.need("typing", "Any")
        return "Any"

    def _moment(self, value: moments.datetime) -> str:
        self.need("datetime", "datetime")
        parts = [value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond]
        while len(parts) > 3 and not parts[-1]:
            parts.pop()
        if value.tzinfo is None:
            return f"datetime({', '.join(map(str, parts))})"
        self.need("datetime", "UTC")
        if value.utcoffset() != moments.timedelta():
            return self._moment(value.astimezone(moments.UTC))
        return f"datetime({', '.join(map(str, parts))}, tzinfo=UTC)"


PYTHON = {"datetime", "decimal", "uuid", "typing", "collections", "enum"}


def written(node: Node, indent: str = "", before: str = "") -> str:
    """A node in lines that are not too long, the first one without its indent; `before` stands before it."""
    flat = _flat(node)
    if isinstance(node, str) or not node[1] or len(indent) + len(before) + len(flat) <= WIDTH:
        return before + flat
    opening, parts, closing = node
    inner = indent + STEP
    lines = [f"{inner}{written(part, inner)}," for part in parts]
    return "\n".join([before + opening, *lines, indent + closing])


def _flat(node: Node) -> str:
    return node if isinstance(node, str) else node[0] + ", ".join(map(_flat, node[1])) + node[2]


def _joined(name: Node, between: str, value: Node) -> Node:
    left = _flat(name) + between
    return left + value if isinstance(value, str) else (left + value[0], value[1], value[2])


def _closed(node: Node, closing: str) -> Node:
    return node + closing if isinstance(node, str) else (node[0], node[1], node[2] + closing)


def _is_default(model: BaseModel, name: str) -> bool:
    field = type(model).model_fields[name]
    return not field.is_required() and field.get_default(call_default_factory=True) == getattr(model, name)


def _rank(word: str) -> tuple[int, str]:
    """As linters sort names: constants, classes, the rest."""
    return 0 if word.isupper() and len(word) > 1 else 1 if word[0].isupper() else 2, word.lower()


def _import(module: str, words: list[str]) -> str:
    line = f"from {module} import {', '.join(words)}"
    return line if len(line) <= WIDTH else written((f"from {module} import (", list(words), ")"))


def _text(value: str) -> str:
    found = repr(value)
    return found if '"' in value else f'"{found[1:-1]}"' if found[0] == "'" else found
