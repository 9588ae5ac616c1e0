"""Conditions and mappings in CEL: compiled once against typed variables, evaluated over plain values.

Variables are `saga.FIELD`, `steps.NAME.FIELD` and, in a step that is done for each item of a list, `item.FIELD`.
Values come as JSON has them. In CEL a Decimal is a double (exact to 15 digits: compare with it, don't add up money), a
datetime a timestamp (in a list of datetimes a text), an Enum, UUID, date or time its text, a nested record a map, and
whatever may be None is dynamic, so that `saga.x == null` can be asked. An expression is checked a second time with
whatever may be null as what it is where it is not, and with what lies within records, lists and tables by its own type.
"""

import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

from cel_expr_python import cel

from choreo.saga.cel_tree import tree_of
from choreo.saga.kinds import Kind, ValueType, any_of
from choreo.saga.value_paths import STAND_INS, Compared, ValuePaths

Made = TypeVar("Made")
Word = Kind | ValueType
"""What is known of a variable: its type, or no more than a kind."""
_CEL_TYPES = {
    Kind.BOOL: cel.Type.BOOL,
    Kind.INT: cel.Type.INT,
    Kind.DOUBLE: cel.Type.DOUBLE,
    Kind.STRING: cel.Type.STRING,
    Kind.BYTES: cel.Type.BYTES,
    Kind.TIMESTAMP: cel.Type.TIMESTAMP,
    Kind.LIST: cel.Type.List(cel.Type.DYN),
    Kind.MAP: cel.Type.Map(cel.Type.STRING, cel.Type.DYN),
    Kind.DYN: cel.Type.DYN,
}
_KINDS = {
    "BOOL": Kind.BOOL,
    "INT": Kind.INT,
    "UINT": Kind.INT,
    "DOUBLE": Kind.DOUBLE,
    "STRING": Kind.STRING,
    "BYTES": Kind.BYTES,
    "TIMESTAMP": Kind.TIMESTAMP,
    "LIST": Kind.LIST,
    "MAP": Kind.MAP,
}


class Answer(NamedTuple):
    """What an expression gave, as JSON has it; `problem` says why it gave nothing."""

    value: Any
    problem: str | None = None


class BadExpression(ValueError):
    """An expression that does not compile. `offset` counts characters from its start; `name` is what is unknown, and
    `cure` says what could stand there, where that is known. `would_run` is the expression where CEL alone takes it.
    """

    def __init__(self, text: str, offset: int, name: str | None = None, cure: str = "") -> None:
        super().__init__(text)
        self.offset, self.name, self.cure = offset, name, cure
        self.would_run: Expression | None = None


@dataclass(frozen=True)
class Expression:
    """A compiled expression. Two are equal when their texts are. `reads` are its variables with their types.

    `present` is the kind of what it gives where nothing that it reads is null, `gives` its type where that is known.
    """

    text: str
    kind: Kind = field(compare=False)
    reads: Mapping[str, ValueType] = field(compare=False, repr=False)
    compiled: Any = field(compare=False, repr=False)
    present: Kind = field(default=Kind.DYN, compare=False, kw_only=True)
    gives: ValueType | None = field(default=None, compare=False, repr=False, kw_only=True)
    compared: tuple[Compared, ...] = field(default=(), compare=False, repr=False, kw_only=True)
    """What lies within values and is held against a text."""

    @property
    def one(self) -> str:
        """`a string`, `a decimal`: what it gives where nothing is null, as people call it."""
        return self.gives.one if self.gives and self.gives.present is self.present else self.present.one

    def evaluate(self, values: Mapping[str, Any]) -> Answer:
        """The result over these variables, as JSON has them. A missing variable is a problem only where it matters.

        (`steps.a.status == 'done' && steps.a.x > 1` asks for x only when a is done.)
        """
        try:
            bound = {name: one.as_cel(values[name]) for name, one in self.reads.items() if name in values}
        except (TypeError, ValueError) as error:  # remembered under another type than the event has by now
            return Answer(None, str(error))
        result = self.compiled.eval(data=bound)
        if result.type() == cel.Type.ERROR:
            return Answer(None, str(result).partition(": ")[2] or str(result))
        return Answer(_to_json(result.plain_value()))


