"""`choreo dead-letters`: what could not be handled, and why; its bytes lie on the log as they came."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from choreo.cli.options import command
from choreo.cli.output import as_text
from choreo.cli.project import Project
from choreo.cli.records import Bodies, one_of, read_to_end, uuid_text
from choreo.clock import to_datetime
from choreo.errors import ChoreoError, ConfigError, DecodeError, UnknownSchemaError
from choreo.events.codec import Codec
from choreo.record import Record
from choreo.resilience.dead_letter import read as read_dead_letter
from choreo.resilience.dead_letter import whole

SUFFIX = ".dead-letters"
COLUMNS = ["id", "service", "event", "key", "door", "cause", "attempts", "at", "origin"]


@command("list")
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
def list_dead_letters(project: Project, services: Sequence[str]) -> None:
    """Every dead letter of these services (none = all): which event, why, from where."""
    rows = [row for row, _ in dead_letters(project, services)]
    project.output.listing(rows, COLUMNS, empty="no dead letters")


@command("show")
@click.argument("letter_id", metavar="ID")
def show_dead_letter(project: Project, letter_id: str) -> None:
    """One dead letter with its cause and what it held. ID is the event's id, or the beginning of it."""
    found = {row["id"]: (row, record) for row, record in dead_letters(project, [])}
    row, record = found[one_of(found, letter_id, "dead letters", "choreo dead-letters list")]
    try:
        body: object = Bodies(project.registry).read(record)
    except (DecodeError, UnknownSchemaError):
        body = None
    whole = row | {"body": body, "value": record.value.hex() if record.value else None}
    lines = [f"{name:<12} {as_text(value)}" for name, value in row.items()]
    lines += [f"{name:<12} {as_text(value)}" for name, value in body.items()] if isinstance(body, dict) else []
    lines += [] if isinstance(body, dict) else [f"{'value':<12} {whole['value']}"]
    project.output.thing(whole, lines)


def dead_letters(project: Project, services: Sequence[str]) -> Iterator[tuple[dict[str, Any], Record]]:
    """Each dead letter of these services (none = all) as a row, and its record."""
    topics = [name for name in sorted(project.past.topics()) if name.endswith(SUFFIX)]
    known = {name.removeprefix("choreo.").removesuffix(SUFFIX): name for name in topics}
    for service in services:
        if service not in known:
            raise ConfigError(
                f"service {service} has no dead-letter topic", hint=f"known: {', '.join(known) or 'none'}"
            )
    codec, bodies = Codec(project.registry, (), project.past.cluster_id()), Bodies(project.registry)
    wanted = [known[service] for service in services] or topics
    with project.progress.of("dead letters", "records") as reached:
        for record in whole(read_to_end(project.past, wanted, reached)):
            yield _row(record, codec, bodies), record


def _row(record: Record, codec: Codec, bodies: Bodies) -> dict[str, Any]:
    try:
        event_id = uuid_text(codec.ids(record).event_id)
    except DecodeError:
        event_id = None
    row: dict[str, Any] = {"id": event_id or str(record.position), "event": _name(bodies, record), "key": record.key}
    try:
        letter = read_dead_letter(record)
    except ChoreoError as error:
        return row | {"cause": error.message, "origin": str(record.position)}
    return row | {
        "service": letter.service,
        "handler": letter.handler,
        "door": letter.door,
        "cause": letter.cause,
        "error": letter.error,
        "attempts": letter.attempts,
        "at": to_datetime(letter.at),
        "origin": str(letter.origin),
        "position": str(record.position),
    }


def _name(bodies: Bodies, record: Record) -> str | None:
    try:
        return bodies.name(record)
    except (DecodeError, UnknownSchemaError):
        return None
