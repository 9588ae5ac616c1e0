"""A story for people and programs: lines, rows, and a sequence diagram."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from choreo.cli.output import as_value
from choreo.cli.records import uuid_text
from choreo.cli.saga_rows import moment_text, short_names
from choreo.cli.story_records import Reading
from choreo.clock import to_datetime
from choreo.diagram.sequence import OUTSIDE, Line, Picture
from choreo.replay.handled import Rung
from choreo.replay.story import Handling, Letter, Node, Told
from choreo.state.keys import split_key
from choreo.telemetry.privacy import masked

CLOCK = 18
"""Characters of `11-22 08:51:02.113`."""
GAP = 10


def summary(nodes: Sequence[Node], reading: Reading, correlation: str) -> str:
    """The first line: how much there is, when it began and how long it took."""
    told = [node.what for node in nodes if isinstance(node.what, Told)]
    sagas = {(one.saga, one.key) for one in told if one.kind == "change"}
    events = sum(one.kind == "event" for one in told)
    counts = [_many(events, "event"), *([_many(len(sagas), "saga")] if sagas else [])]
    counts += [_many(len(nodes) - len(told), "timer")] if len(nodes) > len(told) else []
    letters = len(reading.found.letters)
    counts += [_many(letters, "dead letter")] if letters else []
    counts += [f"{len(reading.found.held)} parked"] if reading.found.held else []
    own = [node.at for node in nodes if not isinstance(node.what, Told) or node.what.own] or [node.at for node in nodes]
    took = f"from {moment_text(to_datetime(min(own)))}, {_span(max(own) - min(own))}"
    return f"story {reading.shown(correlation)}: {', '.join(counts)}, {took}"


def lines_of(node: Node, reading: Reading) -> Iterator[str]:
    """One node: its time, the time since its cause, what it is; below it who handled it, and what went wrong."""
    margin = "  " * node.depth
    since = "" if node.since_us is None else _signed(node.since_us)
    first, *more = _heads(node, reading)
    yield f"{_clock(node.at)} {since:>{GAP}}  {margin}{first}"
    empty = f"{'':<{CLOCK}} {'':>{GAP}}  {margin}"
    for line in more:
        yield f"{empty}{line}"
    if isinstance(node.what, Told) and node.what.body is not None and node.what.kind == "event":
        yield from (f"{empty}    {name} = {as_value(value)}" for name, value in node.what.body.items())
    for handling in node.handled:
        yield f"{empty}  {_handled(handling, node, reading)}"
    for letter in node.letters:
        yield f"{empty}  {_lost(letter)}"


def row_of(node: Node, reading: Reading) -> dict[str, Any]:
    """The same for programs; times in UTC, spans in microseconds."""
    what = node.what
    row: dict[str, Any] = {"depth": node.depth, "id": uuid_text(what.event_id), "at": _iso(node.at)}
    row |= {"cause": uuid_text(node.cause), "since_cause_us": node.since_us}
    if isinstance(what, Rung):
        name, key = _timer(what, reading)
        row |= {"kind": "timer", "service": what.service, "timer": name, "key": key, "due": _iso(what.due)}
        return row | {"calls": [call._asdict() for handling in node.handled for call in handling.calls]}
    row |= {"kind": what.kind, "event": what.name, "key": reading.key(what)}
    row |= {"emitted_by": what.author._asdict() if what.author else None, "attempt": what.attempt}
    row |= {"caused_by": uuid_text(what.cause), "positions": list(map(str, what.positions)), "own_story": what.own}
    if what.kind != "event":
        row |= {"saga": what.saga, "says": [reading.shown(one) for one in what.says], "status": what.status or None}
    if what.body is not None:
        row["body"] = masked(what.body)
    row["handled_by"] = [_handling_row(one) for one in node.handled]
    row["dead_letters"] = [
        {name: getattr(one, name) for name in ("service", "handler", "door", "error", "attempts")}
        | {"at": _iso(one.at)}
        for one in node.letters
    ]
    return row


def picture_of(nodes: Sequence[Node], reading: Reading) -> Picture:
    """Who told whom what, from top to bottom by time."""
    drawn: list[Line] = []
    for node in sorted(nodes, key=lambda one: one.at):
        drawn += _drawn(node, reading)
    parts = dict.fromkeys(name for line in drawn for name in (line.source, line.to))
    first = [OUTSIDE] if OUTSIDE in parts else []
    return Picture((*first, *(name for name in parts if name != OUTSIDE)), tuple(drawn))


def _drawn(node: Node, reading: Reading) -> Iterator[Line]:
    what = node.what
    if isinstance(what, Rung):
        yield Line("note", _part(what.service), _part(what.service), " ".join(_timer(what, reading)) + " is due")
        return
    if what.kind == "change":
        saga = _part(f"saga.{what.saga}")
        yield from (Line("note", saga, saga, reading.shown(_arrowless(one))) for one in what.says)
        return
    source = _part(what.author.service) if what.author else OUTSIDE
    text = f"{short_names([what.name])[0]}{f' ({what.attempt})' if what.attempt > 1 else ''}"
    taken = dict.fromkeys(_part(one.service) for one in node.handled if one.handlers is not None)
    taken = taken or dict.fromkeys(_part(one.service) for one in node.handled)
    if not taken:
        yield Line("note", source, source, f"{text}, which nobody took")
    for to in taken:
        yield Line("note" if to == source else "arrow", source, to, text)
    for letter in node.letters:
        yield Line("note", _part(letter.service), _part(letter.service), f"gives up on {text}")


def _part(service: str) -> str:
    return service.removeprefix("saga.") if service.startswith("saga.") else service


def _arrowless(text: str) -> str:
    """`pay: requested, done` reads as well, and `->` is an arrow to Mermaid."""
    return text.replace(" -> ", ", ")


def _heads(node: Node, reading: Reading) -> list[str]:
    what = node.what
    if isinstance(what, Rung):
        name, key = _timer(what, reading)
        late = what.now - what.due
        return [
            f"timer {name} of {what.service} for {key}, due {_clock(what.due)}" + (f" (+{_span(late)})" if late else "")
        ]
    if what.kind == "change":
        lead = f"saga {what.saga} {reading.key(what)}: "
        says = [reading.shown(one) for one in what.says] or [what.status]
        return [lead + says[0], *(f"{'':<{len(lead)}}{one}" for one in says[1:])]
    whom = f"from {what.author}" if what.author else "from outside" if what.cause is None else "from an unknown emitter"
    if what.kind == "order":
        return [f"order to saga {reading.key(what)}: {', '.join(reading.shown(one) for one in what.says)}"]
    attempt = f" (attempt {what.attempt})" if what.attempt > 1 else ""
    other = "" if what.own else ", of another story"
    place = "  ".join(str(one) for one in what.positions[:3])
    return [f"{short_names([what.name])[0]} {reading.key(what)}{attempt}  {whom}{other}  {place}"]


def _handled(one: Handling, node: Node, reading: Reading) -> str:
    who = f"{one.service}.{'+'.join(one.handlers)}" if one.handlers else one.service
    word = "handled by" if one.handlers else "read by"
    parts = [f"{word} {who} {_signed(one.now - node.at)}"]
    parts += [f"{one.attempts} attempts"] if one.attempts > 1 else []
    for call in one.calls:
        failed = f", {call.failed} failed" if call.failed else ""
        parts.append(
            f"call {call.name}" + (f" {call.used} times{failed}" if call.used > 1 else " failed" * call.failed)
        )
    if one.held is not None:
        again = f"again at {moment_text(to_datetime(one.held.until))}" if one.held.until else "held"
        parts.append(f"parked, {again}" + (f": {_first(one.held.error)}" if one.held.error else ""))
    return "; ".join(parts)


def _lost(letter: Letter) -> str:
    who = f"{letter.service}.{letter.handler}" if letter.handler else letter.service
    return f"dead letter of {who} ({letter.door}) after {_many(letter.attempts, 'attempt')}: {_first(letter.error)}"


def _handling_row(one: Handling) -> dict[str, Any]:
    held = one.held
    parked = {"attempts": held.attempts, "error": held.error, "until": _iso(held.until)} if held else None
    row: dict[str, Any] = {"service": one.service, "handlers": list(one.handlers) if one.handlers is not None else None}
    row |= {"at": _iso(one.now), "attempts": one.attempts, "calls": [call._asdict() for call in one.calls]}
    return row | {"parked": parked}


def _timer(rung: Rung, reading: Reading) -> tuple[str, str]:
    """Its name, with what its key has behind the event's own, and that."""
    store, parts = split_key(rung.timer)
    name = " ".join([store.removeprefix("@"), *map(str, parts[1:])])
    return name, reading.shown(str(parts[0]))


