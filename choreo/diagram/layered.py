"""Where the boxes of a graph stand: in layers from top to bottom, few crossings, the same each time.

After Sugiyama, Tagawa and Toda (1981): arrows that close a circle are turned round, every box gets a layer by its
longest way from the top, layers are sorted by the barycentres of their neighbours, then boxes are pulled under each
other. What stands on an arrow is a place in a layer of its own, so that it covers nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from choreo.diagram.graph import Graph

CHARACTER, LINE, PADDING = 7.0, 16.0, 12.0
"""Width of a character, height of a line, room around a text, in pixels."""
GAP_X, GAP_Y = 28.0, 36.0
SWEEPS = 12


@dataclass
class Spot:
    """A place in a layer: of a box, of what stands on an arrow, or where an arrow passes. `x`, `y` are its middle."""

    name: str
    width: float = 0.0
    height: float = 0.0
    layer: int = 0
    x: float = 0.0
    y: float = 0.0


class Way(NamedTuple):
    """An arrow and the names of the spots through which it goes, from its source to its end."""

    number: int
    spots: tuple[str, ...]
    label: str | None


@dataclass
class Layout:
    """The whole picture: its size in pixels, each spot by name, the way of each arrow in the order of the graph."""

    spots: dict[str, Spot]
    ways: list[Way]
    width: float = 0.0
    height: float = 0.0
    layers: list[list[str]] = field(default_factory=list)


def lay_out(graph: Graph) -> Layout:
    """Find a place for everything. Takes no more than a few moments for some hundred boxes."""
    spots = {box.name: _sized(box.name, box.lines) for box in graph.boxes}
    pairs = [(arrow.source, arrow.to) for arrow in graph.arrows]
    turned = _turned(list(spots), pairs)
    down = [(to, source) if number in turned else (source, to) for number, (source, to) in enumerate(pairs)]
    layer = _layers(list(spots), down)
    for name, spot in spots.items():
        spot.layer = layer[name] * 2  # the layers between are for what stands on arrows
    layout = Layout(spots, [])
    for number, (upper, lower) in enumerate(down):
        layout.ways.append(_way(layout.spots, number, (upper, lower), graph.arrows[number].lines, number in turned))
    _sort(layout)
    _place(layout)
    return layout


def _sized(name: str, lines: Sequence[str]) -> Spot:
    width = max((len(line) for line in lines), default=0) * CHARACTER + 2 * PADDING
    return Spot(name, width, len(lines) * LINE + PADDING)


def _turned(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> set[int]:
    """The arrows that close a circle, found by walking from each box in turn; arrows to itself are among them."""
    onward: dict[str, list[tuple[int, str]]] = {name: [] for name in names}
    for number, (source, to) in enumerate(pairs):
        onward[source].append((number, to))
    turned: set[int] = set()
    entered: set[str] = set()
    open_now: set[str] = set()

    def walk(name: str) -> None:
        entered.add(name)
        open_now.add(name)
        for number, to in onward[name]:
            if to in open_now:
                turned.add(number)
            elif to not in entered:
                walk(to)
        open_now.discard(name)

    heads = [name for name in names if not any(to == name for _, to in pairs)]
    for name in (*heads, *names):
        if name not in entered:
            walk(name)
    return turned


def _layers(names: Sequence[str], down: Sequence[tuple[str, str]]) -> dict[str, int]:
    above: dict[str, list[str]] = {name: [] for name in names}
    for upper, lower in down:
        if upper != lower:
            above[lower].append(upper)
    found: dict[str, int] = {}

    def layer(name: str) -> int:
        if name not in found:
            found[name] = max((layer(one) + 1 for one in above[name]), default=0)
        return found[name]

    return {name: layer(name) for name in names}


def _way(spots: dict[str, Spot], number: int, ends: tuple[str, str], lines: Sequence[str], turned: bool) -> Way:
    """The spots of one arrow; each layer between its ends gets one, the first of them what stands on the arrow."""
    upper, lower = ends
    between = [f"~{number}.{layer}" for layer in range(spots[upper].layer + 1, spots[lower].layer)]
    for layer, name in enumerate(between, start=spots[upper].layer + 1):
        spots[name] = Spot(name, layer=layer)
    label = None
    if lines and between:
        label = between[-1] if turned else between[0]
        sized = _sized(label, lines)
        spots[label].width, spots[label].height = sized.width, sized.height
    way = (upper, *between, lower)
    return Way(number, tuple(reversed(way)) if turned else way, label)


def _sort(layout: Layout) -> None:
    """Sort each layer so that few arrows cross; the best of some sweeps down and up is kept."""
    layers: list[list[str]] = [[] for _ in range(max((spot.layer for spot in layout.spots.values()), default=0) + 1)]
    for name, spot in layout.spots.items():
        layers[spot.layer].append(name)
    above, below = _neighbours(layout)
    best, fewest = [list(layer) for layer in layers], crossings(layers, below)
    for sweep in range(SWEEPS):
        order = range(1, len(layers)) if sweep % 2 == 0 else range(len(layers) - 2, -1, -1)
        beside = above if sweep % 2 == 0 else below
        for number in order:
            known = layers[number - 1 if sweep % 2 == 0 else number + 1]
            place = {name: float(at) for at, name in enumerate(known)}
            own = {name: float(at) for at, name in enumerate(layers[number])}
            layers[number].sort(key=_barycentre(beside, place, own))
        count = crossings(layers, below)
        if count < fewest:
            best, fewest = [list(layer) for layer in layers], count
    layout.layers = best


def _barycentre(
    beside: Mapping[str, list[str]], place: Mapping[str, float], own: Mapping[str, float]
) -> Callable[[str], tuple[float, float]]:
    def key(name: str) -> tuple[float, float]:
        places = [place[one] for one in beside[name]]
        return (sum(places) / len(places) if places else own[name], own[name])

    return key


def _neighbours(layout: Layout) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """For each spot those above it and those below it that an arrow joins to it."""
    above: dict[str, list[str]] = {name: [] for name in layout.spots}
    below: dict[str, list[str]] = {name: [] for name in layout.spots}
    for way in layout.ways:
        for one, other in pairwise(way.spots):
            upper, lower = sorted((one, other), key=lambda name: layout.spots[name].layer)
            if layout.spots[upper].layer != layout.spots[lower].layer:
                below[upper].append(lower)
                above[lower].append(upper)
    return above, below


def crossings(layers: Sequence[Sequence[str]], below: Mapping[str, list[str]]) -> int:
    """How many pairs of arrows cross."""
    count = 0
    for upper, lower in pairwise(layers):
        place = {name: at for at, name in enumerate(lower)}
        ends = [place[to] for name in upper for to in sorted(below[name], key=place.__getitem__)]
        count += sum(1 for at, end in enumerate(ends) for later in ends[at + 1 :] if later < end)
    return count


def _place(layout: Layout) -> None:
    """Coordinates: layers under each other; in a layer each spot as near to its neighbours as those before it allow."""
    above, below = _neighbours(layout)
    y = PADDING
    for layer in layout.layers:
        height = max((layout.spots[name].height for name in layer), default=0.0)
        for name in layer:
            spot = layout.spots[name]
            spot.y = y + height / 2
            if not spot.width:  # an arrow goes straight down past the boxes of a layer, else it would run beneath them
                spot.height = height
        y += height + GAP_Y / 2
    for layer in layout.layers:
        _spread(layout.spots, layer, {})
    for sweep in range(SWEEPS):
        beside = above if sweep % 2 == 0 else below
        for layer in layout.layers if sweep % 2 == 0 else layout.layers[::-1]:
            wanted = {
                name: sum(layout.spots[one].x for one in beside[name]) / len(beside[name])
                for name in layer
                if beside[name]
            }
            _spread(layout.spots, layer, wanted)
    left = min((spot.x - spot.width / 2 for spot in layout.spots.values()), default=0.0)
    for spot in layout.spots.values():
        spot.x += PADDING - left
    layout.width = max((spot.x + spot.width / 2 for spot in layout.spots.values()), default=0.0) + PADDING
    layout.height = y + PADDING


def _spread(spots: Mapping[str, Spot], layer: Sequence[str], wanted: Mapping[str, float]) -> None:
    """Stand each spot where it is wanted, none over another: the middle of pushing from the left and from the right."""
    where = [wanted.get(name, spots[name].x) for name in layer]
    rooms = [(spots[left].width + spots[right].width) / 2 + GAP_X for left, right in pairwise(layer)]
    from_left, from_right = list(where), list(where)
    for at, room in enumerate(rooms):
        from_left[at + 1] = max(from_left[at + 1], from_left[at] + room)
    for at in range(len(rooms) - 1, -1, -1):
        from_right[at] = min(from_right[at], from_right[at + 1] - rooms[at])
    for name, left, right in zip(layer, from_left, from_right, strict=True):
        spots[name].x = (left + right) / 2
