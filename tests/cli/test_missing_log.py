"""A directory of an embedded log that is mistyped: who only looks says so and makes nothing; who puts something on a
log makes it.
"""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Choreo

SETTINGS = '[project]\nservices = ["shop.py"]\nsagas = "order.yaml"\n'
TYPO = "embedded:typo"
LOOKS = [
    "replay verify",
    "replay state inventory",
    "replay fork b1",
    "replay shadow inventory --code shop.py",
    "replay rebuild inventory --dry-run",
    "replay emit orders --dry-run",
    "topics list",
    "topics show orders",
    "topics plan",
    "topics apply --dry-run",
    "sagas list",
    "sagas show o1",
    "sagas why o1",
    "sagas tasks",
    "sagas conformance order",
    "sagas migrate order --to 2 --dry-run",
    "sagas retry pay o1 --why test",
    "locks list",
    "services lag",
    "dead-letters list",
    "dead-letters show o1",
    "dead-letters redrive --why test",
    "parked list",
    "parked release o1 --why test",
    "operations list",
    "archives write --to kept",
    "trace o1",
    "check",
]
MAKES = [
    "emit shop.py:OrderPlaced order_id=o1 total=5",
    "topics create orders",
    "topics apply",
    "sagas deploy",
    "run --until-idle",
    "demo --count 1",
]


@pytest.fixture
def settled(project: Path) -> Path:
    """A project that names no log."""
    (project / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
    return project


@pytest.mark.parametrize("line", LOOKS)
def test_who_only_looks_makes_no_log(settled: Path, choreo: Choreo, line: str) -> None:
    """A usage error names the directory and what to do; nothing is made."""
    before = sorted(settled.iterdir())
    said = choreo(*line.split(), "--log", TYPO, code=2).stderr
    assert said.startswith("ConfigError: there is no log in typo\n  at   --log\n")
    assert "  try  is that the right directory? choreo run, dev, emit and topics apply make a log in it" in said
    assert [one for one in sorted(settled.iterdir()) if one.name != "__pycache__"] == before


@pytest.mark.parametrize("line", MAKES)
def test_who_puts_something_on_a_log_makes_it(settled: Path, choreo: Choreo, line: str) -> None:
    """A log in a new directory needs no other command first; then everybody reads it."""
    choreo(*line.split(), "--log", "embedded:new/log")
    assert choreo("topics", "list", "--log", "embedded:new/log").stdout


def test_a_directory_of_something_else_is_no_log(settled: Path, choreo: Choreo) -> None:
    """Nothing is put beside what is there."""
    (settled / "typo").mkdir()
    (settled / "typo" / "letter.txt").write_text("dear", encoding="utf-8")
    assert "no log in typo" in choreo("sagas", "list", "--log", TYPO, code=2).stderr
    assert [one.name for one in (settled / "typo").iterdir()] == ["letter.txt"]


def test_the_settings_may_be_mistyped_too(settled: Path, choreo: Choreo) -> None:
    """The error says where the directory was named."""
    (settled / "choreo.toml").write_text(f'{SETTINGS}\n[log]\nurl = "{TYPO}?sync=commit"\n', encoding="utf-8")
    said = choreo("sagas", "list", code=2).stderr
    assert "no log in typo\n  at   choreo.toml:6\n" in said
    assert not (settled / "typo").exists()


def test_what_needs_no_log_goes_on_without_one(settled: Path, choreo: Choreo) -> None:
    """Services are listed by the code alone; a nested saga that nobody has is the mistake that is told."""
    assert "payments" in choreo("services", "list", "--log", TYPO).stdout
    spec = (settled / "order.yaml").read_text(encoding="utf-8")
    (settled / "order.yaml").write_text(f"{spec}  - {{name: ship, saga: shipping@1}}\n", encoding="utf-8")
    said = choreo("services", "list", "--log", TYPO, code=1).stderr
    assert said.startswith("SpecError: ")
    assert "shipping" in said
    assert not (settled / "typo").exists()


def test_doctor_says_that_there_is_no_log_yet(settled: Path, choreo: Choreo) -> None:
    """It looks at all the rest, and makes nothing."""
    rows = map(json.loads, choreo("doctor", "--log", TYPO, "--json").stdout.splitlines())
    found = {row["check"]: row for row in rows}
    assert (found["log"]["state"], found["topics"]["state"]) == ("warn", "warn")
    assert "typo" in found["log"]["says"]
    assert not (settled / "typo").exists()


def test_a_project_that_names_no_log_has_an_empty_one(settled: Path, choreo: Choreo) -> None:
    """Before anything ran there are no sagas, which is no error."""
    assert "no sagas on embedded:.choreo/log" in choreo("sagas", "list").stderr
