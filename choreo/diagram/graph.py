"""A picture before it has a shape: boxes and arrows, in an order that the layout keeps where it can."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

BoxKind = Literal["step", "pivot", "undo", "event", "end", "service", "topic", "saga"]
ArrowKind = Literal["forward", "undo", "cancel"]
Seen = Literal["", "seen", "never", "undeclared"]
"""Of a picture of what happened: declared and seen, declared and never seen, seen and not declared."""


class Box(NamedTuple):
    """One thing: its name in the graph, what stands in it line by line, what it is."""

    name: str
    lines: tuple[str, ...]
    kind: BoxKind
    seen: Seen = ""


class Arrow(NamedTuple):
    """From one box to another, by their names; `lines` stand on it."""

    source: str
    to: str
    lines: tuple[str, ...] = ()
    kind: ArrowKind = "forward"
    seen: Seen = ""


@dataclass(frozen=True)
class Graph:
    """One picture. The names of boxes are its own; every arrow joins two of them."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]
