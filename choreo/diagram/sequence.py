"""A run of a saga as a sequence diagram: who tells whom what, in order; for the console and for Mermaid."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from choreo.diagram.words import short
from choreo.saga.explore import Counterexample, Turn
from choreo.saga.items import whole_in
from choreo.saga.rules import Spec

OUTSIDE = "outside"


class Line(NamedTuple):
    """One line of the picture: an arrow between two who take part, or a note at one (`to` is the same)."""

    kind: Literal["arrow", "note"]
    source: str
    to: str
    text: str


class Picture(NamedTuple):
    """Who takes part, from left to right, and what happens, from top to bottom."""

    parts: tuple[str, ...]
    lines: tuple[Line, ...]


def sequence_of(spec: Spec, found: Counterexample, services: Mapping[str, str] | None = None) -> Picture:
    """The picture of a counterexample. `services` names who is at work on each step; else the step stands for itself.

    An event that arrives as soon as it is said is one arrow; what is on its way for longer is a note, then an arrow.
    """
    who = {step.name: (services or {}).get(step.name, step.name) for step in spec.steps}
    lines: list[Line] = []
    if found.given:
        lines.append(Line("note", spec.name, spec.name, found.given))
    for number, turn in enumerate(found.turns):
        following = found.turns[number + 1] if number + 1 < len(found.turns) else None
        before = found.turns[number - 1].status if number else ""
        lines += _lines(spec, turn, following, who)
        if turn.status != before:
            lines.append(Line("note", spec.name, spec.name, turn.status))
    lines.append(Line("note", spec.name, spec.name, f"broken: {found.says}"))
    told = {name for line in lines for name in (line.source, line.to)}
    parts = (OUTSIDE, spec.name, *dict.fromkeys(who.values()))
    return Picture(tuple(name for name in parts if name in told), tuple(lines))


def _lines(spec: Spec, turn: Turn, following: Turn | None, who: Mapping[str, str]) -> Iterator[Line]:
    move = turn.move
    source, said = who.get(whole_in(move.step), OUTSIDE), _said(move.event, move.step)
    if move.kind == "acts":
        if following is None or following.move[:3] != ("hears", move.event, move.step):
            yield Line("note", source, source, f"{said} is on its way")
        return
    if move.kind == "due":
        yield Line("note", spec.name, spec.name, f"timer {move.event} is due")
    else:
        again = " (again)" if move.kind == "again" else " (not yet)" if move.unmet else ""
        yield Line("arrow", source, spec.name, f"{said}{again}")
    for emit in turn.emits:
        attempt = f" ({emit.attempt})" if emit.attempt > 1 else ""
        step = emit.step or ""
        yield Line("arrow", spec.name, who.get(whole_in(step), OUTSIDE), f"{_said(emit.event, step)}{attempt}")


def _said(event: str, step: str) -> str:
    """`TicketIssued[2]` for an item."""
    return f"{short(event)}{step[len(whole_in(step)) :]}"


def as_text(picture: Picture) -> list[str]:
    """Lines for the console: a column for each who takes part."""
    middles = _middles(picture)
    heads = [" "] * (middles[picture.parts[-1]] + len(picture.parts[-1]) + 1)
    for name in picture.parts:
        _write(heads, middles[name] - len(name) // 2, name)
    drawn = ["".join(heads).rstrip()]
    for line in picture.lines:
        row = [" "] * (max(middles.values()) + 1)
        for at in middles.values():
            row[at] = "|"
        if line.kind == "note":
            _write(row, middles[line.source], f"* {line.text}")
        else:
            _arrow(row, middles[line.source], middles[line.to], line.text)
        drawn.append("".join(row).rstrip())
    return drawn


def _middles(picture: Picture) -> dict[str, int]:
    """Where each column stands: far enough apart for every arrow between neighbours."""
    order = {name: number for number, name in enumerate(picture.parts)}
    gaps = [
        (len(left) - len(left) // 2) + len(right) // 2 + 2
        for left, right in zip(picture.parts, picture.parts[1:], strict=False)
    ]
    for line in picture.lines:
        first, last = sorted((order[line.source], order[line.to]))
        if line.kind == "arrow" and first < last:
            # The last gap takes what is missing: the arrows of one saga begin or end at its column, left of the steps.
            missing = len(line.text) + 6 - sum(gaps[first:last])
            gaps[last - 1] += max(0, missing)
    at = len(picture.parts[0]) // 2
    middles = {picture.parts[0]: at}
    for name, gap in zip(picture.parts[1:], gaps, strict=True):
        at += gap
        middles[name] = at
    return middles


def _arrow(row: list[str], source: int, to: int, text: str) -> None:
    left, right = sorted((source, to))
    _write(row, left + 1, "-" * (right - left - 1))
    _write(row, left + 1 + (right - left - 1 - len(text)) // 2, text)
    row[right - 1 if to > source else left + 1] = ">" if to > source else "<"


def _write(row: list[str], at: int, text: str) -> None:
    row.extend(" " * max(0, at + len(text) - len(row)))
    row[at : at + len(text)] = text


def as_mermaid(picture: Picture) -> str:
    """The same for Mermaid: a `sequenceDiagram`."""
    names = {name: f"p{number}" for number, name in enumerate(picture.parts)}
    drawn = ["sequenceDiagram", *(f"    participant {names[name]} as {name}" for name in picture.parts)]
    for line in picture.lines:
        text = line.text.replace(";", ",").replace("#", "")
        if line.kind == "note":
            drawn.append(f"    Note over {names[line.source]}: {text}")
        else:
            drawn.append(f"    {names[line.source]}->>{names[line.to]}: {text}")
    return "\n".join(drawn) + "\n"


def as_rows(picture: Picture) -> Sequence[Mapping[str, str]]:
    """The same for programs: one row a line."""
    return [{"kind": line.kind, "from": line.source, "to": line.to, "text": line.text} for line in picture.lines]
