"""What is wrong with a spec, said the way a compiler does: file:line:column, the line, a caret, the likely cure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import NamedTuple

from choreo.errors import SpecError


class Place(NamedTuple):
    """Where a word stands: line and column count from 1, length in characters."""

    line: int
    column: int
    length: int = 1


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong. `code` is a stable short name, `cure` says what to do about it.

    `nested` is the saga by whose own spec it comes: it is gone once that is mended.
    """

    place: Place
    code: str
    text: str
    cure: str = ""
    nested: str = ""


@dataclass
class Problems:
    """Collects what is wrong with one file, so that all of it is said at once.

    Of a file that was `deployed` only that is said for which it can't be followed: it was sound to the release that
    deployed it, its instances go on as they did, and what is looked for since then stops none of them.
    """

    file: str
    source: str = ""
    found: list[Problem] = field(default_factory=list)
    deployed: bool = False

    def add_since(self, place: Place, code: str, text: str, cure: str = "") -> None:
        """Something that was not looked for when others may have been deployed with it."""
        if not self.deployed:
            self.add(place, code, text, cure)

    def add(self, place: Place, code: str, text: str, cure: str = "") -> None:
        self.found.append(Problem(place, code, text, cure))

    def add_of_nested(self, saga: str, problem: Problem) -> None:
        """Something that is wrong with what the spec of another saga says."""
        self.found.append(replace(problem, nested=saga))

    def check(self) -> None:
        """Raises one SpecError that shows every problem, in the order of the file; silent where there is none."""
        if not self.found:
            return
        ordered = sorted(dict.fromkeys(self.found), key=lambda problem: problem.place)
        first = ordered[0].place
        raise SpecError(
            "\n".join(self.render(problem) for problem in ordered),
            at=f"{self.file}:{first.line}:{first.column}",
        )

    def render(self, problem: Problem) -> str:
        """The problem, its line of the file, a caret under the word, and the cure behind the caret."""
        line, column, length = problem.place
        head = f"{self.file}:{line}:{column}: error[{problem.code}]: {problem.text}"
        lines = self.source.splitlines()
        if not 1 <= line <= len(lines):
            return f"{head}\n  {problem.cure}" if problem.cure else head
        shown = lines[line - 1]
        number = f"{line:>4}"
        carets = "^" * max(1, min(length, len(shown) - column + 1))
        tail = f"  {problem.cure}" if problem.cure else ""
        return f"{head}\n{number} | {shown}\n{' ' * len(number)} | {' ' * (column - 1)}{carets}{tail}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was likely meant."""
    choices = list(known)
    near = get_close_matches(word, choices, n=1, cutoff=0.6)
    if not near:
        folded = {choice.lower(): choice for choice in choices}
        near = [folded[match] for match in get_close_matches(word.lower(), folded, n=1, cutoff=0.6)]
    return near[0] if near else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """`did you mean X?` for the nearest known word, else `otherwise`."""
    near = nearest(word, known)
    return otherwise if near is None else f"did you mean {near}?"
