"""A finding: one thing in a project that does not fit, with its place and its cure; how people read it."""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from choreo.checks.codes import severity_of

Severity = Literal["error", "warning"]


class Spot(NamedTuple):
    """Where something stands. Lines and columns count from 1; 0 says that only the file is known."""

    file: str
    line: int = 0
    column: int = 0
    length: int = 1

    def __str__(self) -> str:
        numbers = [str(number) for number in (self.line, self.column) if number]
        return ":".join([self.file, *numbers])


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit. `code` is a stable short name, `cure` says what to do about it."""

    code: str
    message: str
    spot: Spot | None = None
    cure: str = ""

    @property
    def severity(self) -> Severity:
        """An error can't work; a warning may be meant so."""
        return severity_of(self.code)

    def row(self) -> dict[str, object]:
        """For programs."""
        spot = self.spot
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "at": str(spot) if spot else None,
            "file": spot.file if spot else None,
            "line": spot.line or None if spot else None,
            "column": spot.column or None if spot else None,
            "cure": self.cure or None,
        }

    def lines(self, sources: Mapping[str, str]) -> list[str]:
        """For people: as a compiler says it, with the line and a caret where `sources` has the text of the file."""
        head = f"{self.severity}[{self.code}]: {self.message}"
        if self.spot is None:
            return [head, *([f"  try  {self.cure}"] if self.cure else [])]
        text = sources.get(self.spot.file, "").splitlines()
        lines = [f"{self.spot}: {head}"]
        if not (self.spot.column and 1 <= self.spot.line <= len(text)):
            return [*lines, *([f"  try  {self.cure}"] if self.cure else [])]
        shown, number = text[self.spot.line - 1], f"{self.spot.line:>4}"
        carets = "^" * max(1, min(self.spot.length, len(shown) - self.spot.column + 1))
        under = f"{' ' * len(number)} | {' ' * (self.spot.column - 1)}{carets}"
        return [*lines, f"{number} | {shown}", f"{under}  {self.cure}".rstrip()]


def spot_of(text: object) -> Spot | None:
    """The spot in `file:line:column`, `file:line` or `file`, as errors and settings name their places."""
    if text is None:
        return None
    words = str(text).split(":")
    numbers: list[int] = []
    while len(words) > 1 and len(numbers) < 2 and words[-1].isdecimal():
        numbers.insert(0, int(words.pop()))
    return Spot(":".join(words), *numbers)


def spot_of_class(cls: type) -> Spot | None:
    """Where a class was written; None where its source can't be read."""
    try:
        return Spot(inspect.getsourcefile(cls) or "", inspect.getsourcelines(cls)[1])
    except (OSError, TypeError):
        return None


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Each once, file by file and line by line; what has no place comes last."""

    def key(finding: Finding) -> tuple[bool, str, int, int]:
        spot = finding.spot
        return (spot is None, spot.file if spot else "", spot.line if spot else 0, spot.column if spot else 0)

    return sorted(dict.fromkeys(findings), key=key)
