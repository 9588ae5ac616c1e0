"""What goes to people: tables and lines that stay what they are, whatever lies on the log."""

from io import StringIO

import pytest

from choreo.cli.output import Output, note

KEY = "a\x1b[31mred\x9b2J\n"


def test_a_key_moves_no_cursor_and_breaks_no_table() -> None:
    """Control characters of keys and values are shown by their codes: an escape sequence of a stranger does nothing."""
    shown = StringIO()
    Output(as_json=False, verbose=False, stream=shown).listing([{"key": KEY, "n": 1}], ["key", "n"])
    assert shown.getvalue().splitlines()[1] == "a\\x1b[31mred\\x9b2J\\x0a  1"


def test_lines_stay_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """In running text only the ends of lines are left as they are."""
    shown = StringIO()
    Output(as_json=False, verbose=False, stream=shown).thing({}, [f"key {KEY}"])
    note(f"key {KEY}")
    assert shown.getvalue() == capsys.readouterr().err == "key a\\x1b[31mred\\x9b2J\n\n"
