"""What a method returns, read from its source without running it: which events, for which inputs, and where.

Only what is sure is said: an expression that can't be followed makes its `return` unknown, never wrong.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, get_args

from choreo.checks.finding import Spot
from choreo.checks.narrowing import Narrowing, Takes
from choreo.events.event import Event

Made = tuple[type[Event], Spot]
"""An event that is made, and where."""

PASSED_ON = ("list", "tuple", "sorted", "reversed", "set")
MAKES = ("model_construct", "model_validate", "model_validate_json")
ADDS = {"append": 0, "add": 0, "extend": 0, "insert": 1}
"""Methods of collections by which a name comes to hold more: which argument it is."""


@dataclass(frozen=True)
class Returned:
    """One `return`: what it gives to inputs of which types. Where it is not `known`, it may give anything declared."""

    takes: frozenset[type[Event]]
    made: tuple[Made, ...]
    known: bool

    @property
    def events(self) -> frozenset[type[Event]]:
        """The types that it surely may give."""
        return frozenset(event for event, _ in self.made)


def returned_by(owner: type, name: str, takes: tuple[type[Event], ...]) -> tuple[Returned, ...] | None:
    """Every `return` of a method, in order; None where its source can't be read."""
    source = _source_of(inspect.unwrap(getattr(owner, name)))
    return None if source is None else tuple(_Reading(source, owner, ()).returns(frozenset(takes)))


def spoken_by(owner: type, name: str) -> frozenset[type[Event]]:
    """What a method says in other stories, by `ctx.emit`, as far as its source tells; no annotation names that."""
    source = _source_of(inspect.unwrap(getattr(owner, name)))
    return frozenset() if source is None else frozenset(_Reading(source, owner, ()).spoken())


@dataclass(frozen=True)
class _Source:
    """A function and where it was written."""

    function: FunctionType
    node: ast.FunctionDef | ast.AsyncFunctionDef
    file: str

    def spot(self, node: ast.expr) -> Spot:
        named = node.func if isinstance(node, ast.Call) else node
        length = (named.end_col_offset or 0) - named.col_offset if named.end_lineno == named.lineno else 1
        return Spot(self.file, node.lineno, node.col_offset + 1, max(1, length))


