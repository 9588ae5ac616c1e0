"""`choreo check --diagram PATH`: draws each saga and the whole choreography into files."""

from pathlib import Path

from choreo.cli.project import Project
from choreo.diagram.parts import Parts


def draw(project: Project, parts: Parts, directory: Path) -> None:
    """Write the pictures."""
