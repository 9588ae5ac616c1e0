"""`choreo dead-letters list | show`: what could not be handled, why, and what has become of it."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import click

from choreo.cli.letters import STATES, Desk, Wanted, row_of
from choreo.cli.options import command
from choreo.cli.output import as_text
from choreo.cli.project import Project
from choreo.cli.record_filters import RecordFilters, filtered
from choreo.errors import ConfigError, DecodeError, UnknownSchemaError
from choreo.replay.letters import Letter
from choreo.replay.redrive import obstacle

COLUMNS = ["id", "service", "event", "key", "door", "cause", "attempts", "at", "state", "origin"]
LISTING = "choreo dead-letters list"


@command("list")
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("--state", "states", type=click.Choice(STATES), multiple=True, help="Only these: open are nobody's yet.")
@filtered
def list_dead_letters(project: Project, services: Sequence[str], states: Sequence[str], filters: RecordFilters) -> None:
    """Every dead letter of these services (none = all): which event, why, from where, what has become of it.

    TIMEs are about when its service gave up. Conditions speak of event.FIELD, name, id, correlation_id, key, at, topic,
    letter.service, letter.door, letter.cause, letter.error, letter.attempts, letter.handler and letter.state.
    """
    desk = Desk(project)
    wanted = Wanted(desk.contents, filters, (), states)
    with desk.reading(desk.services(services)) as letters:

        def rows() -> Iterator[dict[str, Any]]:
            for one in islice(filter(wanted.takes, letters), filters.limit):
                yield row_of(one, desk.contents)
            wanted.require_sense(LISTING)

        project.output.listing(rows(), COLUMNS, empty="no dead letters")


@command("show")
@click.argument("letter_id", metavar="ID")
def show_dead_letter(project: Project, letter_id: str) -> None:
    """One dead letter with its cause and what it held. ID is the event's id or the beginning of it, its key, or its
    position.

    Of several with this id the last is shown. Personal fields are masked.
    """
    desk = Desk(project)
    letter = one_letter(desk, letter_id)
    row = row_of(letter, desk.contents)
    try:
        body: dict[str, Any] | None = desk.contents.shown(letter.record)
    except (DecodeError, UnknownSchemaError):
        body = None
    value = letter.record.value.hex() if letter.record.value is not None and body is None else None
    can_not = obstacle(letter, desk.topics())
    whole = row | {"body": body, "value": value, "bytes": len(letter.record.value or b""), "cannot_redrive": can_not}
    lines = [f"{name:<12} {as_text(cell)}" for name, cell in row.items() if cell is not None]
    lines += [f"{name:<12} {as_text(cell)}" for name, cell in (body or {}).items()]
    lines += [] if body is not None else [f"{'value':<12} {as_text(value)}"]
    lines += [f"{'stays here':<12} {can_not}"] if can_not else []
    project.output.thing(whole, lines)


def one_letter(desk: Desk, letter_id: str, states: Sequence[str] = ()) -> Letter:
    """The last letter of this id. Raises ConfigError where there is none, or where it is the beginning of several."""
    wanted, found = Wanted(desk.contents, RecordFilters(), (letter_id,), states), None
    with desk.reading(desk.services(())) as letters:
        for letter in filter(wanted.takes, letters):
            found = letter
    wanted.require_sense(LISTING)
    if found is None:
        raise ConfigError(f"there is no dead letter {letter_id}", hint=LISTING)
    return found


def open_rows(project: Project, services: Sequence[str], key: bytes) -> Iterator[dict[str, Any]]:
    """The dead letters of this key, of these services, of which nothing has become yet, as rows."""
    desk = Desk(project)
    with desk.reading(services) as letters:
        for letter in letters:
            if letter.standing.outcome == "open" and letter.record.key == key:
                yield row_of(letter, desk.contents)
