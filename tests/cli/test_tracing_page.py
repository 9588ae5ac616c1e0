"""docs/tracing.md: every command on it can be given, and its tables name every option and every misfit."""

import re
from pathlib import Path
from typing import get_args

import click
import pytest

from choreo.cli.conformance import WORDS, conformance
from choreo.cli.options import COMMON_NAMES
from choreo.cli.trace import trace
from choreo.replay.conformance import Kind
from tests.cli.given import can_be_given

PAGE = (Path(__file__).parents[2] / "docs" / "tracing.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(choreo .+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_on_the_page_can_be_given(line: str) -> None:
    """Its words, options and arguments are understood; nothing is run."""
    can_be_given(line)


@pytest.mark.parametrize("command", [trace, conformance])
def test_every_option_is_on_the_page(command: click.Command) -> None:
    """What can be asked for is told."""
    own = [one for one in command.params if isinstance(one, click.Option) and one.name not in COMMON_NAMES]
    assert own
    assert [one.opts[0] for one in own if one.opts[0] not in PAGE] == []


def test_every_misfit_is_on_the_page() -> None:
    """And the command has words for each."""
    table = PAGE[PAGE.index("| misfit |") :]
    assert [kind for kind in get_args(Kind) if f"`{kind}`" not in table] == []
    assert set(WORDS) == set(get_args(Kind))
