"""docs/archives.md: every command on it can be given, and it names every option of the archives' commands."""

import re
from pathlib import Path

import click
import pytest

from choreo.cli.main import COMMANDS
from choreo.cli.options import COMMON_NAMES
from tests.cli.given import can_be_given

PAGE = (Path(__file__).parents[2] / "docs" / "archives.md").read_text(encoding="utf-8")
LINES = re.findall(r"^(?:\$ )?(choreo [^#\n]+?)\s*(?:#.*)?$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", LINES)
def test_every_command_on_the_page_can_be_given(line: str) -> None:
    """Its words, options and arguments are understood; nothing is run."""
    can_be_given(line)


def test_every_option_is_on_the_page() -> None:
    """What the commands of archives take besides the common options is told."""
    group = COMMANDS["archives"]
    assert isinstance(group, click.Group)
    found = [group.get_command(click.Context(group), name) for name in group.list_commands(click.Context(group))]
    options = {
        option.opts[0]
        for command in found
        if command is not None
        for option in command.params
        if isinstance(option, click.Option) and option.name not in COMMON_NAMES
    }
    assert len(options) == 12
    assert [name for name in sorted(options) if name not in PAGE] == []
    assert len(LINES) >= 5
