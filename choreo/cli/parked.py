"""`choreo parked list | show`: keys of a service whose later events wait, and those of them that wait for an operator.
`release.py` lets them go on.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import click

from choreo.cli.contents import Contents
from choreo.cli.options import command
from choreo.cli.output import as_text
from choreo.cli.personal_keys import has_personal_key
from choreo.cli.project import Project
from choreo.cli.service_view import ServiceView
from choreo.clock import NEVER, to_datetime
from choreo.errors import ConfigError, DecodeError, UnknownSchemaError
from choreo.runtime.parking import FLYING, PARKED, Waiting, load
from choreo.state.backend import Backend
from choreo.telemetry.privacy import MASK

COLUMNS = ["service", "key", "event", "waiting", "attempts", "until", "error"]
SERVICE = click.option("--service", "services", multiple=True, help="Only keys of this service.")
LIMIT = click.option("--limit", type=click.IntRange(min=1), help="At most so many.")


class Line:
    """What waits for one key in a task: the first of the line, and how many there are."""

    def __init__(self, service: str, task: int, key: bytes, head: Waiting) -> None:
        self.service, self.task, self.key, self.head, self.waiting = service, task, key, head, 1

    @property
    def text(self) -> str:
        """The key as people write it."""
        return self.key.decode(errors="replace")

    @property
    def given_up(self) -> bool:
        """Whether it waits for an operator."""
        return self.head.until == NEVER


@command("list")
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("--given-up", is_flag=True, help="Only those that wait for an operator.")
@LIMIT
def list_parked(project: Project, services: Sequence[str], given_up: bool, limit: int | None) -> None:
    """Every key whose events wait behind one that failed: which one, how many wait, until when.

    UNTIL is when it is tried again; `an operator` where only choreo parked release or drop lets it go on.
    """
    contents = Contents(project)
    lines = (line for line in lines_of(project, services) if line.given_up or not given_up)
    rows = (row_of(line, contents) for line in islice(lines, limit))
    project.output.listing(rows, COLUMNS, empty="no key waits")


@command("show")
@click.argument("key")
@SERVICE
def show_parked(project: Project, key: str, services: Sequence[str]) -> None:
    """What waits for one key, in order; personal fields are masked."""
    contents, found = Contents(project), 0
    for service in _services(project, services):
        with ServiceView(project, service) as seen:
            for place, (task, waiting) in enumerate(_of_key(seen.tasks(), key.encode())):
                found += 1
                line = Line(service, task, key.encode(), waiting)
                row = row_of(line, contents) | {"place": place, "body": _body(waiting, contents)}
                del row["waiting"]
                texts = [f"{name}={as_text(cell)}" for name, cell in row.items() if cell is not None and name != "body"]
                project.output.thing(row, ["  ".join(texts), f"    {as_text(row['body'])}"])
    if not found:
        raise ConfigError(f"nothing waits for the key {key}", hint="choreo parked list")


def _services(project: Project, wanted: Sequence[str]) -> list[str]:
    """Those that have run on this log; none wanted: all. Raises ConfigError for one that has not."""
    names = (name for name in project.log.topics() if name.startswith("choreo.") and name.endswith(".changelog"))
    known = sorted(name.removeprefix("choreo.").removesuffix(".changelog") for name in names)
    for service in wanted:
        if service not in known:
            raise ConfigError(
                f"service {service} has never run on this log", hint=f"known: {', '.join(known) or 'none'}"
            )
    return list(wanted) or known


def lines_of(project: Project, services: Sequence[str]) -> Iterator[Line]:
    """The lines of these services, by service and task."""
    for service in _services(project, services):
        with ServiceView(project, service) as seen:
            for number, task in enumerate(seen.tasks()):
                yield from _of_task(service, number, task)


def _of_task(service: str, number: int, task: Backend) -> Iterator[Line]:
    line: Line | None = None
    for raw, data in task.scan(PARKED.start):
        key, _ = PARKED.decode(raw)
        if line is not None and line.key == key:
            line.waiting += 1
            continue
        if line is not None:
            yield line
        line = Line(service, number, key, load(data))
    if line is not None:
        yield line


def _of_key(tasks: Sequence[Backend], key: bytes) -> Iterator[tuple[int, Waiting]]:
    for number, task in enumerate(tasks):
        for _, data in task.scan(PARKED.prefix((key,))):
            yield number, load(data)


def row_of(line: Line, contents: Contents) -> dict[str, Any]:
    """As listings show it."""
    head = line.head
    again_at = to_datetime(head.until) if 0 < head.until < FLYING else None
    return {
        "service": line.service,
        "key": _key(line, contents),
        "event": _name(head, contents),
        "waiting": line.waiting,
        "attempts": head.attempts,
        "until": "an operator" if line.given_up else again_at,
        "error": _error(head, contents) or None,
        "position": str(head.record.position) if head.record else None,
        "given_up": line.given_up,
    }


def _key(line: Line, contents: Contents) -> str | None:
    """As it may be shown. A timer's key is hidden where any event of the project has a personal one."""
    if line.head.record is not None:
        return contents.key(line.head.record, line.key)
    return MASK if any(map(has_personal_key, contents.classes.values())) else line.key.decode(errors="replace")


def _error(waiting: Waiting, contents: Contents) -> str:
    error = waiting.error if waiting.record is None else contents.said(waiting.error, waiting.record)
    return error.partition("\n")[0]


def _name(waiting: Waiting, contents: Contents) -> str:
    if waiting.record is None:
        return "a timer"
    try:
        return contents.name(waiting.record)
    except (DecodeError, UnknownSchemaError):
        return "an event"


def _body(waiting: Waiting, contents: Contents) -> dict[str, Any] | None:
    try:
        return None if waiting.record is None else contents.shown(waiting.record)
    except (DecodeError, UnknownSchemaError):
        return None
