"""`choreo parked release | drop`: lets keys go on with what they wait for, or without it.

What was given up is put where it came from once more: it takes its own place at the head of the line, or frees it.
What only waits for its next attempt is woken by a copy of it. A timer has no record: another of its key is copied.
The service decides, in the turn of that record, so its journal tells of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import click

from choreo.cli.desk import Ordered, ordered
from choreo.cli.letters import Desk
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.parked import SERVICE, Line, lines_of, row_of
from choreo.cli.project import Project
from choreo.cli.record_filters import RecordFilters
from choreo.cli.redrive import Order, carry_out, counted
from choreo.cli.service_view import ServiceView
from choreo.errors import ConfigError
from choreo.events.envelope import Again, Wish
from choreo.log.interface import Topic
from choreo.record import NewRecord, Record
from choreo.replay.letters import Letter
from choreo.replay.redrive import Refused, again, moving
from choreo.replay.waking import carrier_of
from choreo.resilience.operations import Outcome
from choreo.runtime.intake import due_id
from choreo.runtime.parking import FLYING

REDRIVEN: Outcome = "redriven"
DROPPED: Outcome = "dropped"
COLUMNS = ["service", "key", "event", "attempts", "until", "outcome"]


class Held(NamedTuple):
    """A line that is to go on, and what is copied to say so; None where its letter is put back itself."""

    line: Line
    carrier: Record | None

    def moved(self, desk: Desk, operation: UUID, wish: Wish, topics: Mapping[str, Topic]) -> NewRecord:
        """The record that says so. Raises Refused."""
        head, carrier = self.line.head, self.carrier
        assert carrier is not None, "its letter is put back"
        ids = desk.ids(carrier)
        wanted = due_id(self.line.service, head.timer, head.due) if head.record is None else ids.event_id
        return moving(carrier, ids, wanted, Again(operation.bytes, self.line.service, wish), topics)


@command("release")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@SERVICE
@ordered
def release_keys(project: Project, keys: Sequence[str], services: Sequence[str], desk: Ordered) -> int:
    """Let these keys go on, beginning with what they wait for: it is handled again, then what waits behind it.

    What was given up has all its attempts again; what is still being tried has its next one now.
    """
    letters = Desk(project)
    held = list(_held(letters, keys, services))
    waits = [one for one in held if not one.line.given_up]
    given_up = [one for one in held if one.line.given_up]
    if waits:
        _wake(letters, waits, keys, desk)
    return _settle(letters, given_up, keys, desk, "handle") if given_up else 0


@command("drop")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@SERVICE
@ordered
def drop_keys(project: Project, keys: Sequence[str], services: Sequence[str], desk: Ordered) -> int:
    """Let these keys go on without what was given up: it leaves the line, and is not handled."""
    letters = Desk(project)
    held = list(_held(letters, keys, services))
    for line, _ in held:
        if not line.given_up:
            raise ConfigError(
                f"the key {line.text} waits for no operator: it is tried again",
                hint="choreo parked release tries it now; drop it once it is given up",
            )
    return _settle(letters, held, keys, desk, "drop")


def _held(desk: Desk, keys: Sequence[str], services: Sequence[str]) -> Iterator[Held]:
    """The lines of these keys. Raises ConfigError where one waits for nothing, and where none can be moved."""
    lines = [line for line in lines_of(desk.project, services) if line.text in keys]
    for key in keys:
        if all(line.text != key for line in lines):
            raise ConfigError(
                f"the key {key} waits for no operator, nor for its next attempt", hint="choreo parked list"
            )
    for line in lines:
        if line.head.until == FLYING:
            raise ConfigError(f"the key {line.text} of {line.service} is being tried right now")
        if line.given_up and line.head.record is not None:
            yield Held(line, None)
            continue
        with ServiceView(desk.project, line.service) as seen:
            carrier = carrier_of(desk.project.log, seen.tasks()[line.task], line.service, line.task, line.key, desk.ids)
        if carrier is None:
            raise ConfigError(
                f"the key {line.text} of {line.service} waits behind a timer, and no record of it is left",
                why="a timer goes on in the turn of a record of its key: one that waits behind it, or that set it",
                hint="give the order again when an event of that key has come",
            )
        yield Held(line, carrier)


def _settle(desk: Desk, held: Sequence[Held], keys: Sequence[str], by: Ordered, wish: Wish) -> int:
    """Put back what was given up, or let it leave its line, and settle the dead letter that it has."""
    found = _letters_of(desk, held)
    if not found:
        raise ConfigError("the dead letters of what was given up are gone", why="their topic has been cut or deleted")
    by_place = {letter.place: one for letter, one in found}

    def written(letter: Letter, operation: UUID) -> NewRecord:
        one = by_place[letter.place]
        if one.carrier is None:
            return again(letter, operation, desk.topics(), wish)
        return one.moved(desk, operation, "wake" if wish == "handle" else wish, desk.topics())

    kind, outcome = ("drop parked", DROPPED) if wish == "drop" else ("release", REDRIVEN)
    ids, owners = [str(place) for place in by_place], sorted({one.line.service for one in held})
    order = Order(kind, outcome, owners, ids, RecordFilters(), written, (), asked={"keys": " ".join(keys)})
    return carry_out(desk, order, by)


def _letters_of(desk: Desk, held: Sequence[Held]) -> list[tuple[Letter, Held]]:
    """The dead letter of each that was given up, the last of them where it has several."""
    lines = {_origin_of(one.line): one for one in held}
    found: dict[tuple[Any, ...], Letter] = {}
    with desk.reading(sorted({one.line.service for one in held})) as letters:
        for letter in letters:
            if letter.said is not None:
                own = () if letter.said.origin.topic else (letter.record.key,)
                found[letter.said.service, letter.said.origin, *own] = letter
    return [(found[origin], one) for origin, one in lines.items() if origin in found]


def _origin_of(line: Line) -> tuple[Any, ...]:
    """What the dead letter of the head of a line is known by: a timer's names its key, and no position."""
    if line.head.record is not None:
        return line.service, line.head.record.position
    return line.service, ("", line.task, -1), line.key


def _wake(desk: Desk, held: Sequence[Held], keys: Sequence[str], by: Ordered) -> None:
    """Let the next attempt of what is still being tried come now."""
    if by.dry_run:
        rows = [row_of(one.line, desk.contents) | {"outcome": "would be tried now"} for one in held]
        desk.project.output.listing(rows, COLUMNS)
        return
    by.expect_reason()
    if len(held) > 1:
        by.confirm(desk.project, f"release: {counted(len(held), 'key')} that wait for their next attempt")
    operation, topics, services = uuid4(), desk.topics(), sorted({one.line.service for one in held})
    try:
        records = [one.moved(desk, operation, "wake", topics) for one in held]
    except Refused as error:
        raise ConfigError(str(error)) from error
    desk.operations.begin(operation, "release", services, by.by, {"keys": " ".join(keys)})
    desk.project.log.append(records)
    desk.operations.end(operation, {"woken": len(records)})
    said = f"{counted(len(records), 'key')} will be tried now (operation {operation})"
    desk.project.output.thing({"operation": str(operation), "woken": len(records)}, [said])
    if not (desk.project.output.as_json or desk.project.output.quiet):
        note("its service takes that up when it runs")
