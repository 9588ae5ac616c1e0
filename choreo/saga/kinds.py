"""What expressions know of the values of a type: their kind, the fields of a record, what a list or table holds."""

import types
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel


class Kind(StrEnum):
    """What CEL knows of a value's type."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    BYTES = "bytes"
    TIMESTAMP = "timestamp"
    LIST = "list"
    MAP = "map"
    DYN = "dyn"

    def fits(self, wanted: "Kind") -> bool:
        """Whether a value of this kind may stand where `wanted` is asked for; what is dynamic shows when it runs."""
        return self == wanted or Kind.DYN in (self, wanted) or (self == Kind.INT and wanted == Kind.DOUBLE)

    @property
    def one(self) -> str:
        """`an int`, `a string`."""
        return f"an {self}" if self == Kind.INT else f"a {self}"


_PLAIN: tuple[tuple[type, Kind], ...] = (
    (bool, Kind.BOOL),
    (int, Kind.INT),
    (float, Kind.DOUBLE),
    (Decimal, Kind.DOUBLE),
    (str, Kind.STRING),
    (UUID, Kind.STRING),
    (bytes, Kind.BYTES),
    (datetime, Kind.TIMESTAMP),
    (date, Kind.STRING),
    (time, Kind.STRING),
    (BaseModel, Kind.MAP),
)


def kind_of(annotation: Any) -> Kind:
    """The kind of a field's annotation; dynamic for unions, optional ones included."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return kind_of(get_args(annotation)[0])
    if origin is Literal:
        return Kind.STRING if all(isinstance(value, str) for value in get_args(annotation)) else Kind.DYN
    if origin in (Union, types.UnionType):
        return Kind.DYN
    if origin in (tuple, list, set, frozenset):
        return Kind.LIST
    if origin is dict:
        return Kind.MAP
    if isinstance(annotation, type):
        if issubclass(annotation, Enum):
            return Kind.STRING if all(isinstance(member.value, str) for member in annotation) else Kind.DYN
        return next((kind for known, kind in _PLAIN if issubclass(annotation, known)), Kind.DYN)
    return Kind.DYN


def types_in(annotation: Any) -> list[Any]:
    """The types that a value may have which is not None: those of a union, else the annotation itself."""
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for kind in get_args(annotation) if kind is not type(None)]
    return [annotation]


