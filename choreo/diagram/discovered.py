"""What happened, drawn over what a spec declares: which ways were gone, how often and how fast, and which never."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from choreo.diagram.drawing import graph_of_spec
from choreo.diagram.graph import Arrow, Box, Graph
from choreo.diagram.words import short
from choreo.saga.rules import Spec


class Gone(NamedTuple):
    """How often a way was gone, and how long it took: the median, in microseconds."""

    times: int
    median_us: int


@dataclass(frozen=True)
class Discovered:
    """What sagas came to: stations and ways by the names of the boxes of `graph_of_spec`; `beside` are ways from a
    station to an event (full name) that the spec does not name.
    """

    sagas: int
    stations: Mapping[str, int] = field(default_factory=dict)
    ways: Mapping[tuple[str, str], Gone] = field(default_factory=dict)
    beside: Mapping[tuple[str, str], Gone] = field(default_factory=dict)


def graph_of_runs(spec: Spec, found: Discovered) -> Graph:
    """The picture of the spec, each box and arrow as it was seen or not, and beside them what was not declared."""
    declared = graph_of_spec(spec)
    boxes = [_seen_box(box, found.stations.get(box.name, 0)) for box in declared.boxes]
    arrows = [_seen_arrow(arrow, found.ways.get((arrow.source, arrow.to))) for arrow in declared.arrows]
    arrows += _turned(spec, found)
    events = dict.fromkeys(event for _, event in found.beside)
    counts = {event: sum(gone.times for (_, other), gone in found.beside.items() if other == event) for event in events}
    ends = [name for name in ("compensated", "cancelled") if name in found.stations]
    drawn = {box.name for box in boxes}
    for name in ends:
        if name not in drawn:  # a saga may come there from anywhere: the picture of the spec has no such box
            boxes.append(Box(name, (name, _times(found.stations[name])), "end", "seen"))
            arrows += _into_end(name, [box.name for box in declared.boxes if box.kind == "undo"], found)
    boxes += [Box(f"event {event}", (short(event), _times(counts[event])), "event", "undeclared") for event in events]
    known = {box.name for box in boxes}
    for (source, event), gone in found.beside.items():
        arrows.append(
            Arrow(source if source in known else "start", f"event {event}", (_told(gone),), "forward", "undeclared")
        )
    title = f"saga {spec.name}, version {spec.version}: what {found.sagas:,} sagas went through"
    return Graph(title, tuple(boxes), tuple(arrows))


def _seen_box(box: Box, count: int) -> Box:
    return box._replace(lines=(*box.lines, _times(count)), seen="seen" if count else "never")


def _seen_arrow(arrow: Arrow, gone: Gone | None) -> Arrow:
    if gone is None:
        return arrow._replace(seen="never")
    return arrow._replace(lines=(*arrow.lines, _told(gone)), seen="seen")


def _turned(spec: Spec, found: Discovered) -> Iterator[Arrow]:
    """Ways that were gone against the order of the spec."""
    for step in spec.steps:
        for earlier in spec.before[step.name]:
            gone = found.ways.get((f"step {step.name}", f"step {earlier}"))
            if gone is not None and earlier in step.after:
                yield Arrow(f"step {step.name}", f"step {earlier}", (_told(gone),), "forward", "undeclared")


def _into_end(end: str, undos: Iterable[str], found: Discovered) -> Iterator[Arrow]:
    from_undo = [(name, found.ways[name, end]) for name in undos if (name, end) in found.ways]
    for name, gone in from_undo or [("start", found.ways.get(("start", end), Gone(found.stations[end], 0)))]:
        yield Arrow(name, end, (_told(gone),), "undo", "seen")


def _times(count: int) -> str:
    return "never" if count == 0 else "once" if count == 1 else f"{count:,} times"


def _told(gone: Gone) -> str:
    return f"{_times(gone.times)}, {span(gone.median_us)}"


def span(micros: int) -> str:
    """`8.2 ms`, `3.4 s`, `12.0 min`, `5.1 h`, `3.2 d`."""
    for size, unit in ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s")):
        if micros >= size:
            return f"{micros / size:.1f} {unit}"
    return f"{micros / 1000:.1f} ms"
