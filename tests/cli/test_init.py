"""`choreo init`: the project that it makes runs, types and passes its own tests, whatever it is called."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from choreo.cli.init import FILES
from tests.cli.conftest import ROOT, Choreo

STARTER = ROOT / "starter"


def tool(project: Path, *arguments: str) -> str:
    """What a tool says that is run in the project, as its user runs it; choreo is this checkout's."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MYPYPATH": str(ROOT), "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=project, env=environment, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def made(directory: Path, choreo: Choreo) -> Path:
    """A new project called box_office."""
    choreo("init", "Box-Office")
    return directory / "Box-Office"


def test_a_new_project_is_small_and_carries_its_name(made: Path) -> None:
    """Nine files, named after the directory, in which nothing of the starter's name is left."""
    files = {path.relative_to(made).as_posix(): path.read_text() for path in made.rglob("*") if path.is_file()}
    assert len(files) == len(FILES) == 9
    assert {"box_office/events.py", "saga_specs/booking.yaml", "tests/test_booking.py", ".gitignore"} <= set(files)
    assert "starter" not in "".join(files) + "".join(files.values())


def test_a_new_project_passes_its_own_tests(made: Path) -> None:
    """Its five stories pass as they are, on one and on five partitions."""
    assert "5 passed" in tool(made, "pytest", "-p", "no:cacheprovider")


def test_the_tests_of_a_new_project_can_fail(made: Path) -> None:
    """A bug in its code fails them: seats that are not given back."""
    seats = made / "box_office" / "seats.py"
    seats.write_text(seats.read_text().replace("self.held.pop(request.booking_id, 0)", "0"))
    with pytest.raises(AssertionError, match="2 failed, 3 passed"):
        tool(made, "pytest", "-p", "no:cacheprovider")


def test_a_new_project_fits_together(made: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """`choreo check` finds nothing; a booking runs through both services and the saga on the embedded log."""
    monkeypatch.chdir(made)
    assert "2 services, 1 saga" in choreo("check").stderr
    choreo("emit", "box_office.events:BookingRequested", "booking_id=b1", "seats=2", "price=80.00")
    choreo("emit", "box_office.events:BookingRequested", "booking_id=b2", "seats=2", "price=800.00")
    choreo("run", "--until-idle")
    rows = [json.loads(line) for line in choreo("sagas", "list", "--json").stdout.splitlines()]
    assert {row["key"]: row["status"] for row in rows} == {"b1": "completed", "b2": "compensated"}
    assert choreo("replay", "verify").stdout.count("clean") == 3


@pytest.mark.slow
@pytest.mark.xdist_group("typing")
def test_a_new_project_types_and_is_tidy(made: Path) -> None:
    """`mypy` with the project's own strict settings, and ruff's rules and format, find nothing."""
    assert "no issues found in 5 source files" in tool(made, "mypy", "--cache-dir", str(ROOT / ".mypy_cache" / "init"))
    tool(made, "ruff", "check", "--no-cache")
    tool(made, "ruff", "format", "--check", "--no-cache")


def test_the_starter_is_written_whole() -> None:
    """What lies in the starter is what `init` writes."""
    lies = [path.relative_to(STARTER).as_posix() for path in STARTER.rglob("*") if path.is_file()]
    own = [name for name in lies if not any(part.startswith((".", "__pyc")) for part in name.split("/")[:-1])]
    assert sorted(own) == sorted(FILES)


def test_nothing_is_overwritten(directory: Path, choreo: Choreo) -> None:
    """A directory in which something lies is refused, and left as it was."""
    (directory / "mine").mkdir()
    (directory / "mine" / "thesis.txt").write_text("years of work")
    said = choreo("init", "mine", code=2).stderr
    assert "mine is not empty" in said
    assert "it holds thesis.txt; nothing was written" in said
    assert [path.name for path in (directory / "mine").iterdir()] == ["thesis.txt"]
    (directory / "file").touch()
    assert "file is a file" in choreo("init", "file", code=2).stderr


def test_a_fresh_repository_is_empty(directory: Path, choreo: Choreo) -> None:
    """`git init; choreo init` works: .git is not in the way, and DIR is the current directory."""
    (directory / "bookings" / ".git").mkdir(parents=True)
    os.chdir(directory / "bookings")
    said = choreo("init")
    assert "made the project bookings" in said.stderr
    assert "cd " not in said.stderr
    assert (directory / "bookings" / "bookings" / "seats.py").is_file()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("2nd", "'2nd' can't be the name"),
        ("class", "'class' can't be the name"),
        ("bücher", "can't be the name"),
        ("json", "json is taken"),
        ("tests", "tests is taken"),
        ("pydantic", "pydantic is taken"),
    ],
)
def test_a_name_that_can_not_work_is_refused(directory: Path, choreo: Choreo, name: str, says: str) -> None:
    """No identifier, a keyword, or the name of another module: said before anything is written."""
    assert says in choreo("init", "new", "--name", name, code=2).stderr
    assert not (directory / "new").exists()


def test_listed_as_json(directory: Path, choreo: Choreo) -> None:
    """With --json one line a file on stdout, for programs."""
    lines = choreo("init", "new", "--name", "shop", "--json").stdout.splitlines()
    assert [json.loads(line)["file"] for line in lines][3] == str(Path("new", "shop", "__init__.py"))
