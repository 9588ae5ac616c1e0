"""`choreo schemas diff OLD NEW`: whom a change of a schema breaks, in each direction, and at which field."""

from collections.abc import Iterable, Iterator

import click

from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.cli.schemas_project import Named, named_schema
from choreo.errors import SchemaError
from choreo.events.diff import Difference, Problem, difference
from choreo.events.schema import type_of

FOUND = 1
BACKWARD = "new readers read what the old one wrote"
FORWARD = "old readers read what the new one writes"


@command("diff")
@click.argument("old")
@click.argument("new")
@click.option(
    "--compatibility",
    type=click.Choice(["backward", "forward", "full", "none"]),
    default="backward",
    show_default=True,
    help="Which direction must work for exit code 0.",
)
def diff_schemas(project: Project, old: str, new: str, compatibility: str) -> int:
    """Say of each direction whether it is compatible, and why not, with the path of the field.

    OLD and NEW are SUBJECT[@VERSION], an id, FILE.avsc, FILE.avro or module:Class. Exit code 1 where the wanted
    direction does not work.
    """
    before, after = (_record(named_schema(project, text)) for text in (old, new))
    found = difference(before.schema, after.schema)
    row = {
        "old": before.name,
        "new": after.name,
        "backward": {"compatible": not found.backward, "problems": [one._asdict() for one in found.backward]},
        "forward": {"compatible": not found.forward, "problems": [one._asdict() for one in found.forward]},
    }
    project.output.thing(row, _lines(found))
    wanted = {"backward": not found.backward, "forward": not found.forward, "full": found.full, "none": True}
    return 0 if wanted[compatibility] else FOUND


def _record(named: Named) -> Named:
    if type_of(named.schema) != "record":
        raise SchemaError(f"{named.name} is no record", hint="an event is an Avro record")
    return named


def _lines(found: Difference) -> Iterator[str]:
    yield from _direction("backward", BACKWARD, found.backward)
    yield from _direction("forward", FORWARD, found.forward)


def _direction(word: str, meaning: str, problems: Iterable[Problem]) -> Iterator[str]:
    listed = list(problems)
    yield f"{word:<9} {'compatible' if not listed else 'not compatible'}: {meaning}"
    yield from (f"  {problem}" for problem in listed)
