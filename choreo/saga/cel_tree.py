"""An expression as a tree whose nodes say where they stand. What CEL has accepted is read; it says what is wrong."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Sort = Literal["name", "literal", "null", "select", "index", "call", "method", "operator", "choice", "list", "table"]

_TOKEN = re.compile(
    r"""(?:\s|//[^\n]*)*(?:
    (?P<string>[rRbB]{0,2}(?:'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<word>[A-Za-z_]\w*)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%<>!?:.,()\[\]{}])
    |(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_STRENGTH = {"||": 1, "&&": 2, **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3)}
_STRENGTH |= {"+": 4, "-": 4, "*": 5, "/": 5, "%": 5}


@dataclass(frozen=True)
class Node:
    """A part of an expression, from `start` up to `end`. `name` is a variable, field, function, sign or literal;
    of a method the first part is what it is called on.
    """

    sort: Sort
    start: int
    end: int
    name: str = ""
    parts: tuple["Node", ...] = ()

    def walk(self) -> Iterator["Node"]:
        """This node and all below it."""
        yield self
        for part in self.parts:
            yield from part.walk()


def tree_of(text: str) -> Node | None:
    """The tree of an expression; None for what is no expression, or written in a way that is not known here."""
    try:
        reader = _Reader(text)
        node = reader.choice()
        return node if reader.kind == "end" else None
    except (_Unknown, RecursionError):
        return None


class _Unknown(Exception):
    """Here stands what is not known."""


class _Reader:
    """Reads by the grammar of CEL, one token ahead. Source: the CEL specification, "Syntax"."""

    def __init__(self, text: str) -> None:
        self._text, self.ended = text, 0
        self._next(0)

    def _next(self, at: int) -> None:
        found = _TOKEN.match(self._text, at)
        if found is None or found.lastgroup is None:
            raise _Unknown
        self.kind, self.token = found.lastgroup, found[found.lastgroup]
        self.start, self._after = found.span(found.lastgroup)

    def _take(self) -> str:
        token, self.ended = self.token, self._after
        self._next(self._after)
        return token

    def _skip(self, sign: str) -> bool:
        """Whether this sign stood here; it is read then."""
        here = self.kind == "sign" and self.token == sign
        if here:
            self._take()
        return here

    def _want(self, sign: str) -> None:
        if not self._skip(sign):
            raise _Unknown

    def choice(self) -> Node:
        start, asked = self.start, self._operation(1)
        if not self._skip("?"):
            return asked
        chosen = self._operation(1)
        self._want(":")
        other = self.choice()
        return Node("choice", start, self.ended, "?:", (asked, chosen, other))

    def _operation(self, strength: int) -> Node:
        start, left = self.start, self._signed()
        while self.kind != "string" and (own := _STRENGTH.get(self.token, 0)) >= strength:
            sign = self._take()
            right = self._operation(own + 1)
            left = Node("operator", start, self.ended, sign, (left, right))
        return left

    def _signed(self) -> Node:
        start, signs = self.start, ""
        while self.kind == "sign" and self.token in ("!", "-"):
            signs += self._take()
        node = self._member()
        return Node("operator", start, self.ended, signs, (node,)) if signs else node

    def _member(self) -> Node:
        start, node = self.start, self._primary()
        while True:
            if self._skip("."):
                name = self._word()
                sort: Sort = "method" if self.token == "(" and self.kind == "sign" else "select"
                parts = (node, *self._arguments()) if sort == "method" else (node,)
                node = Node(sort, start, self.ended, name, parts)
            elif self._skip("["):
                index = self.choice()
                self._want("]")
                node = Node("index", start, self.ended, "[]", (node, index))
            else:
                return node

    def _word(self) -> str:
        if self.kind != "word":
            raise _Unknown
        return self._take()

    def _arguments(self) -> tuple[Node, ...]:
        self._want("(")
        return self._listed(")")

    def _listed(self, closing: str) -> tuple[Node, ...]:
        found = []
        while not self._skip(closing):
            found.append(self.choice())
            if not self._skip(","):
                self._want(closing)
                break
        return tuple(found)

    def _primary(self) -> Node:
        start = self.start
        if self.kind in ("string", "number"):
            literal = self._take()
            return Node("literal", start, self.ended, literal)
        if self._skip("("):
            inner = self.choice()
            self._want(")")
            return Node(inner.sort, start, self.ended, inner.name, inner.parts)
        if self._skip("["):
            items = self._listed("]")
            return Node("list", start, self.ended, "[]", items)
        if self._skip("{"):
            return self._table(start)
        name = self._word()
        if self.kind == "sign" and self.token == "(":
            arguments = self._arguments()
            return Node("call", start, self.ended, name, arguments)
        if name in ("true", "false", "null"):
            return Node("null" if name == "null" else "literal", start, self.ended, name)
        return Node("name", start, self.ended, name)

    def _table(self, start: int) -> Node:
        found: list[Node] = []
        while not self._skip("}"):
            found.append(self.choice())
            self._want(":")
            found.append(self.choice())
            if not self._skip(","):
                self._want("}")
                break
        return Node("table", start, self.ended, "{}", tuple(found))
