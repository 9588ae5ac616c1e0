"""`choreo check --diagram PATH`: draws each saga and the whole choreography into files."""

from collections.abc import Mapping
from pathlib import Path

from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.diagram.drawing import graph_of_project, graph_of_spec
from choreo.diagram.graph import Graph
from choreo.diagram.mermaid import as_flowchart
from choreo.diagram.parts import Parts
from choreo.diagram.svg import as_svg
from choreo.errors import ConfigError


def draw(project: Project, parts: Parts, directory: Path) -> None:
    """Write NAME.mmd and NAME.svg for each saga, and `choreography` for all together. Raises ConfigError."""
    graphs = {spec.name: graph_of_spec(spec) for spec in parts.specs}
    graphs["choreography"] = graph_of_project(parts)
    write_graphs(project, graphs, directory)


def write_graphs(project: Project, graphs: Mapping[str, Graph], directory: Path) -> None:
    """Write NAME.mmd and NAME.svg for each. Raises ConfigError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, graph in graphs.items():
            for suffix, text in (("mmd", as_flowchart(graph)), ("svg", as_svg(graph))):
                file = directory / f"{name}.{suffix}"
                file.write_text(text, encoding="utf-8")
                if not project.output.quiet:
                    note(f"drew {file}")
    except OSError as error:
        why = error.strerror or str(error)
        raise ConfigError(f"can't draw into {directory}", at=directory, why=why, hint="another --diagram") from error
