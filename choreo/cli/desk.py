"""What every order to something live is given with: who, why, whether only to look; and the question before it goes."""

import functools
import getpass
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click

from choreo.cli.project import Project
from choreo.errors import ConfigError

OPTIONS = (
    click.option("--why", metavar="TEXT", help="Why; it is kept on the log with what was done."),
    click.option("--who", help="Who wants it. Default: the user of this machine."),
    click.option("--dry-run", is_flag=True, help="Only say what would be done."),
    click.option("--yes", is_flag=True, help="Do not ask, also for several."),
)


@dataclass(frozen=True)
class Desk:
    """By whom something is ordered, why, and whether only to look."""

    why: str | None
    who: str | None
    dry_run: bool
    yes: bool

    @property
    def by(self) -> tuple[str, str]:
        """Who, and why. Raises ConfigError where nobody says why."""
        if not self.why:
            raise ConfigError("it needs a reason", why="it is kept on the log", hint='--why "the carrier is back"')
        return self.who or getpass.getuser(), self.why

    def confirm(self, project: Project, what: str) -> None:
        """Let the person at the console decide. Raises ConfigError where there is none."""
        if self.yes:
            return
        if not sys.stdin.isatty() or project.output.as_json:
            raise ConfigError(f"this is about {what}", hint="look with --dry-run, then give it with --yes")
        click.confirm(f"{what}: go on?", abort=True, err=True)


def ordered(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Gives a command the options of `Desk`, and hands them over as `desk`."""
    names = [one.name for one in fields(Desk)]

    @functools.wraps(function)
    def packed(*arguments: Any, **options: Any) -> int | None:
        return function(*arguments, desk=Desk(**{name: options.pop(name) for name in names}), **options)

    for option in reversed(OPTIONS):
        packed = option(packed)
    return packed