class Language:
    """The variables that the expressions of one spec may read."""

    def __init__(self, variables: Mapping[str, Word]) -> None:
        self.types = {name: any_of(word) if isinstance(word, Kind) else word for name, word in variables.items()}
        self._env = cel.NewEnv(variables={name: _CEL_TYPES[one.kind] for name, one in self.types.items()})

    def compile(self, text: str) -> Expression:
        """Raises BadExpression for a syntax error, an unknown variable or field, or types that don't fit."""
        try:
            return self._expression(text)
        except BadExpression as error:
            _name_decimals(ValuePaths(text, self.types, tree_of(text)), error)
            raise

    def _expression(self, text: str) -> Expression:
        written = _Written(text)
        plain = written.made_by(lambda now: self._compiled(self._env, now))
        kind, names = _kind(plain), [name for name in names_in(text) if name in self.types]
        try:
            found, present = written.made_by(self._looked_into)
        except BadExpression as error:
            reads = {name: any_of(self.types[name].kind) for name in names}
            error.would_run = Expression(text, kind, reads, plain, present=kind)
            raise
        program = self._compiled(self._env, found.with_timestamps())
        reads = {name: self.types[name] for name in names}
        known, compared = present or kind, tuple(found.compared)
        return Expression(text, kind, reads, program, present=known, gives=found.gives, compared=compared)

    def _looked_into(self, text: str) -> tuple[ValuePaths, Kind | None]:
        """What the expression reads of values, and the kind of what it gives where nothing is null; None where that was
        not asked. Raises BadExpression for a field that a record does not have, and for types that don't fit then.

        CEL is asked twice about the types: once with what stands in macros and brackets as it is, once with the whole
        of each path, so that what becomes of an item is checked too.
        """
        found = ValuePaths(text, self.types, tree_of(text))
        for start, name, cure in found.unknown:
            raise BadExpression(f"there is no {name} here", start, name, cure)
        if found.tree is None or found.bound & STAND_INS.keys():
            return found, None
        kind, plain = None, [path for path in found.paths if path.plain]
        for way in dict.fromkeys((found.with_stand_ins(plain), found.with_stand_ins(found.paths))):
            kind = _kind(self._compiled(self._checked, way))
        return found, kind

    @cached_property
    def _checked(self) -> Any:
        """As if nothing were null."""
        held = {name: one.inner.inside if one.inner else None for name, one in self.types.items()}
        own = {name: _cel_type(one.present, held[name]) for name, one in self.types.items()}
        return cel.NewEnv(variables=own | {name: _cel_type(*kinds) for name, kinds in STAND_INS.items()})

    @staticmethod
    def _compiled(env: Any, text: str) -> Any:
        try:
            return env.compile(text)
        except RuntimeError as error:
            at = _int_beside_double(text, str(error))
            if at is not None:
                raise _Mixed(at) from None
            raise explained(text, str(error)) from None


