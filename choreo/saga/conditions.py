"""Conditions and mappings in CEL: compiled once against typed variables, evaluated over plain values.

Variables are `saga.FIELD`, `steps.NAME.FIELD` and, in a step that is done for each item of a list, `item.FIELD`.
Values come as JSON has them. In CEL a Decimal is a double (exact to 15 digits: compare with it, don't add up money), a
datetime a timestamp, an Enum, UUID, date or time its text, a nested record a map, and whatever may be None is dynamic,
so that `saga.x == null` can be asked. An expression is checked a second time with whatever may be null as what it is
where it is not, and with the fields of records by their own types.
"""

import re
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum, StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

from cel_expr_python import cel
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


def present_kind_of(annotation: Any) -> Kind:
    """The kind of a field's values that are not None."""
    kinds = types_in(annotation)
    return kind_of(kinds[0]) if len(kinds) == 1 else Kind.DYN


def fields_within(name: str, annotation: Any, depth: int = 4) -> dict[str, Kind]:
    """The fields of a record by name (`saga.address.zip`), and of the records in it; {} for any other type."""
    record, *others = types_in(annotation)
    if others or depth == 0 or not (isinstance(record, type) and issubclass(record, BaseModel)):
        return {}
    found: dict[str, Kind] = {}
    for field_name, info in record.model_fields.items():
        within = f"{name}.{field_name}"
        found |= {within: present_kind_of(info.annotation), **fields_within(within, info.annotation, depth - 1)}
    return found


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
}


class Answer(NamedTuple):
    """What an expression gave, as JSON has it; `problem` says why it gave nothing."""

    value: Any
    problem: str | None = None


class BadExpression(ValueError):
    """An expression that does not compile. `offset` counts characters from its start; `name` is what is unknown."""

    def __init__(self, text: str, offset: int, name: str | None = None) -> None:
        super().__init__(text)
        self.offset, self.name = offset, name


@dataclass(frozen=True)
class Expression:
    """A compiled expression. Two are equal when their texts are. `reads` are its variables with their kinds.

    `present` is the kind of what it gives where nothing that it reads is null.
    """

    text: str
    kind: Kind = field(compare=False)
    reads: Mapping[str, Kind] = field(compare=False, repr=False)
    compiled: Any = field(compare=False, repr=False)
    present: Kind = field(default=Kind.DYN, compare=False, kw_only=True)

    def evaluate(self, values: Mapping[str, Any]) -> Answer:
        """The result over these variables, as JSON has them. A missing variable is a problem only where it matters.

        (`steps.a.status == 'done' && steps.a.x > 1` asks for x only when a is done.)
        """
        bound = {name: _to_cel(values[name], kind) for name, kind in self.reads.items() if name in values}
        result = self.compiled.eval(data=bound)
        if result.type() == cel.Type.ERROR:
            return Answer(None, str(result).partition(": ")[2] or str(result))
        return Answer(_to_json(result.plain_value()))


class Language:
    """The variables that the expressions of one spec may read, with their kinds; `present` has the kinds of those that
    may be null, where they are not, and of the fields of records: `saga.address.zip`.
    """

    def __init__(self, variables: Mapping[str, Kind], present: Mapping[str, Kind] | None = None) -> None:
        self.variables = dict(variables)
        self.present = {name: kind for name, kind in (present or {}).items() if variables.get(name) is not kind}
        self._env = cel.NewEnv(variables={name: _CEL_TYPES[kind] for name, kind in variables.items()})

    def compile(self, text: str) -> Expression:
        """Raises BadExpression for a syntax error, an unknown variable or types that don't fit."""
        widened = text
        for _ in range(50):
            try:
                compiled = self._env.compile(widened)
            except RuntimeError as error:
                wider = _widen(widened, str(error))
                if wider is None:
                    raise _explained(text, str(error)) from None
                widened = wider
                continue
            kind = _KINDS.get(compiled.return_type().name().partition("<")[0]) or _structure(compiled)
            reads = {name: self.variables[name] for name in names_in(text) if name in self.variables}
            return Expression(text, kind, reads, compiled, present=self._looked_at_again(text, kind))
        raise BadExpression("this expression mixes int and double too often", 0)

    def _looked_at_again(self, text: str, kind: Kind) -> Kind:
        """The kind where nothing is null. Raises BadExpression for what does not fit then, and for unknown fields."""
        bare = _bare(text)
        for found in _WITHIN.finditer(bare):
            names = found[0].split(".")
            for depth in range(2, len(names)):
                record, name = ".".join(names[:depth]), ".".join(names[: depth + 1])
                if name not in self.known and any(one.startswith(f"{record}.") for one in self.present):
                    raise BadExpression(f"there is no {name} here", found.start(), name)
        asked = _without_null(text)
        if "null" in _bare(asked) or not any(name in bare for name in self.present):
            return kind
        return self._checked.compile(asked).kind

    @cached_property
    def known(self) -> Mapping[str, Kind]:
        """Everything that an expression may name."""
        return {**self.variables, **self.present}

    @cached_property
    def _checked(self) -> "Language":
        return Language(self.known)


