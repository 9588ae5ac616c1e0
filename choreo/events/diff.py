"""What a change of a schema means for those who read: each direction, whether it works, and why not."""

import re
from typing import Any, NamedTuple

from choreo.events.resolution import resolve
from choreo.events.schema import normalised

_PROBLEM = re.compile(r"(?:([A-Za-z_][\w.\[\]{}]*): )?(.*)", re.DOTALL)


class Problem(NamedTuple):
    """Why a body can't be read; `path` is the reader's field, such as `lines[].price`, empty for the whole."""

    path: str
    why: str

    def __str__(self) -> str:
        return f"{self.path}: {self.why}" if self.path else self.why


class Difference(NamedTuple):
    """`backward`: why new readers can't read what the old schema wrote; `forward`: the other way round."""

    backward: tuple[Problem, ...]
    forward: tuple[Problem, ...]

    @property
    def full(self) -> bool:
        """Whether both directions work."""
        return not self.backward and not self.forward


def difference(old: dict[str, Any], new: dict[str, Any]) -> Difference:
    """Compare two record schemas in both directions (Avro specification, "Schema Resolution")."""
    return Difference(_problems(old, new), _problems(new, old))


def _problems(writer: dict[str, Any], reader: dict[str, Any]) -> tuple[Problem, ...]:
    found = [_split(problem) for problem in resolve(writer, reader).problems]
    written, wanted = normalised(writer), normalised(reader)
    if written["name"] not in (wanted["name"], *wanted.get("aliases", ())):
        found.insert(0, Problem("", f"{written['name']} is called {wanted['name']}, which has no such alias"))
    return tuple(found)


def _split(problem: str) -> Problem:
    found = _PROBLEM.fullmatch(problem)
    assert found is not None  # the pattern matches any text
    return Problem(found[1] or "", found[2])
