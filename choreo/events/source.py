"""Python functions made from a schema: their lines, the objects they use, their bounds.

Schemas come from others. No text of one stands in a line other than as the literal that `repr` makes of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CodeType
from typing import Any

MOST_LINES = 10_000
"""A schema of more lines than this is read and written by fastavro: compiling takes some 10 µs a line."""
MOST_LOOPS = 8
"""Python nests twenty blocks at most; an array or a map takes two."""
MOST_LEVELS = 60
"""Python takes a hundred levels of indentation."""

MOST_RECORDS = 40
"""Records within one another are brackets within brackets; Python takes two hundred."""


class NotGeneratedError(Exception):
    """No function is made for this schema: it holds itself, is too large, or has a type that is not known here."""


class Source:
    """The lines of one function as they come to be."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._bound: dict[str, Any] = {}
        self._levels, self._loops, self._names = 1, 0, 0
        self._records: set[str] = set()

    def add(self, *lines: str) -> None:
        """Add lines at the level of now. Raises NotGeneratedError beyond MOST_LINES."""
        self._lines += [" " * self._levels + line for line in lines]
        if len(self._lines) > MOST_LINES:
            raise NotGeneratedError(f"more than {MOST_LINES} lines")

    @contextmanager
    def inside(self, head: str, loops: int = 0) -> Iterator[None]:
        """The lines added meanwhile stand below `head`. Raises NotGeneratedError where Python would not take them."""
        self.add(head)
        self._levels, self._loops = self._levels + 1, self._loops + loops
        if self._levels > MOST_LEVELS or self._loops > MOST_LOOPS:
            raise NotGeneratedError("nested too deeply")
        before = len(self._lines)
        yield
        if len(self._lines) == before:
            self.add("pass")
        self._levels, self._loops = self._levels - 1, self._loops - loops

    @contextmanager
    def within(self, record: str) -> Iterator[None]:
        """The fields of a record are walked meanwhile. Raises NotGeneratedError within itself, and very far down."""
        if record in self._records or len(self._records) == MOST_RECORDS:
            raise NotGeneratedError(f"{record} within itself, or too many records within one another")
        self._records.add(record)
        yield
        self._records.remove(record)

    def name(self) -> str:
        """A name that no other has."""
        self._names += 1
        return f"v{self._names}"

    def bind(self, thing: Any) -> str:
        """The name under which the function finds an object."""
        name = f"c{len(self._bound)}"
        self._bound[name] = thing
        return name

    def function(self, head: str, known: dict[str, Any], about: str) -> Callable[..., Any]:
        """The function `made`, whose first line is `head`; `known` are names that it may use."""
        scope: dict[str, Any] = {**known, **self._bound}
        text = "\n".join([head, *self._lines])
        try:
            exec(_compiled(text, about), scope)
        except RecursionError as error:  # how much Python can compile depends on how deep its stack is already
            raise NotGeneratedError("nested too deeply") from error
        made: Callable[..., Any] = scope["made"]
        return made


@lru_cache(maxsize=512)
def _compiled(text: str, about: str) -> CodeType:
    """A worker that starts again in this process has the same functions to make: compiling is the slow part."""
    return compile(text, f"<{about}>", "exec")


def literal(name: object) -> str:
    """A text of a schema as it may stand in a line. Raises NotGeneratedError for what is no text."""
    if type(name) is not str:
        raise NotGeneratedError(f"a name that is a {type(name).__name__}")
    return repr(name)
