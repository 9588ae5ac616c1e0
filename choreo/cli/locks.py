"""`choreo locks`: who holds a lock, since when and until when, and who waits for it, as of now."""

from collections.abc import Iterator, Sequence
from typing import Any

import click

from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.cli.saga_privacy import has_personal_key, has_personal_lock
from choreo.cli.saga_specs import KnownSpecs
from choreo.cli.service_view import ServiceView
from choreo.clock import to_datetime
from choreo.errors import ConfigError
from choreo.saga.lock_line import Claim, Line
from choreo.saga.locks import LockKeeper
from choreo.telemetry.privacy import MASK

PREFIX, SUFFIX = "choreo.locks.", ".changelog"
COLUMNS = ["scope", "lock", "saga", "key", "since", "expires", "waiting"]


@command("list")
@click.argument("scopes", nargs=-1, metavar="[SCOPE...]")
def list_locks(project: Project, scopes: Sequence[str]) -> None:
    """Every lock that is held in these scopes (none = all): the saga that holds it, and those that wait, in order."""
    shown = _Shown(project)
    rows = [row for scope in _scopes(project, scopes) for row in _rows(project, scope, shown)]
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


def _rows(project: Project, scope: str, shown: "_Shown") -> Iterator[dict[str, Any]]:
    keys, values = LockKeeper.lines.codecs()
    with ServiceView(project, f"locks.{scope}") as seen:
        found = (entry for task in seen.tasks() for entry in task.scan(keys.prefix(())))
        lines: list[tuple[str, Line]] = sorted((keys.decode(raw), values.load(value)) for raw, value in found)
    yield from (_row(scope, lock, line, shown) for lock, line in lines if line.holder is not None)


def _row(scope: str, lock: str, line: Line, shown: "_Shown") -> dict[str, Any]:
    assert line.holder is not None
    return {
        "scope": scope,
        "lock": shown.lock(lock, line),
        "saga": line.holder.saga,
        "key": shown.key(line.holder),
        "since": to_datetime(line.since),
        "expires": None if line.expires is None else to_datetime(line.expires),
        "waiting": [f"{one.saga} {shown.key(one)}" for one in line.waiting],
    }


class _Shown:
    """Keys and locks as they may be shown. A claim does not say which version its saga follows: what is personal in one
    of those that can be read here is masked.
    """

    def __init__(self, project: Project) -> None:
        self._known = KnownSpecs(project)
        self._personal: dict[str, tuple[bool, bool]] = {}

    def key(self, claim: Claim) -> str:
        """The key of the saga that holds a lock, or waits."""
        return MASK if self._of(claim.saga)[0] else claim.key

    def lock(self, lock: str, line: Line) -> str:
        """What the sagas of one line want."""
        sagas = {claim.saga for claim in (line.holder, *line.waiting) if claim is not None}
        return MASK if any(self._of(saga)[1] for saga in sagas) else lock

    def _of(self, saga: str) -> tuple[bool, bool]:
        """Whether its keys are personal, and its locks."""
        if saga not in self._personal:
            each = [(spec, self._known.schemas(spec)) for spec in self._known.versions(saga)]
            keys, locks = (any(is_so(*one) for one in each) for is_so in (has_personal_key, has_personal_lock))
            self._personal[saga] = keys, locks
        return self._personal[saga]