def _clock(micros: int) -> str:
    return f"{to_datetime(micros):%m-%d %H:%M:%S.%f}"[:CLOCK]


def _iso(micros: int | None) -> str | None:
    return None if micros is None else to_datetime(micros).isoformat().replace("+00:00", "Z")


def _signed(micros: int) -> str:
    """`+8.2 ms`; a clock that goes before another makes it less than nothing."""
    return f"+{_span(micros)}" if micros > -50 else _span(micros)


def _span(micros: int) -> str:
    """`8.2 ms`, `3.4 s`, `2 h 10 min`."""
    sign, size = "-" if micros <= -50 else "", abs(micros)
    if size < 1_000_000:
        return f"{sign}{size / 1000:.1f} ms"
    if size < 60_000_000:
        return f"{sign}{size / 1_000_000:.1f} s"
    minutes, seconds = divmod(round(size / 1_000_000), 60)
    if minutes < 60:
        return f"{sign}{minutes} min {seconds} s"
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours} h {minutes} min" if hours < 48 else f"{sign}{hours // 24} d {hours % 24} h"


def _many(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _first(error: str) -> str:
    return error.partition("\n")[0]


def times(nodes: Sequence[Node]) -> Mapping[str, str | None]:
    """From when to when the story went."""
    every = [node.at for node in nodes]
    return {"from": _iso(min(every)) if every else None, "to": _iso(max(every)) if every else None}
