"""A graph as SVG: one file that any browser shows, without a network, a font or a script."""

from html import escape

from choreo.diagram.graph import Box, Graph
from choreo.diagram.layered import CHARACTER, LINE, PADDING, Layout, Spot, Way, lay_out

TITLE_ROOM = 28.0
STYLE = """\
text{font:12px ui-monospace,Menlo,Consolas,monospace;fill:#1f2933;text-anchor:middle}
.title{font-size:14px;font-weight:bold;text-anchor:start}
.box rect{fill:#fff;stroke:#52606d;stroke-width:1.2}.pivot rect{stroke-width:3.5}
.undo rect{fill:#fff4e5;stroke:#b44d12;stroke-dasharray:5 3}.event rect{fill:#e6f0fa;stroke:#2b6cb0}
.end rect{fill:#e8f5e9;stroke:#2e7d32}.topic rect{fill:#f0f2f5}.saga rect{fill:#f3e8fd;stroke:#6b21a8}
.box tspan:first-child{font-weight:bold}
.arrow path{fill:none;stroke:#52606d;stroke-width:1.2}
.arrow.undo path,.arrow.cancel path{stroke:#b44d12;stroke-dasharray:5 3}
.arrow rect{fill:#fff;stroke:none}"""
SEEN_STYLE = """
.box.seen rect,.arrow.seen path{stroke:#2e7d32;stroke-width:2}
.box.never rect,.arrow.never path{stroke:#9aa5b1;stroke-width:1.2;stroke-dasharray:4 4}.never text{fill:#7b8794}
.box.undeclared rect,.arrow.undeclared path{stroke:#c62828;stroke-width:2;stroke-dasharray:2 3}
.arrow rect{stroke:none!important}"""
"""Of a picture of what happened only."""
ROUND = {"event": 14, "end": 14, "topic": 6, "step": 3, "pivot": 3, "undo": 3, "service": 3, "saga": 3}


def as_svg(graph: Graph) -> str:
    """The picture. The same graph always gives the same text; every box and arrow says in `data-*` what it is."""
    layout = lay_out(graph)
    width = max(layout.width, len(graph.title) * CHARACTER * 1.3 + 2 * PADDING)
    height = layout.height + TITLE_ROOM
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
        f'height="{height:.0f}" role="img">',
        f"<title>{escape(graph.title)}</title><style>{STYLE}{_more_style(graph)}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" fill="#52606d"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        f'<text class="title" x="{PADDING:.0f}" y="20">{escape(graph.title)}</text>',
        f'<g transform="translate(0 {TITLE_ROOM:.0f})">',
    ]
    drawn += [_arrow(graph, layout, way) for way in layout.ways]
    drawn += [_box(box, layout.spots[box.name]) for box in graph.boxes]
    return "\n".join([*drawn, "</g>", "</svg>"]) + "\n"


def _more_style(graph: Graph) -> str:
    marked = any(box.seen for box in graph.boxes) or any(arrow.seen for arrow in graph.arrows)
    return SEEN_STYLE if marked else ""


def _classes(kind: str, seen: str) -> str:
    return f"{kind} {seen}" if seen else kind


def _box(box: Box, spot: Spot) -> str:
    rect = (
        f'<rect x="{spot.x - spot.width / 2:.1f}" y="{spot.y - spot.height / 2:.1f}" width="{spot.width:.1f}" '
        f'height="{spot.height:.1f}" rx="{ROUND[box.kind]}"/>'
    )
    classes = _classes(box.kind, box.seen)
    return f'<g class="box {classes}" data-name="{escape(box.name)}">{rect}{_text(box.lines, spot)}</g>'


def _arrow(graph: Graph, layout: Layout, way: Way) -> str:
    arrow = graph.arrows[way.number]
    spots = [layout.spots[name] for name in way.spots]
    down = spots[-1].layer >= spots[0].layer
    first, last = spots[0], spots[-1]
    points = [(first.x, first.y + first.height / 2 * (1 if down else -1))]
    for spot in spots[1:-1]:
        half = spot.height / 2 * (1 if down else -1)
        points += [(spot.x, spot.y - half), (spot.x, spot.y + half)] if spot.height else [(spot.x, spot.y)]
    points.append((last.x, last.y - last.height / 2 * (1 if down else -1)))
    path = "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    label = ""
    if way.label is not None:
        spot = layout.spots[way.label]
        back = (
            f'<rect x="{spot.x - spot.width / 2:.1f}" y="{spot.y - spot.height / 2:.1f}" '
            f'width="{spot.width:.1f}" height="{spot.height:.1f}"/>'
        )
        label = back + _text(arrow.lines, spot)
    classes = _classes(arrow.kind, arrow.seen)
    return (
        f'<g class="arrow {classes}" data-from="{escape(arrow.source)}" data-to="{escape(arrow.to)}">'
        f'<path d="{path}" marker-end="url(#tip)"/>{label}</g>'
    )


def _text(lines: tuple[str, ...], spot: Spot) -> str:
    top = spot.y - len(lines) * LINE / 2 + LINE * 0.75
    rows = (
        f'<tspan x="{spot.x:.1f}" y="{top + number * LINE:.1f}">{escape(line)}</tspan>'
        for number, line in enumerate(lines)
    )
    return f"<text>{''.join(rows)}</text>"