class _Mixed(Exception):
    """`saga.total > 0` means 0.0 where total is a double: CEL itself would refuse it. The 0 ends `at` this offset."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self.at = at


class _Written:
    """The text of an expression, in which ints become doubles."""

    def __init__(self, text: str) -> None:
        self.text, self._widened = text, list[int]()

    def made_by(self, compiler: Callable[[str], Made]) -> Made:
        """What the compiler makes of it. Raises BadExpression, with the offset in the text as it was written."""
        for _ in range(50):
            try:
                return compiler(self.text)
            except _Mixed as mixed:
                self._widen(mixed.at)
            except BadExpression as error:
                error.offset = self.offset(error.offset)
                raise
        raise BadExpression("this expression mixes int and double too often", 0)

    def _widen(self, at: int) -> None:
        self.text = f"{self.text[:at]}.0{self.text[at:]}"
        self._widened = sorted([*(one + 2 if one >= at else one for one in self._widened), at])

    def offset(self, here: int) -> int:
        """Where that stands in the text as it was written."""
        return here - 2 * sum(at < here for at in self._widened)


_STRINGS = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_NAMES = re.compile(r"(?<![\w.])(?:saga\.[A-Za-z_]\w*|steps\.[A-Za-z_]\w*\.[A-Za-z_]\w*|item(?:\.[A-Za-z_]\w*)?)(?!\w)")
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_MIXED = re.compile(r"found no matching overload for '_(\S+)_' applied to '\((double, int|int, double)\)'")
_OVERLOAD = re.compile(r"found no matching overload for '[_@]?(.+?)_?' applied to '\((.*)\)'")
_REFUSED = re.compile(r"('.*' does not take )\((.*)\)")
_BETWEEN_TYPES = re.compile(r",\s*(?![^()]*\))")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in")
COMPARED_WITH = "a decimal is compared with a decimal, a float or a number such as 9.5; with an int as double(...)"
_WELL_KNOWN = re.compile(r"google\.protobuf\.(Timestamp|Duration)")
_UNKNOWN = re.compile(r"undeclared reference to '([^']+)'")
_INT_AFTER = re.compile(r"\s*-?\s*\d+(?![\w.])")
_INT_BEFORE = re.compile(r"(?<![\w.])\d+(?=\s*$)")


def names_in(text: str) -> tuple[str, ...]:
    """The variables that an expression names, each once, in order."""
    return tuple(dict.fromkeys(_NAMES.findall(_bare(text))))


def _bare(text: str) -> str:
    """The text without what stands in quotes; every other character stays where it is."""
    return _STRINGS.sub(lambda found: " " * len(found[0]), text)


def _int_beside_double(text: str, error: str) -> int | None:
    """Where the literal ends that is an int beside a double, if that is what is wrong."""
    located = _ERROR.search(error)
    mixed = _MIXED.match(located[3]) if located else None
    if located is None or mixed is None:
        return None
    start = _offset(text, located)
    if mixed[2] == "double, int":
        literal = _INT_AFTER.match(text, start + len(mixed[1]))
        return literal.end() if literal else None
    before = _INT_BEFORE.search(text[:start])
    return before.end() if before else None


def _offset(text: str, located: re.Match[str]) -> int:
    lines = text.split("\n")
    before = sum(len(line) + 1 for line in lines[: int(located[1]) - 1])
    return min(before + int(located[2]) - 1, len(text))


def explained(text: str, error: str) -> BadExpression:
    """What CEL said of an expression, in words for whoever wrote it."""
    located = _ERROR.search(error)
    if located is None:
        return BadExpression(error.splitlines()[0], 0)
    offset = _offset(text, located)
    said = located[3].removesuffix(" [INVALID_ARGUMENT]").replace(" (in container '')", "")
    said = _WELL_KNOWN.sub(lambda found: found[1].lower(), said)
    unknown = _UNKNOWN.search(said)
    if unknown:
        start = text.find(unknown[1])
        return BadExpression(f"there is no {unknown[1]} here", max(start, 0), unknown[1])
    mixed = _MIXED.match(said)
    if mixed:
        said = f"'{mixed[1]}' can't compare or combine a double and an int: write double(...) around the int"
    elif said.startswith("found no matching overload for"):
        said = _OVERLOAD.sub(r"'\1' does not take (\2)", said)
    elif said.startswith("Syntax error"):
        said = said.partition(" expecting {")[0].replace("Syntax error", "syntax error")
    return BadExpression(said, offset)


def _name_decimals(found: ValuePaths, error: BadExpression) -> None:
    """Call what CEL has as a double by the name of its type, where that is a Decimal, and say what goes with it."""
    nodes = found.tree.walk() if found.tree else ()
    at = [one for one in nodes if one.start <= error.offset < one.end and one.sort in ("operator", "call", "method")]
    if not at:
        return
    node = min(at, key=lambda one: one.end - one.start)
    parts = node.parts
    decimals = [(part.start, part.end) in found.decimals for part in parts]
    said = str(error)
    if refused := _REFUSED.fullmatch(said):
        types = _BETWEEN_TYPES.split(refused[2])
        named = ["decimal" if name == "double" and one else name for name, one in zip(types, decimals, strict=False)]
        error.args = (f"{refused[1]}({', '.join([*named, *types[len(named) :]])})",)
    elif any(decimals):
        error.args = (said.replace("a double and an int", "a decimal and an int"),)
    if error.args[0] != said and node.name in COMPARISONS:
        error.cure = error.cure or COMPARED_WITH


def _kind(compiled: Any) -> Kind:
    """The kind of what a compiled expression gives."""
    return _KINDS.get(compiled.return_type().name().partition("<")[0], Kind.DYN)


def _cel_type(kind: Kind, within: Kind | None) -> Any:
    """CEL's type of values of this kind that hold such ones."""
    if within is None or kind not in (Kind.LIST, Kind.MAP):
        return _CEL_TYPES[kind]
    inner = _CEL_TYPES[within]
    return cel.Type.List(inner) if kind is Kind.LIST else cel.Type.Map(cel.Type.STRING, inner)


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes | bytearray):
        return urlsafe_b64encode(value).decode()
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _to_json(item) for key, item in value.items()}
    return value