@cache
def _functions(file: str) -> dict[tuple[str, int], ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a file by name and first line, that of a decorator included."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return {}
    found = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {
        (node.name, min(node.lineno, *(one.lineno for one in node.decorator_list), node.lineno)): node for node in found
    }


def _source_of(function: object) -> _Source | None:
    if not isinstance(function, FunctionType):
        return None
    code = function.__code__
    node = _functions(code.co_filename).get((code.co_name, code.co_firstlineno))
    return None if node is None else _Source(function, node, code.co_filename)


class _Reading:
    """Reads one function. `above` are those from which it is called: who calls itself is not followed again."""

    def __init__(self, source: _Source, owner: type | None, above: tuple[FunctionType, ...]) -> None:
        self._source, self._owner, self._above = source, owner, (*above, source.function)
        arguments = [one.arg for one in (*source.node.args.posonlyargs, *source.node.args.args)]
        self._self = arguments[0] if owner and arguments else ""
        self._event = arguments[1] if owner and len(arguments) > 1 else ""
        self._parameters = {*arguments, *(one.arg for one in source.node.args.kwonlyargs)}
        self._held = _held(source.node)

    def returns(self, takes: Takes) -> Iterator[Returned]:
        """Every `return` that can be reached."""
        narrowing = Narrowing(self._event, self._classes)
        for expression, reached in narrowing.returns(self._source.node.body, takes):
            made, known = self._events(expression, frozenset())
            yield Returned(reached, tuple(dict.fromkeys(made)), known)

    def spoken(self) -> Iterator[type[Event]]:
        """The types in every `ctx.emit(...)`."""
        for node in ast.walk(self._source.node):
            if isinstance(node, ast.Call) and self._is_emit(node.func) and node.args:
                yield from (event for event, _ in self._events(node.args[0], frozenset())[0])

    def _is_emit(self, node: ast.expr) -> bool:
        if not (isinstance(node, ast.Attribute) and node.attr == "emit"):
            return False
        return isinstance(node.value, ast.Name) and node.value.id in self._parameters

    # -- what an expression holds --------------------------------------------------------------------------------------

    def _events(self, node: ast.expr | None, seen: frozenset[str]) -> tuple[list[Made], bool]:
        """The events in what an expression gives, and whether these are all."""
        if node is None or (isinstance(node, ast.Constant) and node.value is None):
            return [], True
        if isinstance(node, ast.Call):
            return self._called(node, seen)
        if isinstance(node, ast.Name):
            held = self._held.get(node.id)
            if held is None or node.id in self._parameters:
                return [], False
            return ([], True) if node.id in seen else self._all(held, seen | {node.id})
        parts = _parts(node)
        return ([], False) if parts is None else self._all(parts, seen)

    def _all(self, nodes: "list[ast.expr]", seen: frozenset[str]) -> tuple[list[Made], bool]:
        found = [self._events(node, seen) for node in nodes]
        return [one for made, _ in found for one in made], all(known for _, known in found)

    def _called(self, call: ast.Call, seen: frozenset[str]) -> tuple[list[Made], bool]:
        function = call.func
        classes = self._classes(function)
        if classes:
            return [(event, self._source.spot(call)) for event in classes], True
        if isinstance(function, ast.Attribute):
            if function.attr in MAKES and (made := self._classes(function.value)):
                return [(event, self._source.spot(call)) for event in made], True
            if function.attr == "model_copy":
                return self._events(function.value, seen)
            if isinstance(function.value, ast.Name) and function.value.id == self._self and self._owner:
                return self._followed(getattr(self._owner, function.attr, None), self._owner)
        if isinstance(function, ast.Name) and function.id in PASSED_ON and len(call.args) == 1:
            return self._events(call.args[0], seen)
        return self._followed(self._object(function), None)

    def _followed(self, function: object, owner: type | None) -> tuple[list[Made], bool]:
        """What another function of the project gives."""
        source = _source_of(inspect.unwrap(function)) if isinstance(function, FunctionType) else None
        if source is None or source.function in self._above:
            return [], source is not None
        found = list(_Reading(source, owner, self._above).returns(frozenset()))
        return [made for one in found for made in one.made], all(one.known for one in found)

    # -- what a name means ---------------------------------------------------------------------------------------------

    def _classes(self, node: ast.expr) -> tuple[type[Event], ...]:
        """The event classes that an expression names, one or several in any spelling; () for anything else."""
        if isinstance(node, ast.IfExp):
            nodes = [node.body, node.orelse]
        elif isinstance(node, ast.Tuple):
            nodes = node.elts
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
            nodes = [node.left, node.right]
        else:
            return _event_classes(self._object(node))
        found = [self._classes(one) for one in nodes]
        return tuple(event for classes in found for event in classes) if all(found) else ()

    def _object(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name) and node.id not in self._held and node.id not in self._parameters:
            return self._source.function.__globals__.get(node.id)
        if isinstance(node, ast.Attribute):
            holder = self._object(node.value)
            return getattr(holder, node.attr, None) if isinstance(holder, ModuleType | type) else None
        return None


def _event_classes(thing: object) -> tuple[type[Event], ...]:
    if isinstance(thing, type):
        return (thing,) if issubclass(thing, Event) else ()
    members = get_args(thing)
    return members if members and all(isinstance(one, type) and issubclass(one, Event) for one in members) else ()


def _parts(node: ast.expr) -> "list[ast.expr] | None":
    """The expressions whose events are those of this one; None where that can't be said."""
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return node.elts
    if isinstance(node, ast.IfExp):
        return [node.body, node.orelse]
    if isinstance(node, ast.BoolOp):
        return node.values
    if isinstance(node, ast.Await | ast.Starred | ast.NamedExpr):
        return [node.value]
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
        return [node.elt]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [node.left, node.right]
    return None


def _held(function: ast.FunctionDef | ast.AsyncFunctionDef) -> "dict[str, list[ast.expr] | None]":
    """What each local name may hold, wherever it is put there; None for a name whose values can't be followed."""
    found: dict[str, list[ast.expr] | None] = {}

    def hold(target: ast.expr, value: ast.expr | None) -> None:
        for name in (one.id for one in ast.walk(target) if isinstance(one, ast.Name)):
            held = found.setdefault(name, [])
            if not isinstance(target, ast.Name):
                found[name] = None
            elif held is not None and value is not None:
                held.append(value)

    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if not isinstance(target, ast.Subscript | ast.Attribute):
                    hold(target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.AugAssign | ast.NamedExpr) and isinstance(node.target, ast.Name):
            hold(node.target, node.value)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            hold(node.target, node.iter)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            hold(ast.Tuple([node.optional_vars]), None)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ADDS:
            place = ADDS[node.func.attr]
            if isinstance(node.func.value, ast.Name) and len(node.args) > place:
                hold(node.func.value, node.args[place])
    return found
