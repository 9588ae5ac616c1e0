"""docs/mending.md: every command on it can be given, and its tables name every filter and every order."""

import re
from pathlib import Path

import click
import pytest

from choreo.cli.saga_filters import OPTIONS
from choreo.saga.decision import Order
from tests.cli.given import can_be_given

PAGE = (Path(__file__).parents[2] / "docs" / "mending.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^(choreo .+)$", PAGE, re.MULTILINE) + re.findall(r"`(choreo sagas [^`]+ --[^`]+)`", PAGE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_on_the_page_can_be_given(line: str) -> None:
    """Its words, options and arguments are understood; nothing is run."""
    can_be_given(line)


def test_every_filter_and_every_order_is_on_the_page() -> None:
    """What can be asked for is told."""

    @click.command()
    def listing() -> None: ...

    for option in OPTIONS:
        option(listing)
    names = [param.opts[0] for param in listing.params]
    assert len(names) == 8
    assert [name for name in names if f"`{name} " not in PAGE] == []
    orders = [order.__name__.lower() for order in Order.__args__]
    assert [order for order in orders if f"\n| `{order}" not in PAGE] == []
