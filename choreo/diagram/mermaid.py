"""A graph as a Mermaid flowchart: text that GitHub, GitLab and most editors draw."""

from choreo.diagram.graph import Box, Graph

SHAPES = {
    "step": ('["', '"]'),
    "pivot": ('[["', '"]]'),
    "undo": ('{{"', '"}}'),
    "event": ('(["', '"])'),
    "end": ('(("', '"))'),
    "service": ('["', '"]'),
    "topic": ('[("', '")]'),
    "saga": ('[["', '"]]'),
}

STYLES = {
    "seen": "stroke:#2e7d32,stroke-width:2px",
    "never": "stroke:#9aa5b1,stroke-dasharray:4 4",
    "undeclared": "stroke:#c62828,stroke-width:2px,stroke-dasharray:2 3",
}
"""How a picture of what happened tells apart what was declared, and what was seen."""


def as_flowchart(graph: Graph) -> str:
    """The flowchart. The same graph always gives the same text."""
    names = {box.name: f"n{number}" for number, box in enumerate(graph.boxes)}
    drawn = ["---", f"title: {graph.title}", "---", "flowchart TD"]
    drawn += [f"    {names[box.name]}{_shaped(box)}" for box in graph.boxes]
    for arrow in graph.arrows:
        line = "-->" if arrow.kind == "forward" else "-.->"
        label = f'|"{_text(arrow.lines)}"|' if arrow.lines else ""
        drawn.append(f"    {names[arrow.source]} {line}{label} {names[arrow.to]}")
    for seen, style in STYLES.items():
        boxes = ",".join(names[box.name] for box in graph.boxes if box.seen == seen)
        arrows = ",".join(str(number) for number, arrow in enumerate(graph.arrows) if arrow.seen == seen)
        drawn += [f"    classDef {seen} {style}", f"    class {boxes} {seen}"] if boxes else []
        drawn += [f"    linkStyle {arrows} {style}"] if arrows else []
    return "\n".join(drawn) + "\n"


def _shaped(box: Box) -> str:
    left, right = SHAPES[box.kind]
    return f"{left}{_text(box.lines)}{right}"


def _text(lines: tuple[str, ...]) -> str:
    """Mermaid reads # as the beginning of an entity and a quote as the end of the text."""
    whole = "\n".join(lines)
    for sign, entity in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("\n", "<br>")):
        whole = whole.replace(sign, entity)
    return whole