_STRINGS = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_NAMES = re.compile(r"(?<![\w.])(?:saga\.[A-Za-z_]\w*|steps\.[A-Za-z_]\w*\.[A-Za-z_]\w*|item(?:\.[A-Za-z_]\w*)?)(?!\w)")
_DEEP = rf"{_NAMES.pattern}(?:\.\w+)*"
_NULL = re.compile(rf"{_DEEP}\s*[=!]=\s*null\b|\bnull\s*[=!]=\s*{_DEEP}|\bhas\s*\(\s*{_DEEP}\s*\)")
_WITHIN = re.compile(rf"{_NAMES.pattern}(?:\.[A-Za-z_]\w*\b(?!\s*\())+")
_ERROR = re.compile(r"ERROR: <input>:(\d+):(\d+): (.*)")
_MIXED = re.compile(r"found no matching overload for '_(\S+)_' applied to '\((double, int|int, double)\)'")
_OVERLOAD = re.compile(r"found no matching overload for '_?(.+?)_?' applied to '\((.*)\)'")
_UNKNOWN = re.compile(r"undeclared reference to '([^']+)'")
_INT_AFTER = re.compile(r"\s*-?\s*\d+(?![\w.])")
_INT_BEFORE = re.compile(r"(?<![\w.])\d+(?=\s*$)")


def names_in(text: str) -> tuple[str, ...]:
    """The variables that an expression names, each once, in order."""
    return tuple(dict.fromkeys(_NAMES.findall(_bare(text))))


def _bare(text: str) -> str:
    """The text without what stands in quotes; every other character stays where it is."""
    return _STRINGS.sub(lambda found: " " * len(found[0]), text)


def _without_null(text: str) -> str:
    """The text with something true, and as long, for each question whether a variable is null or there."""
    for found in _NULL.finditer(_bare(text)):
        text = text[: found.start()] + "true".ljust(len(found[0])) + text[found.end() :]
    return text


def _widen(text: str, error: str) -> str | None:
    """`saga.total > 0` means 0.0 where total is a double: CEL itself would refuse it."""
    located = _ERROR.search(error)
    mixed = _MIXED.match(located[3]) if located else None
    if located is None or mixed is None:
        return None
    lines = text.split("\n")
    row, start = int(located[1]) - 1, int(located[2]) - 1
    line, end = lines[row], start + len(mixed[1])
    if mixed[2] == "double, int":
        literal = _INT_AFTER.match(line, end)
        cut = literal.end() if literal else None
    else:
        before = _INT_BEFORE.search(line[:start])
        cut = before.end() if before else None
    if cut is None:
        return None
    lines[row] = f"{line[:cut]}.0{line[cut:]}"
    return "\n".join(lines)


def _explained(text: str, error: str) -> BadExpression:
    located = _ERROR.search(error)
    if located is None:
        return BadExpression(error.splitlines()[0], 0)
    lines = text.split("\n")
    row, column = int(located[1]) - 1, int(located[2]) - 1
    offset = min(sum(len(line) + 1 for line in lines[:row]) + column, len(text))
    said = located[3].removesuffix(" [INVALID_ARGUMENT]").replace(" (in container '')", "")
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


def _structure(compiled: Any) -> Kind:
    name = compiled.return_type().name()
    if name.startswith("LIST"):
        return Kind.LIST
    return Kind.MAP if name.startswith("MAP") else Kind.DYN


def _to_cel(value: Any, kind: Kind) -> Any:
    if value is None:
        return None
    if kind is Kind.DOUBLE:
        return float(value)
    if kind is Kind.TIMESTAMP and isinstance(value, str):
        return datetime.fromisoformat(value)
    return value


def _to_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _to_json(item) for key, item in value.items()}
    return value
