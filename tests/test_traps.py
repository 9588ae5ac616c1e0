"""docs/traps.md is true: every trap has a row, and every test that a row names is there."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COUNT = 27
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(?:(\w+)::)?(test_\w+)`")


def rows() -> dict[int, list[str]]:
    """The cells of each row, by its number."""
    lines = (ROOT / "docs" / "traps.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if re.match(r"\| \d+ \|", line)]
    return {int(row[0]): row[1:] for row in cells}


def missing(text: str) -> list[str]:
    """The tests that a text names and nobody has written; inherited ones count."""
    found = []
    for file, group, name in NAMED.findall(text):
        try:
            place = importlib.import_module(file.removesuffix(".py").replace("/", "."))
            getattr(getattr(place, group) if group else place, name)
        except (ImportError, AttributeError):
            found.append(f"{file}::{name}")
    return found


def test_every_trap_has_a_row_of_its_own() -> None:
    """All of them, each with what it is, how it is avoided and what guards it."""
    table = rows()
    assert sorted(table) == list(range(1, COUNT + 1))
    assert all(len(cells) == 3 and all(cells) for cells in table.values())


@pytest.mark.parametrize("number", range(1, COUNT + 1))
def test_every_row_names_tests_that_exist(number: int) -> None:
    """What guards a trap is a test that can be run."""
    guard = rows()[number][2]
    assert NAMED.search(guard), "no test is named"
    assert missing(guard) == []
    assert guard.count("::test_") == len(NAMED.findall(guard)), "a test is named in a way that is not checked"


def test_the_text_around_the_table_names_tests_that_exist() -> None:
    """The same holds for what stands below the table."""
    assert missing((ROOT / "docs" / "traps.md").read_text(encoding="utf-8")) == []


def test_a_test_that_is_gone_would_be_found() -> None:
    """The check itself notices a file, a class and a function that are not there."""
    text = "`tests/test_traps.py::test_gone` `tests/gone.py::test_x` `tests/test_traps.py::Gone::test_y`"
    assert len(missing(text)) == 3
    assert missing("`tests/test_traps.py::test_every_row_names_tests_that_exist`") == []
