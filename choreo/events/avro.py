"""Derives the Avro schema of an event class from its annotations, with the ways from values to Avro datums and back."""

import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import cache
from inspect import cleandoc, isabstract
from operator import attrgetter
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin
from uuid import UUID

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from choreo.errors import EventError
from choreo.events.datums import NAME, Convert, branch_name, decimal_bytes, default_json, enum_default, enum_symbols
from choreo.events.fields import AvroType, Fixed, Formerly, PersonalMark

_PLAIN: Mapping[Any, str] = {str: "string", int: "long", float: "double", bool: "boolean", bytes: "bytes",
                             type(None): "null", None: "null"}
_LOGICAL: Mapping[Any, tuple[str, str]] = {
    datetime: ("long", "timestamp-micros"), date: ("int", "date"), time: ("long", "time-micros"), UUID: ("string", "uuid"),
}
_EMPTY_FACTORIES = (list, dict, tuple)


@dataclass(frozen=True)
class Shape:
    """A type on the wire. `to_datum` and `from_datum` are None where a value is its own datum.

    `branch` is its name within a union. `from_datum` takes what fastavro reads with the name of each record
    of a union of several records (`return_record_name_override`).
    """

    avro: Any
    branch: str
    to_datum: Convert | None = None
    from_datum: Convert | None = None


@cache
def shape_of(cls: type[BaseModel]) -> Shape:
    """The shape of an event class. Raises EventError for a field that Avro has no type for."""
    contract = cls.contract  # type: ignore[attr-defined]  # every Value has one; naming Value here would be a circle
    return _Derivation(contract.namespace).record(cls, top=True)


def schema_of(cls: type[BaseModel]) -> dict[str, Any]:
    """The Avro schema of an event class: types, defaults, docs from docstrings, earlier names, personal marks.

    Raises EventError for a field that Avro has no type for.
    """
    schema: dict[str, Any] = shape_of(cls).avro
    return schema


