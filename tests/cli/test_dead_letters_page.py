"""docs/dead-letters.md: every command on it can be given, and it names every filter and every variable."""

import re
from pathlib import Path

import click
import pytest

from choreo.cli.letters import STATES
from choreo.cli.operations import TYPES
from choreo.cli.record_filters import options
from choreo.replay.selection import LETTER_FIELDS, NAMES
from choreo.resilience.operations import OUTCOMES
from tests.cli.given import can_be_given

PAGE = (Path(__file__).parents[2] / "docs" / "dead-letters.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(?:\$ )?(choreo .+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_on_the_page_can_be_given(line: str) -> None:
    """Its words, options and arguments are understood; nothing is run."""
    can_be_given(line)


def test_every_filter_and_every_variable_is_on_the_page() -> None:
    """What can be asked for is told."""

    @click.command()
    def listing() -> None: ...

    for option in options("true"):
        option(listing)
    names = [param.opts[0] for param in listing.params]
    assert [name for name in names if f"`{name} " not in PAGE] == []
    fields = [f"letter.{name}" for name in LETTER_FIELDS]
    told = [name for name in NAMES if name not in ("event", "letter")]
    assert [name for name in (*told, *fields, *STATES, *TYPES) if f"`{name}`" not in PAGE] == []
    assert set(STATES) - {"open"} == set(OUTCOMES)