@dataclass(frozen=True, eq=False)
class ValueType:
    """What is known of a field's values by its annotation. What lies within is worked out when it is asked for, so that
    a record may hold itself.
    """

    annotation: Any

    @cached_property
    def kind(self) -> Kind:
        """Dynamic where a value may be None or of several types."""
        return kind_of(self.annotation)

    @cached_property
    def present(self) -> Kind:
        """The kind of values that are not None."""
        return kind_of(self._one)

    @property
    def is_decimal(self) -> bool:
        """Whether it is a Decimal, or such a one or None. CEL takes it for a double, people know what they wrote."""
        return isinstance(self._one, type) and issubclass(self._one, Decimal)

    @property
    def one(self) -> str:
        """`a string`, `a decimal`: what values that are not None are called."""
        return "a decimal" if self.is_decimal else self.present.one

    @property
    def inside(self) -> Kind:
        """The kind of such values in a list or table: a datetime is a text there."""
        return Kind.STRING if self.present is Kind.TIMESTAMP else self.present

    @cached_property
    def _one(self) -> Any:
        """The one type of values that are not None, without its notes; None where there are several."""
        found, *others = types_in(self.annotation)
        if others:
            return None
        return ValueType(get_args(found)[0])._one if get_origin(found) is Annotated else found

    @property
    def is_record(self) -> bool:
        """Whether it is a class with fields, or such a one or None."""
        return isinstance(self._one, type) and issubclass(self._one, BaseModel)

    @cached_property
    def fields(self) -> Mapping[str, "ValueType"]:
        """The fields of a record by name, computed ones too, for JSON has them; {} for any other type."""
        if not self.is_record:
            return {}
        computed = {name: ValueType(field.return_type) for name, field in self._one.model_computed_fields.items()}
        return {name: ValueType(field.annotation) for name, field in self._one.model_fields.items()} | computed

    @property
    def required(self) -> list[str]:
        """The fields of a record that have no default."""
        return [name for name, field in self._one.model_fields.items() if field.is_required()] if self.is_record else []

    @property
    def is_closed(self) -> bool:
        """Whether it is a record that takes no other fields."""
        return self.is_record and self._one.model_config.get("extra") == "forbid"

    @cached_property
    def inner(self) -> "ValueType | None":
        """What each item of a list is, or each value of a table; None for other types, and where items differ."""
        held = get_args(self._one)
        if get_origin(self._one) is dict:
            return ValueType(held[1])
        if self.present is not Kind.LIST or not held:
            return None
        return ValueType(held[0]) if all(one in (held[0], Ellipsis) for one in held) else None

    def as_cel(self, value: Any) -> Any:
        """What JSON has, as CEL has it: a Decimal is a double, within records and lists too; bytes are bytes.

        A datetime is one where it stands alone: what lies within, or may be null, CEL takes as a text only.

        Raises ValueError or TypeError for a value of another type.
        """
        if self.kind is Kind.TIMESTAMP and isinstance(value, str):
            return datetime.fromisoformat(value)
        return self._within(value)

    def _within(self, value: Any) -> Any:
        if value is None or self._stays:
            return value
        if self.present is Kind.DOUBLE:
            return float(value)
        if self.present is Kind.BYTES:
            return urlsafe_b64decode(value) if isinstance(value, str) else value
        if isinstance(value, Mapping):
            return {name: one._within(value[name]) if (one := self._at(name)) else value[name] for name in value}
        return [self.inner._within(item) for item in value] if self.inner else value

    def _at(self, name: str) -> "ValueType | None":
        return self.fields.get(name) if self.is_record else self.inner

    @cached_property
    def _stays(self) -> bool:
        """Whether CEL has values of this type, but for a datetime, just as JSON has them."""
        return self._unchanged(())

    def _unchanged(self, within: tuple[Any, ...]) -> bool:
        if self.present in (Kind.DOUBLE, Kind.BYTES):
            return False
        parts = [*self.fields.values(), *([self.inner] if self.inner else [])]
        # A record within itself is looked at once: there is nothing in it that was not seen on the way.
        return self._one in within or all(part._unchanged((*within, self._one)) for part in parts)


_ANY_OF: Mapping[Kind, Any] = {
    Kind.BOOL: bool,
    Kind.INT: int,
    Kind.DOUBLE: float,
    Kind.STRING: str,
    Kind.BYTES: bytes,
    Kind.TIMESTAMP: datetime,
    Kind.LIST: list[Any],
    Kind.MAP: dict[str, Any],
    Kind.DYN: Any,
}


def any_of(kind: Kind) -> ValueType:
    """Values of which no more is known than their kind."""
    return ValueType(_ANY_OF[kind])


def either(one: ValueType, other: ValueType) -> ValueType:
    """Values that are of one of two types."""
    if one.annotation == other.annotation:
        return one
    if one.present is not other.present:
        return any_of(Kind.DYN)
    found = _ANY_OF[one.present]
    return ValueType(found if one.kind is other.kind is one.present else found | None)


class Misfit(NamedTuple):
    """Why a value can't stand where another is wanted: the place within both, what is `wanted` there, what there is."""

    within: str
    wanted: str
    there: str


def misfit(has: ValueType, wanted: ValueType, within: str = "") -> Misfit | None:
    """What is wrong where a value that is not null is put into such a field; None where nothing is, or nobody knows."""
    if not has.present.fits(wanted.present):
        return Misfit(within, f"is {wanted.one}", f"is {has.one}")
    if has.is_record and wanted.is_record and within.count(".") < _DEEPEST:
        return _misfit_of_records(has, wanted, within)
    if has.inner is None or wanted.inner is None:
        return None
    return misfit(has.inner, wanted.inner, f"{within}[]")


_DEEPEST = 8
"""How many records within each other are looked at: one may hold itself."""


def _misfit_of_records(has: ValueType, wanted: ValueType, within: str) -> Misfit | None:
    for name in wanted.required:
        if name not in has.fields:
            return Misfit(f"{within}.{name}", "needs a value", "is not there")
    for name, one in has.fields.items():
        there = wanted.fields.get(name)
        if there is None and wanted.is_closed:
            return Misfit(f"{within}.{name}", "is no field", f"is {one.one}")
        if there is not None and (found := misfit(one, there, f"{within}.{name}")):
            return found
    return None
