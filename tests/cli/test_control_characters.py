"""What goes to people: tables of any length, and lines that stay what they are, whatever lies on the log."""

from collections.abc import Iterator
from io import StringIO

import pytest

from choreo.cli.output import LAID_OUT_BY, Output, note

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


def test_a_long_table_is_printed_while_its_rows_come() -> None:
    """Its columns are as wide as its first rows need them; of the others none waits for a later one."""
    stream, printed = StringIO(), []

    def rows() -> Iterator[dict[str, object]]:
        for number in range(LAID_OUT_BY + 3):
            printed.append(stream.getvalue().count("\n"))
            yield {"key": f"k{number:>05}", "value": number}

    Output(False, False, stream).listing(rows(), ["key", "value"])
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["KEY     VALUE", "k00000  0"]
    assert lines[-1] == f"k{LAID_OUT_BY + 2:>05}  {LAID_OUT_BY + 2}"
    assert set(printed[:LAID_OUT_BY]) == {0}
    assert printed[LAID_OUT_BY:] == [LAID_OUT_BY + 1, LAID_OUT_BY + 2, LAID_OUT_BY + 3]


def test_a_row_that_is_wider_than_the_first_ones_is_shown_whole() -> None:
    """Nothing is cut off: such a row sticks out."""
    stream = StringIO()
    rows = [{"key": "short", "value": 1}] * LAID_OUT_BY + [{"key": "very much longer", "value": 2}]
    Output(False, False, stream).listing(rows, ["key", "value"])
    assert stream.getvalue().splitlines()[-1] == "very much longer  2"
