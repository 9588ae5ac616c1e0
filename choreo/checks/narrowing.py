"""Which inputs reach which `return`: what `isinstance` and `match` say about the event that a method is given."""

import ast
from collections.abc import Callable, Iterable, Iterator

from choreo.events.event import Event

Takes = frozenset[type[Event]]
Classes = Callable[[ast.expr], tuple[type[Event], ...]]


class Narrowing:
    """Walks statements with the types that the event can have there; None where nobody comes by.

    `event` is the name of the parameter, `classes` says which event classes an expression names.
    """

    def __init__(self, event: str, classes: Classes) -> None:
        self._event, self._classes = event, classes
        self._found: list[tuple[ast.expr | None, Takes]] = []

    def returns(self, body: list[ast.stmt], takes: Takes) -> Iterator[tuple[ast.expr | None, Takes]]:
        """Every `return` that can be reached: its expression, and the types for which it is."""
        self._found = []
        self._block(body, takes)
        yield from self._found

    def _block(self, body: Iterable[ast.stmt], takes: Takes | None) -> Takes | None:
        for statement in body:
            if takes is None:
                return None
            takes = self._statement(statement, takes)
        return takes

    def _statement(self, node: ast.stmt, takes: Takes) -> Takes | None:
        """The types with which the next statement is reached."""
        if isinstance(node, ast.Return):
            self._found.append((node.value, takes))
            return None
        if isinstance(node, ast.Raise | ast.Break | ast.Continue):
            return None
        if isinstance(node, ast.If):
            yes, no = self._test(node.test, takes)
            return _either(self._block(node.body, _some(yes, takes)), self._block(node.orelse, _some(no, takes)))
        if isinstance(node, ast.Match):
            return self._match(node, takes)
        if isinstance(node, ast.With | ast.AsyncWith):
            return self._block(node.body, takes)
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            self._block(node.body, takes)
            self._block(node.orelse, takes)
            return takes
        if isinstance(node, ast.Try):
            went_well = self._block(node.orelse, self._block(node.body, takes))
            caught = [self._block(one.body, takes) for one in node.handlers]
            after = _either(went_well, *caught)
            return None if self._block(node.finalbody, takes) is None else after
        return takes

    def _match(self, node: ast.Match, takes: Takes) -> Takes | None:
        about_event = isinstance(node.subject, ast.Name) and node.subject.id == self._event
        rest, wild, after = takes, False, []
        for case in node.cases:
            hit, all_of_it = self._pattern(case.pattern, rest) if about_event else (rest, _is_wild(case.pattern))
            after.append(self._block(case.body, _some(hit, rest)))
            if case.guard is None and all_of_it:
                rest = rest - hit if about_event else rest
                wild = wild or _is_wild(case.pattern)
        exhausted = wild or (about_event and bool(takes) and not rest)
        return _either(*after, None if exhausted else rest)

    def _pattern(self, pattern: ast.pattern, takes: Takes) -> tuple[Takes, bool]:
        """The types that may match, and whether each of them surely does."""
        if isinstance(pattern, ast.MatchAs):
            return (takes, True) if pattern.pattern is None else self._pattern(pattern.pattern, takes)
        if isinstance(pattern, ast.MatchOr):
            found = [self._pattern(one, takes) for one in pattern.patterns]
            return frozenset[type[Event]]().union(*(hit for hit, _ in found)), all(sure for _, sure in found)
        if isinstance(pattern, ast.MatchClass) and (classes := self._classes(pattern.cls)):
            return _of(takes, classes), not (pattern.patterns or pattern.kwd_patterns)
        return takes, False

    def _test(self, node: ast.expr, takes: Takes) -> tuple[Takes, Takes]:
        """The types for which a condition may hold, and those for which it may not."""
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yes, no = self._test(node.operand, takes)
            return no, yes
        if isinstance(node, ast.BoolOp):
            both, left = isinstance(node.op, ast.And), takes
            other: Takes = frozenset()
            for part in node.values:
                yes, no = self._test(part, left)
                left, missed = (yes, no) if both else (no, yes)
                other |= missed
            return (left, other) if both else (other, left)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            thing, *kinds = node.args
            if isinstance(thing, ast.Name) and thing.id == self._event and kinds and (cls := self._classes(kinds[0])):
                return _of(takes, cls), takes - _of(takes, cls)
        return takes, takes


def _of(takes: Takes, classes: tuple[type[Event], ...]) -> Takes:
    return frozenset(one for one in takes if issubclass(one, classes))


def _some(narrowed: Takes, before: Takes) -> Takes | None:
    """Nobody comes by where types were left and none is."""
    return None if before and not narrowed else narrowed


def _either(*ways: Takes | None) -> Takes | None:
    open_ways = [one for one in ways if one is not None]
    return frozenset[type[Event]]().union(*open_ways) if open_ways else None


def _is_wild(pattern: ast.pattern) -> bool:
    return isinstance(pattern, ast.MatchAs) and pattern.pattern is None
