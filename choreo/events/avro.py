"""Derives the Avro schema of an event class from its annotations; the ways to datums and back are in `shape.py`."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from functools import cache
from inspect import cleandoc, isabstract
from operator import attrgetter
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, NaiveDatetime, PydanticUndefinedAnnotation
from pydantic.fields import FieldInfo

from choreo.errors import EventError
from choreo.events.datums import (
    NAME,
    Convert,
    branch_name,
    decimal_bytes,
    default_json,
    enum_default,
    enum_symbols,
    local_to_millis,
    time_to_millis,
    to_millis,
    wire_name,
)
from choreo.events.fields import AsUnion, AvroType, Fixed, Formerly, PersonalMark
from choreo.events.schema import named_types, type_of
from choreo.events.shape import FieldShape, Shape, array_shape, is_told_apart, map_shape, record_shape, union_shape

_PLAIN: Mapping[Any, str] = {
    str: "string",
    int: "long",
    float: "double",
    bool: "boolean",
    bytes: "bytes",
    type(None): "null",
}
_LOGICAL: Mapping[Any, tuple[str, str]] = {
    datetime: ("long", "timestamp-micros"),
    NaiveDatetime: ("long", "local-timestamp-micros"),
    date: ("int", "date"),
    time: ("long", "time-micros"),
    UUID: ("string", "uuid"),
}
_MILLIS: Mapping[str | None, tuple[str, Convert]] = {
    "timestamp-millis": ("long", to_millis),
    "local-timestamp-millis": ("long", local_to_millis),
    "time-millis": ("int", time_to_millis),
}
_KEY_TYPES = frozenset({"null", "string", "int", "long", "boolean", "enum"})
_EMPTY_FACTORIES = (list, dict, tuple)


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
        _complete(cls, [known for known, _ in self.named.values()])
        contract = getattr(cls, "contract", None)
        own_namespace = getattr(contract, "namespace", "")
        short = wire_name(cls.__name__)
        name = f"{own_namespace or self.namespace}.{short}".lstrip(".")
        if name in self.named:
            return self._again(name, cls)
        head: dict[str, Any] = {"type": "record", "name": short}
        if top or (own_namespace and own_namespace != self.namespace):
            head["namespace"] = own_namespace or self.namespace
        if doc := cls.__dict__.get("__doc__"):
            head["doc"] = cleandoc(doc)
        if former := getattr(contract, "former_name", None):
            head["aliases"] = [former]
        done: list[Shape] = []
        # A record that holds itself is met again before it is done: its ways are looked up when they are used.
        self.named[name] = (
            cls,
            Shape(name, name, cls, lambda value: done[0].written(value), lambda datum: done[0].read(datum)),
        )
        outer, self.namespace = self.namespace, own_namespace or self.namespace
        fields = [self._field(cls, field_name, info) for field_name, info in cls.model_fields.items()]
        self.namespace = outer
        done.append(record_shape(cls, name, head, fields))
        self.named[name] = (cls, done[0].by_name())
        return done[0]

    def of(self, annotation: Any, facts: Sequence[Any], where: str) -> Shape:
        """The shape of an annotation; `facts` is what stands beside it within Annotated."""
        origin, args = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self.of(args[0], [*args[1:], *facts], where)
        if isinstance(annotation, NewType):
            return self.of(annotation.__supertype__, facts, where)
        is_union = origin in (Union, types.UnionType)
        if order := next((fact for fact in facts if isinstance(fact, AsUnion)), None):
            rest = [fact for fact in facts if fact is not order]
            return union_shape(_ordered(self._branches(args if is_union else [annotation], rest, where), order, where))
        if is_union:
            return union_shape(sorted(self._branches(args, facts, where), key=lambda part: part.branch != "null"))
        if origin is Literal:
            return self._literal(args, where)
        if origin in (tuple, list) and (origin is list or (len(args) == 2 and args[1] is ...)):
            item = self.of(args[0], (), where)
            if item.kind is type(None) or (issubclass(item.kind, BaseModel) and not item.kind.model_fields):
                raise EventError(
                    f"{where}: items without a field take no bytes",
                    why="a few bytes could promise billions",
                    hint="give them a field, or count them",
                )
            return array_shape(item)
        if origin is dict and args[0] is str:
            return map_shape(self.of(args[1], (), where))
        if isinstance(annotation, type):
            return self._class(annotation, facts, where)
        raise _no_type(where, annotation)

    def _class(self, annotation: type, facts: Sequence[Any], where: str) -> Shape:
        annotation = datetime if annotation is AwareDatetime else annotation
        flat = _flatten(facts)
        chosen = next((fact.name for fact in flat if isinstance(fact, AvroType)), None)
        if issubclass(annotation, Enum):
            return self._enum(annotation, where)
        fixed = next((fact for fact in flat if isinstance(fact, Fixed)), None)
        if fixed is not None and annotation in (bytes, Decimal, UUID):
            namespace, dot, _ = fixed.name.rpartition(".")
            return self._name(_fixed(annotation, fixed, flat, where), namespace if dot else None)
        if annotation is Decimal:
            return _decimal(flat, where)
        if annotation in _LOGICAL:
            plain, logical = _LOGICAL[annotation]
            kind = datetime if annotation is NaiveDatetime else annotation
            plain, in_millis = _MILLIS.get(chosen, (plain, None))
            return Shape({"type": plain, "logicalType": chosen or logical}, plain, kind, in_millis)
        if annotation in _PLAIN:
            avro = chosen or _PLAIN[annotation]
            return Shape(avro, avro, annotation)
        if issubclass(annotation, BaseModel) and not isabstract(annotation):
            return self.record(annotation)
        raise _no_type(where, annotation)

    def _field(self, cls: type[BaseModel], name: str, info: FieldInfo) -> FieldShape:
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
        return FieldShape(name, avro, shape)

    def _branches(self, args: Sequence[Any], facts: Sequence[Any], where: str) -> Sequence[Shape]:
        shapes = [self.of(arg, facts if arg is not type(None) else (), where) for arg in args]
        if not is_told_apart(shapes):
            said = " | ".join(_say(arg) for arg in args)
            why = "once it is on the wire, a reader can't tell its parts apart by their class"
            raise EventError(f"{where}: {said} has no Avro type", why=why, hint="one Value for each part")
        return shapes

    def _literal(self, args: Sequence[Any], where: str) -> Shape:
        for kind in (bool, int, str):
            if all(type(arg) is kind for arg in args):
                return Shape(_PLAIN[kind], _PLAIN[kind], kind)
        raise _no_type(where, Literal[tuple(args)])

    def _enum(self, enum: type[Enum], where: str) -> Shape:
        symbols = enum_symbols(enum)
        if not symbols or not all(NAME.fullmatch(symbol) for symbol in symbols):
            raise _no_type(where, enum)
        name = wire_name(enum.__name__)
        avro: dict[str, Any] = {"type": "enum", "name": name, "symbols": list(symbols)}
        if (fallback := enum_default(enum, symbols)) is not None:
            avro["default"] = fallback
        namespace: str | None = getattr(enum, "__namespace__", None)
        if all(symbol == member.value for symbol, member in symbols.items()):
            return self._name(Shape(avro, name, enum, attrgetter("value")), namespace)

        def back(symbol: str) -> Enum:
            return symbols[symbol] if symbol in symbols else enum(symbol)  # the latter asks the enum's own _missing_

        return self._name(Shape(avro, name, enum, attrgetter("name"), back), namespace)

    def _name(self, shape: Shape, namespace: str | None = None) -> Shape:
        """A named type: written out the first time, by name after that. `namespace` where it has one of its own."""
        own = self.namespace if namespace is None else namespace
        name = f"{own}.{shape.branch}".lstrip(".")
        shape = shape.called(name)
        if own != self.namespace:
            shape = replace(shape, avro={**shape.avro, "namespace": own})
        key = shape.kind if issubclass(shape.kind, Enum) else shape.avro
        if name in self.named:
            return self._again(name, key)
        self.named[name] = (key, shape.by_name())
        return shape

    def _again(self, name: str, key: object) -> Shape:
        known, shape = self.named[name]
        if known != key:
            raise EventError(f"two types are called {name} on the wire", why=f"{known!r}, {key!r}", hint="rename one")
        return shape


def _fixed(annotation: type, fixed: Fixed, facts: Sequence[Any], where: str) -> Shape:
    """So many bytes under a name: as they are, or as a Decimal or a UUID."""
    name = fixed.name.rpartition(".")[2] or f"Fixed{fixed.size}"
    avro: dict[str, Any] = {"type": "fixed", "name": name, "size": fixed.size}
    if annotation is bytes:
        return Shape(avro, name, bytes)
    if annotation is UUID:
        if fixed.size != 16:
            raise EventError(f"{where}: a UUID has 16 bytes, not {fixed.size}", hint="Fixed(16)")
        return Shape(avro | {"logicalType": "uuid"}, name, UUID, attrgetter("bytes"), _uuid)
    plain = _decimal(facts, where).avro
    precision, scale = plain["precision"], plain["scale"]
    if 10**precision > 2 ** (8 * fixed.size - 1):
        raise EventError(f"{where}: {fixed.size} bytes do not hold {precision} digits", hint="a larger Fixed(...)")
    return Shape(avro | plain | {"type": "fixed"}, name, Decimal, decimal_bytes(precision, scale, fixed.size))


def _uuid(datum: bytes | UUID) -> UUID:
    return datum if isinstance(datum, UUID) else UUID(bytes=datum)


def _decimal(facts: Sequence[Any], where: str) -> Shape:
    def digits(word: str) -> int | None:
        return next((found for fact in reversed(facts) if (found := getattr(fact, word, None)) is not None), None)

    precision, scale = digits("max_digits"), digits("decimal_places")
    if precision is None or scale is None:
        raise EventError(
            f"{where}: a Decimal without digits",
            why="an Avro decimal has a fixed number of digits",
            hint="Annotated[Decimal, Field(max_digits=12, decimal_places=2)]",
        )
    avro = {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}
    return Shape(avro, "bytes", Decimal, decimal_bytes(precision, scale))


def _complete(cls: type[BaseModel], holders: Sequence[object]) -> None:
    """Look again for types that were not yet known when the class was made: what holds it may be just being made."""
    try:
        if not cls.__pydantic_complete__:
            known = {holder.__name__: holder for holder in holders if isinstance(holder, type)}
            cls.model_rebuild(_types_namespace=known)
    except PydanticUndefinedAnnotation as error:
        raise EventError(
            f"{cls.__name__}: there is no type called {error.name}",
            why=str(error),
            hint="import it at run time, not under TYPE_CHECKING only",
        ) from error


def check_key(cls: type[BaseModel]) -> None:
    """Raise EventError for a key whose fields have no one text that every reader would write alike."""
    shape, contract = shape_of(cls), cls.contract  # type: ignore[attr-defined]  # as above
    named = named_types(shape.avro)
    for name in contract.key:
        info = cls.model_fields[name]
        avro = next(field["type"] for field in shape.avro["fields"] if field["name"] == (info.alias or name))
        for part in avro if isinstance(avro, list) else [avro]:
            full = named.get(part, part) if isinstance(part, str) else part
            if type_of(full) not in _KEY_TYPES:
                raise EventError(
                    f'{cls.__name__}: key="{name}" is {_say(info.annotation)}, which no key can hold',
                    hint="key by str, int, date, datetime, UUID or an Enum",
                )


def refuse_factory(where: str, info: FieldInfo) -> None:
    """Raise EventError for a default that may be another one each time: an event must decode to the same twice."""
    if info.default_factory is not None and info.default_factory not in _EMPTY_FACTORIES:
        why = "a default that is worked out anew (time, randomness) makes every replay another story"
        raise EventError(
            f"{where}: default_factory can't be used in an event",
            why=why,
            hint="let the handler set it: ctx.now, ctx.uuid(); list, dict and tuple are fine",
        )


def _default(where: str, shape: Shape, info: FieldInfo) -> tuple[Any, Any]:
    """The field's Avro type and its default, whose branch stands first in a union: Avro before 1.12 asks for that."""
    refuse_factory(where, info)
    value = info.get_default(call_default_factory=True, validated_data={})
    try:
        datum, avro = shape.written(value), shape.avro
        if isinstance(avro, list) and not any(isinstance(fact, AsUnion) for fact in _flatten(info.metadata)):
            branch = datum[0] if isinstance(datum, tuple) else "null"
            avro = sorted(avro, key=lambda part: not _is_branch(part, branch))
        return avro, default_json(datum)
    except (TypeError, ValueError, AttributeError, ArithmeticError, LookupError, StopIteration) as error:
        raise EventError(f"{where}: the default {value!r} is no {_say(info.annotation)}", why=str(error)) from error


def _ordered(shapes: Sequence[Shape], order: AsUnion, where: str) -> Sequence[Shape]:
    """The branches of a union as `order` names them."""
    found = [
        shape for name in order.branches for shape in shapes if name in (shape.branch, shape.branch.rpartition(".")[2])
    ]
    if sorted(map(id, found)) != sorted(map(id, shapes)):
        said = ", ".join(f'"{shape.branch}"' for shape in shapes)
        raise EventError(
            f"{where}: AsUnion names other branches than the annotation", hint=f"AsUnion({said}) in any order"
        )
    return found


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
    plain = "str, int, float, bool, bytes, Decimal, datetime, date, time, UUID, an Enum, a Value"
    return EventError(f"{where}: {_say(annotation)} has no Avro type", hint=f"{plain}, tuple[X, ...] or dict[str, X]")