class _Derivation:
    """One walk over the annotations of a class and the Values inside it; each named type is written out once."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self.named: dict[str, tuple[object, Shape]] = {}

    def record(self, cls: type[BaseModel], top: bool = False) -> Shape:
        """A nested record is written out where it is met first, and by name after that."""
        contract = getattr(cls, "contract", None)
        own_namespace = getattr(contract, "namespace", "")
        name = f"{own_namespace or self.namespace}.{cls.__name__}".lstrip(".")
        if name in self.named:
            return self._again(name, cls)
        head: dict[str, Any] = {"type": "record", "name": cls.__name__}
        if top or (own_namespace and own_namespace != self.namespace):
            head["namespace"] = own_namespace or self.namespace
        if doc := cls.__dict__.get("__doc__"):
            head["doc"] = cleandoc(doc)
        if former := getattr(contract, "former_name", None):
            head["aliases"] = [former]
        later: list[Shape] = []
        # A record that holds itself is met again before it is done: its ways are looked up when they are used.
        placeholder = Shape(name, name, lambda value: later[0].to_datum(value),  # type: ignore[misc]  # records have one
                            lambda datum: later[0].from_datum(datum) if later[0].from_datum else datum)
        self.named[name] = (cls, placeholder)
        fields = [self._field(cls, field_name, info) for field_name, info in cls.model_fields.items()]
        shape = Shape(head | {"fields": [avro for avro, _, _ in fields]}, name, _to_record(fields), _from_record(cls, fields))
        later.append(shape)
        self.named[name] = (cls, Shape(name, name, shape.to_datum, shape.from_datum))
        return shape

    def of(self, annotation: Any, facts: Sequence[Any], where: str) -> Shape:
        """The shape of an annotation; `facts` is what stands beside it within Annotated."""
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self.of(args[0], [*args[1:], *facts], where)
        if isinstance(annotation, NewType):
            return self.of(annotation.__supertype__, facts, where)
        if origin in (Union, types.UnionType):
            return self._union(args, facts, where)
        if origin is Literal:
            return self._literal(args, where)
        if origin in (tuple, list) and (origin is list or (len(args) == 2 and args[1] is ...)):
            return _array(self.of(args[0], (), where))
        if origin is dict and args[0] is str:
            return _map(self.of(args[1], (), where))
        if isinstance(annotation, type):
            return self._class(annotation, facts, where)
        raise _no_type(where, annotation)

    def _class(self, annotation: type, facts: Sequence[Any], where: str) -> Shape:
        flat = _flatten(facts)
        chosen = next((fact.name for fact in flat if isinstance(fact, AvroType)), None)
        if issubclass(annotation, Enum):
            return self._enum(annotation, where)
        if annotation is Decimal:
            return _decimal(flat, where)
        if annotation is bytes and (size := next((fact.size for fact in flat if isinstance(fact, Fixed)), None)):
            return self._name(f"Fixed{size}", Fixed(size), {"type": "fixed", "name": f"Fixed{size}", "size": size})
        if annotation in _LOGICAL:
            plain, logical = _LOGICAL[annotation]
            return Shape({"type": plain, "logicalType": chosen or logical}, plain)
        if annotation in _PLAIN:
            avro = chosen or _PLAIN[annotation]
            return Shape(avro, avro)
        if issubclass(annotation, BaseModel) and not isabstract(annotation):
            return self.record(annotation)
        raise _no_type(where, annotation)

    def _field(self, cls: type[BaseModel], name: str, info: FieldInfo) -> tuple[dict[str, Any], str, Shape]:
        where = f"{cls.__name__}.{name}"
        shape = self.of(info.annotation, info.metadata, where)
        wire = info.alias or name
        if not NAME.fullmatch(wire):
            raise EventError(f"{where}: {wire!r} can't be the name of an Avro field", hint="letters, digits and _ only")
        avro: dict[str, Any] = {"name": wire, "type": shape.avro}
        if info.description:
            avro["doc"] = info.description
        facts = [*_flatten(info.metadata), *_inner_facts(info.annotation)]
        if not info.is_required():
            avro["type"], avro["default"] = _default(where, shape, info)
        if aliases := [alias for fact in facts if isinstance(fact, Formerly) for alias in fact.names]:
            avro["aliases"] = aliases
        if any(isinstance(fact, PersonalMark) for fact in facts):
            avro["choreo.personal"] = True
        return avro, name, shape

    def _union(self, args: Sequence[Any], facts: Sequence[Any], where: str) -> Shape:
        shapes = sorted((self.of(arg, facts if arg is not type(None) else (), where) for arg in args),
                        key=lambda shape: shape.branch != "null")
        branches = [shape.branch for shape in shapes]
        if twice := {branch for branch in branches if branches.count(branch) > 1}:
            why = f"two parts of the union are {', '.join(sorted(twice))} on the wire: a reader can't tell them apart"
            raise EventError(f"{where}: {_say(Union[tuple(args)])} has no Avro type", why=why, hint="one Value for each")
        return _union(shapes, [*args], where)

    def _literal(self, args: Sequence[Any], where: str) -> Shape:
        for kind in (bool, int, str):
            if all(type(arg) is kind for arg in args):
                return Shape(_PLAIN[kind], _PLAIN[kind])
        raise _no_type(where, Literal[tuple(args)])

    def _enum(self, enum: type[Enum], where: str) -> Shape:
        symbols = enum_symbols(enum)
        if not symbols or not all(NAME.fullmatch(symbol) for symbol in symbols):
            raise _no_type(where, enum)
        avro: dict[str, Any] = {"type": "enum", "name": enum.__name__, "symbols": list(symbols)}
        if (fallback := enum_default(enum, symbols)) is not None:
            avro["default"] = fallback
        by_value = all(symbol == member.value for symbol, member in symbols.items())
        to_symbol: Convert = attrgetter("value") if by_value else attrgetter("name")
        return self._name(enum.__name__, enum, avro, to_symbol, None if by_value else symbols.__getitem__)

    def _name(self, short: str, key: object, avro: dict[str, Any], to: Convert | None = None,
              back: Convert | None = None) -> Shape:
        name = f"{self.namespace}.{short}".lstrip(".")
        if name in self.named:
            return self._again(name, key)
        self.named[name] = (key, Shape(name, name, to, back))
        return Shape(avro, name, to, back)

    def _again(self, name: str, key: object) -> Shape:
        known, shape = self.named[name]
        if known != key:
            raise EventError(f"two types are called {name} on the wire", why=f"{known!r} and {key!r}", hint="rename one")
        return shape


def _to_record(fields: Sequence[tuple[dict[str, Any], str, Shape]]) -> Convert:
    changed = [(name, shape.to_datum) for _, name, shape in fields if shape.to_datum]
    renamed = [(name, avro["name"]) for avro, name, _ in fields if avro["name"] != name]
    if not changed and not renamed:
        return attrgetter("__dict__")  # a model keeps its fields there: no copy is needed to write them

    def convert(value: Any) -> dict[str, Any]:
        datum: dict[str, Any] = value.__dict__.copy()
        for name, to_datum in changed:
            datum[name] = to_datum(datum[name])
        for name, wire in renamed:
            datum[wire] = datum.pop(name)
        return datum

    return convert


def _from_record(cls: type[BaseModel], fields: Sequence[tuple[dict[str, Any], str, Shape]]) -> Convert | None:
    changed = [(avro["name"], shape.from_datum) for avro, _, shape in fields if shape.from_datum]
    if not changed:
        return None

    def convert(datum: dict[str, Any]) -> dict[str, Any]:
        for wire, from_datum in changed:
            if wire in datum:
                datum[wire] = from_datum(datum[wire])
        return datum

    return convert


def _array(item: Shape) -> Shape:
    to, back = item.to_datum, item.from_datum
    return Shape({"type": "array", "items": item.avro}, "array",
                 (lambda values: [to(value) for value in values]) if to else list,
                 (lambda values: [back(value) for value in values]) if back else None)


def _map(item: Shape) -> Shape:
    to, back = item.to_datum, item.from_datum
    return Shape({"type": "map", "values": item.avro}, "map",
                 (lambda values: {name: to(value) for name, value in values.items()}) if to else None,
                 (lambda values: {name: back(value) for name, value in values.items()}) if back else None)


def _decimal(facts: Sequence[Any], where: str) -> Shape:
    def digits(word: str) -> int | None:
        return next((found for fact in facts if (found := getattr(fact, word, None)) is not None), None)

    precision, scale = digits("max_digits"), digits("decimal_places")
    if precision is None or scale is None:
        raise EventError(f"{where}: a Decimal without digits", why="an Avro decimal has a fixed number of digits",
                         hint="Annotated[Decimal, Field(max_digits=12, decimal_places=2)]")
    avro = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    return Shape(avro, "bytes", decimal_bytes(precision, scale))


def _union(shapes: list[Shape], args: list[Any], where: str) -> Shape:
    avro = [shape.avro for shape in shapes]
    filled = [shape for shape in shapes if shape.branch != "null"]
    if len(filled) == 1:
        branch, to, back = filled[0].branch, filled[0].to_datum, filled[0].from_datum
        # fastavro takes (branch, datum) without trying the value on every branch
        return Shape(avro, "union",
                     (lambda value: None if value is None else (branch, to(value))) if to
                     else (lambda value: None if value is None else (branch, value)),
                     (lambda datum: None if datum is None else back(datum)) if back else None)
    return _wide_union(shapes, args, where)


def _wide_union(shapes: list[Shape], args: list[Any], where: str) -> Shape:
    """A union of several types besides None: the branch is told by the class of the value."""
    by_class = {kind: shape for shape in shapes for arg in args for kind in _classes(arg, shape)}
    records = {shape.branch: kind for kind, shape in by_class.items() if issubclass(kind, BaseModel)}
    branches = {shape.branch for shape in shapes}
    enums = [shape for shape in shapes if isinstance(shape.avro, dict) and shape.avro["type"] == "enum"]
    blurred = (bool(records) and "map" in branches) or (bool(enums) and "string" in branches) or len(enums) > 1
    if blurred or any(shape.from_datum for shape in enums) or "array" in branches:
        why = "once read, its parts can't be told apart by their class"
        raise EventError(f"{where}: {_say(Union[tuple(args)])} has no Avro type", why=why, hint="one Value for each part")
    several = len(records) > 1

    def to_datum(value: Any) -> Any:
        shape = by_class.get(type(value)) or next(s for kind, s in by_class.items() if isinstance(value, kind))
        return (shape.branch, shape.to_datum(value) if shape.to_datum else value)

    def from_datum(datum: Any) -> Any:
        if type(datum) is not tuple:
            return datum
        name, fields = datum
        back = next(shape.from_datum for shape in shapes if shape.branch == name)
        return records[name].__pydantic_validator__.validate_python(back(fields) if back else fields, extra="ignore")

    return Shape([shape.avro for shape in shapes], "union", to_datum, from_datum if several else None)


def _classes(arg: Any, shape: Shape) -> tuple[type, ...]:
    """The classes of the values of a part of a union, if `shape` is the shape of this part."""
    while get_origin(arg) is Annotated or isinstance(arg, NewType):
        arg = arg.__supertype__ if isinstance(arg, NewType) else get_args(arg)[0]
    if get_origin(arg) is Literal:
        kind: Any = type(get_args(arg)[0])
    else:
        kind = get_origin(arg) or (type(None) if arg is None else arg)
    if issubclass(kind, (BaseModel, Enum)):
        return (kind,) if shape.branch.rpartition(".")[2] == kind.__name__ else ()
    own = "array" if kind in (tuple, list) else "map" if kind is dict else "bytes" if kind is Decimal else None
    own = own or (_LOGICAL[kind][0] if kind in _LOGICAL else _PLAIN[kind])
    return (kind,) if shape.branch == own else ()


def refuse_factory(where: str, info: FieldInfo) -> None:
    """Raise EventError for a default that may be another one each time: an event must decode to the same twice."""
    if info.default_factory is not None and info.default_factory not in _EMPTY_FACTORIES:
        why = "a default that is worked out anew (time, randomness) makes every replay another story"
        raise EventError(f"{where}: default_factory can't be used in an event", why=why,
                         hint="let the handler set it: ctx.now, ctx.uuid(); list, dict and tuple are fine")


def _default(where: str, shape: Shape, info: FieldInfo) -> tuple[Any, Any]:
    """The field's Avro type and its default; the branch of a default stands first in its union (Avro asks for that)."""
    refuse_factory(where, info)
    value = info.get_default(call_default_factory=True, validated_data={})
    try:
        datum = shape.to_datum(value) if shape.to_datum else value
        avro = shape.avro
        if isinstance(avro, list):
            branch = datum[0] if isinstance(datum, tuple) else "null"
            avro = sorted(avro, key=lambda part: not _is_branch(part, branch))
        return avro, default_json(avro, datum)
    except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError, StopIteration) as error:
        raise EventError(f"{where}: the default {value!r} is no {_say(info.annotation)}", why=str(error)) from error


def _is_branch(part: Any, branch: str) -> bool:
    return branch_name(part) in (branch, branch.rpartition(".")[2])


def _flatten(facts: Sequence[Any]) -> list[Any]:
    """What pydantic's Field(...) says stands inside of it, beside the marks that stand alone."""
    return [inner for fact in facts for inner in ([*fact.metadata] if isinstance(fact, FieldInfo) else [fact])]


def _inner_facts(annotation: Any) -> list[Any]:
    inner = [fact for arg in get_args(annotation) for fact in _inner_facts(arg)]
    return inner + (_flatten(get_args(annotation)[1:]) if get_origin(annotation) is Annotated else [])


def _say(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation).replace("typing.", "")


def _no_type(where: str, annotation: Any) -> EventError:
    hint = "str, int, float, bool, bytes, Decimal, datetime, date, time, UUID, an Enum, a Value, tuple[X, ...], dict[str, X]"
    return EventError(f"{where}: {_say(annotation)} has no Avro type", hint=f"use {hint}")
