"""`choreo locks`: who holds a lock, since when and until when, and who waits for it, as of now."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.cli.service_view import ServiceView
from choreo.clock import to_datetime
from choreo.errors import ConfigError
from choreo.saga.lock_line import Line
from choreo.saga.locks import LockKeeper

PREFIX, SUFFIX = "choreo.locks.", ".changelog"
COLUMNS = ["scope", "lock", "saga", "key", "since", "expires", "waiting"]


@command("list")
@click.argument("scopes", nargs=-1, metavar="[SCOPE...]")
def list_locks(project: Project, scopes: Sequence[str]) -> None:
    """Every lock that is held in these scopes (none = all): the saga that holds it, and those that wait, in order."""
    rows = [row for scope in _scopes(project, scopes) for row in _rows(project, scope)]
    project.output.listing(rows, COLUMNS, empty=f"no locks are held on {project.log.url}")


def _scopes(project: Project, wanted: Sequence[str]) -> list[str]:
    topics = project.log.topics()
    known = [
        name.removeprefix(PREFIX).removesuffix(SUFFIX)
        for name in sorted(topics)
        if name.startswith(PREFIX) and name.endswith(SUFFIX)
    ]
    for scope in wanted:
        if scope not in known:
            here = f"there are {', '.join(known)}" if known else "no saga here has isolate_on"
            raise ConfigError(f"no locks have the scope {scope}", at=project.log.url, why=here)
    return list(dict.fromkeys(wanted)) or known


def _rows(project: Project, scope: str) -> Iterator[dict[str, Any]]:
    keys, values = LockKeeper.lines.codecs()
    with ServiceView(project, f"locks.{scope}") as seen:
        found = (entry for task in seen.tasks() for entry in task.scan(keys.prefix(())))
        lines: list[tuple[str, Line]] = sorted((keys.decode(raw), values.load(value)) for raw, value in found)
    yield from (_row(scope, lock, line) for lock, line in lines if line.holder is not None)


def _row(scope: str, lock: str, line: Line) -> dict[str, Any]:
    assert line.holder is not None
    return {
        "scope": scope,
        "lock": lock,
        "saga": line.holder.saga,
        "key": line.holder.key,
        "since": to_datetime(line.since),
        "expires": None if line.expires is None else to_datetime(line.expires),
        "waiting": [f"{one.saga} {one.key}" for one in line.waiting],
    }
