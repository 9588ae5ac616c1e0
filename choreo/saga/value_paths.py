"""Paths into values, such as `saga.lines[0].sku`, or `line.sku` where a macro binds `line`: their fields, their types.

CEL's own checker knows no records. So fields are looked up here; then each path of a known type is replaced by a
**stand-in**, a variable of that type, in a text in which all else stays where it is: CEL checks that.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from choreo.saga.cel_tree import Node
from choreo.saga.kinds import Kind, ValueType
from choreo.saga.problems import nearest

MACROS = ("all", "exists", "exists_one", "filter", "map")
"""Methods whose first argument names an item of what they are called on, or a key of a table."""
_LETTERS = {
    Kind.BOOL: "b",
    Kind.INT: "i",
    Kind.DOUBLE: "d",
    Kind.STRING: "s",
    Kind.BYTES: "y",
    Kind.TIMESTAMP: "t",
    Kind.MAP: "m",
}
STAND_INS: Mapping[str, tuple[Kind, Kind | None]] = (
    {f"_{letter}": (kind, None) for kind, letter in _LETTERS.items()}
    | {f"_l{letter}": (Kind.LIST, kind) for kind, letter in _LETTERS.items()}
    | {f"_m{letter}": (Kind.MAP, kind) for kind, letter in _LETTERS.items()}
    | {"_l": (Kind.LIST, Kind.DYN), "_n": (Kind.DYN, None)}
)
"""Each stand-in with its kind, and the kind of what a list or table holds. None is longer than the shortest path."""
_NAME_OF = {kinds: name for name, kinds in STAND_INS.items()}
TRUE, NULL = "true", "_n"
_AS_TIMESTAMP = ".map(_t, _t == null ? null : timestamp(_t))[0]"
_WORD = re.compile(r"'([^'\\]*)'|\"([^\"\\]*)\"")
Locals = Mapping[str, ValueType | None]


class Unknown(NamedTuple):
    """A field that a record does not have: where the path up to it stands, its text, and the likely cure."""

    start: int
    name: str
    cure: str


class Path(NamedTuple):
    """A part of an expression for which something else can stand. One that is `plain` holds no expression within."""

    start: int
    end: int
    stand_in: str
    plain: bool


class Compared(NamedTuple):
    """A path that is held against a text that stands in the expression."""

    path: str
    type: ValueType
    word: str


class _Seen(NamedTuple):
    """What a node is: its type where that is known, and whether it is a plain path."""

    type: ValueType | None = None
    plain: bool = False


@dataclass
class ValuePaths:
    """What an expression reads of variables that have these types. `tree` is None where nothing is known of it."""

    text: str
    variables: Mapping[str, ValueType]
    tree: Node | None
    unknown: list[Unknown] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    bound: set[str] = field(default_factory=set)
    """What macros call the items at hand."""
    moments: list[tuple[int, int]] = field(default_factory=list)
    """Where datetimes stand that lie within something, or may be null: CEL has them as texts."""
    compared: list[Compared] = field(default_factory=list)
    """Of what lies within values; of variables themselves more is known than their types."""
    decimals: set[tuple[int, int]] = field(default_factory=set)
    """Where Decimals stand."""
    gives: ValueType | None = None
    """The type of the result, where it is a value taken out of others."""

    def __post_init__(self) -> None:
        if self.tree is not None:
            self.gives = self._seen(self.tree, {}).type

    def with_stand_ins(self, paths: Iterable[Path]) -> str:
        """The text with stand-ins for the outermost of these paths: as long, so that all else stays where it is."""
        text, done = self.text, 0
        for path in sorted(paths, key=lambda path: (path.start, -path.end)):
            if path.start >= done:
                text = text[: path.start] + path.stand_in.ljust(path.end - path.start) + text[path.end :]
                done = path.end
        return text

    def with_timestamps(self) -> str:
        """The text that has timestamps where datetimes stand as texts."""
        text = self.text
        marks = [(start, 0, -end, "[") for start, end in self.moments]
        marks += [(end, 1, -start, f"]{_AS_TIMESTAMP}") for start, end in self.moments]
        for at, _, _, mark in sorted(marks, reverse=True):
            text = f"{text[:at]}{mark}{text[at:]}"
        return text

    def _seen(self, node: Node, names: Locals) -> _Seen:
        found = self._looked_at(node, names)
        if found.type is not None and found.type.is_decimal:
            self.decimals.add((node.start, node.end))
        return found

    def _looked_at(self, node: Node, names: Locals) -> _Seen:
        variable = _dotted(node)
        if variable in self.variables and variable.partition(".")[0] not in names:
            found = self.variables[variable]
            if found.present is Kind.TIMESTAMP is not found.kind:
                self.moments.append((node.start, node.end))
            return _Seen(found, plain=True)
        if node.sort == "null":
            self._put(node, NULL, plain=True)
        if node.sort == "name":
            return _Seen(names.get(node.name), plain=node.name in names)
        if node.sort in ("select", "index"):
            return self._step(node, names)
        if node.sort == "method" and node.name in MACROS and node.parts[1:] and node.parts[1].sort == "name":
            return self._macro(node, names)
        inner = [self._seen(part, names) for part in node.parts]
        if node.sort == "call" and node.name == "has" and len(inner) == 1:
            asked_for = (node.parts[0].start, node.parts[0].end)
            self.moments = [one for one in self.moments if one != asked_for]
            self._put(node, TRUE, inner[0].plain)
        if node.sort == "operator" and node.name in ("==", "!="):
            asked = [seen for part, seen in zip(node.parts, inner, strict=True) if part.sort != "null"]
            if len(asked) == 1 and (asked[0].plain or asked[0].type):
                self._put(node, TRUE, asked[0].plain)
            for part, seen, other in zip(node.parts, inner, reversed(node.parts), strict=True):
                if seen.type and _dotted(part) not in self.variables and (word := _WORD.fullmatch(other.name)):
                    path = self.text[part.start : part.end]
                    self.compared.append(Compared(path, seen.type, word[1] or word[2] or ""))
        return _Seen(_of_several(node, [seen.type for seen in inner]))

    def _step(self, node: Node, names: Locals) -> _Seen:
        """A field of a record, an item of a list, a value of a table."""
        whole, *index = [self._seen(part, names) for part in node.parts]
        plain = whole.plain and (not index or node.parts[1].sort == "literal")
        found = self._within(whole.type, node) if whole.type else None
        if found is not None and (stand_in := _stand_in(found)):
            self._put(node, stand_in, plain)
        if found is not None and found.present is Kind.TIMESTAMP:
            self.moments.append((node.start, node.end))
        return _Seen(found, plain)

    def _within(self, whole: ValueType, node: Node) -> ValueType | None:
        if not whole.is_record:
            is_item = node.sort == "index" or whole.present is Kind.MAP
            return whole.inner if is_item else None
        index = node.parts[-1]
        if node.sort == "index" and not (index.sort == "literal" and index.name[0] in "'\""):
            return None
        name = node.name if node.sort == "select" else index.name[1:-1]
        if name not in whole.fields:
            before, after = self.text[node.start : node.parts[0].end], self.text[node.parts[0].end : node.end]
            near, cure = nearest(name, whole.fields), f"there is {', '.join(whole.fields)}"
            if near is not None:
                cure = f"did you mean {before}{after.replace(name, near)}?"
            self.unknown.append(Unknown(node.start, before + after, cure))
        return whole.fields.get(name)

    def _macro(self, node: Node, names: Locals) -> _Seen:
        whole, name = self._seen(node.parts[0], names).type, node.parts[1].name
        self.bound.add(name)
        if whole is not None and whole.present is Kind.MAP:
            whole = ValueType(list[str])  # a table is gone through by its keys
        item = whole.inner if whole else None
        inner = [self._seen(part, {**names, name: item}).type for part in node.parts[2:]]
        if node.name == "filter":
            return _Seen(whole)
        made = inner[-1] if node.name == "map" and inner else None
        return _Seen(ValueType(list[made.annotation]) if made else None)  # type: ignore[name-defined]  # made at run time

    def _put(self, node: Node, stand_in: str, plain: bool) -> None:
        if node.end - node.start >= len(stand_in):
            self.paths.append(Path(node.start, node.end, stand_in, plain))


def _dotted(node: Node) -> str:
    """`saga.lines`, `steps.pay.amount`; empty for what is more than names."""
    if node.sort == "name":
        return node.name
    before = _dotted(node.parts[0]) if node.sort == "select" else ""
    return f"{before}.{node.name}" if before else ""


def _stand_in(one: ValueType) -> str | None:
    """The variable of that type; None where values may be of any."""
    within = None
    if one.present is Kind.DYN:
        return None
    if one.present is Kind.LIST or (one.present is Kind.MAP and not one.is_record):
        within = one.inner.inside if one.inner else Kind.DYN
        within = within if (one.present, within) in _NAME_OF else Kind.DYN
    return _NAME_OF.get((one.present, within), "_m" if one.present is Kind.MAP else None)


def _of_several(node: Node, types: list[ValueType | None]) -> ValueType | None:
    """What a choice gives, lists that are joined, a list of items: known where all are of one type."""
    if node.sort == "choice":
        types = types[1:]
    elif node.sort != "list" and not (node.sort == "operator" and node.name == "+"):
        return None
    first, *others = types or [None]
    if first is None or any(one is None or one.annotation != first.annotation for one in others):
        return None
    if node.sort == "list":
        return ValueType(list[first.annotation])  # type: ignore[name-defined]  # made at run time
    return first if node.sort == "choice" or first.present is Kind.LIST else None
