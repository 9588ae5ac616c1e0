"""What every order to something live is given with: who, why, whether only to look; and the question before it goes."""

import getpass
import sys
from dataclasses import dataclass

import click

from choreo.cli.options import gathered
from choreo.cli.project import Project
from choreo.errors import ConfigError

OPTIONS = (
    click.option("--why", default="", metavar="TEXT", help="Why; it is kept on the log with what was done."),
    click.option("--who", default="", help="Who wants it. Default: the user of this machine."),
    click.option("--dry-run", is_flag=True, help="Only say what would be done."),
    click.option("--yes", is_flag=True, help="Do not ask, also for several."),
)


@dataclass(frozen=True)
class Ordered:
    """By whom something is ordered, why, and whether only to look."""

    why: str
    who: str
    dry_run: bool
    yes: bool

    def expect_reason(self) -> None:
        """Raises ConfigError where nobody says why something is to be done."""
        if not self.why and not self.dry_run:
            hint = '--why "the carrier is back"'
            raise ConfigError("an order needs a reason", why="it is kept on the log", hint=hint)

    @property
    def by(self) -> tuple[str, str]:
        """Who, and why."""
        return self.who, self.why

    def confirm(self, project: Project, what: str) -> None:
        """Let the person at the console decide. Raises ConfigError where there is none."""
        if self.yes:
            return
        if not sys.stdin.isatty() or project.output.as_json:
            raise ConfigError(f"this is about {what}", hint="look with --dry-run, then give it with --yes")
        click.confirm(f"{what}: go on?", abort=True, err=True)


def _ordered(why: str, who: str, dry_run: bool, yes: bool) -> Ordered:
    return Ordered(why, who or getpass.getuser(), dry_run, yes)


ordered = gathered("desk", _ordered, OPTIONS)
"""Gives a command these options, and hands them over as `desk`."""
