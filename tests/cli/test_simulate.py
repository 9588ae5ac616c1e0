"""`choreo simulate`, and the option of pytest that replays what it left."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Choreo
from tests.testing.test_plugin import run

SIMULATED = """
from datetime import timedelta
from multiprocessing import parent_process
from choreo import Context, Event, Handler, Service, Store
from choreo.testing import Faults, Simulation

class Ordered(Event, namespace="bar", topic="bar.orders", key="seat"):
    seat: str
class Served(Event, namespace="bar", topic="bar.served", key="seat"):
    seat: str
class Serve(Handler[Ordered]):
    drinks = Store[str, int](default=0)
    def handle(self, order: Ordered, ctx: Context) -> Served:
        self.drinks[order.seat] += 1
        return Served(seat=order.seat)

def simulated(most):
    made = Simulation(Service("bar", handlers=[Serve]), faults=Faults(duplicate=1))
    @made.workload
    def guests(random):
        for number in range(5):
            yield timedelta(seconds=random.randint(1, 9)), Ordered(seat=f"s{number}")
    @made.at_rest
    def nobody_drinks_too_much(world):
        assert all(count <= most for count in world.store(Serve.drinks).values()), world.store(Serve.drinks)
    return made

wet = simulated(2)
dry = simulated(1)
moody = simulated(2)
@moody.at_rest
def nobody_shares(world):
    assert parent_process() is None
def test_dry(seed):
    dry.run(seed)
"""


@pytest.fixture
def bar(directory: Path) -> Path:
    """A directory with bar.py."""
    (directory / "bar.py").write_text(SIMULATED, encoding="utf-8")
    return directory


def test_a_simulation_that_holds(bar: Path, choreo: Choreo) -> None:
    """One line, exit code 0; with --json what was run."""
    assert choreo("simulate", "bar:wet", "--seeds", "4").stdout == "everything holds in 4 runs from seed 0\n"
    row = json.loads(choreo("simulate", "bar:wet", "--seed", "7", "--json").stdout)
    assert (row["holds"], row["runs"]) == (True, 1)
    assert not (bar / ".choreo").exists()


def test_one_that_does_not_hold_leaves_what_replays_it(bar: Path, choreo: Choreo) -> None:
    """Exit code 1, the story, and a file; --from shows the same again, and so does pytest."""
    said = choreo("simulate", "bar.py:dry", "--seed", "3", "--seeds", "2", code=1).stdout
    file = Path(".choreo/simulations/seed-3.json")
    assert said.startswith("nobody_drinks_too_much does not hold at 2026-03-02T12:")
    assert "(again)" in said
    assert "2 of 10 events and 0 of " in said
    assert f"choreo simulate bar.py:dry --from {file}" in said
    assert len(json.loads(file.read_text(encoding="utf-8"))["told"]) == 2
    row = json.loads(choreo("simulate", "bar:dry", "--from", str(file), "--json", code=1).stdout)
    assert (row["holds"], row["seed"], row["what"]) == (False, 3, "nobody_drinks_too_much")
    assert "2 of 2 events and 0 of 0 faults are enough" in row["story"]
    by_pytest = run(bar, SIMULATED, "--choreo-from", str(file), "--rootdir=.")
    assert "1 failed" in by_pytest
    assert "2 of 2 events and 0 of 0 faults are enough" in by_pytest


def test_runs_shared_among_processes_are_told_as_by_one(bar: Path, choreo: Choreo) -> None:
    """With --processes 2 the words and the exit code are those of one process, and the first seed that fails leaves the
    only file, the same one.
    """
    held = ("simulate", "bar:wet", "--seeds", "3")
    assert choreo(*held, "--processes", "2").stdout == choreo(*held).stdout
    fails = ("simulate", "bar.py:dry", "--seeds", "5", "--seed", "2")
    alone = choreo(*fails, code=1).stdout
    (file,) = Path(".choreo/simulations").iterdir()
    kept = file.read_bytes()
    file.unlink()
    assert choreo(*fails, "--processes", "2", code=1).stdout == alone
    assert [one.name for one in Path(".choreo/simulations").iterdir()] == ["seed-2.json"]
    assert file.read_bytes() == kept


def test_a_run_that_differs_between_processes_is_told(bar: Path, choreo: Choreo) -> None:
    """A seed that breaks in one process and holds in another is no finding about the services: exit code 2."""
    said = choreo("simulate", "bar:moody", "--seeds", "2", "--processes", "2", code=2).stderr
    assert "the run of seed 0 did not hold in one process and holds in another" in said


def test_mistakes_are_said(bar: Path, choreo: Choreo) -> None:
    """A module with two, an attribute that is none, a seed beside a file, a file that is none: exit code 2."""
    assert "bar:NAME, one of wet, dry, moody" in choreo("simulate", "bar", code=2).stderr
    assert "bar:Serve is no simulation" in choreo("simulate", "bar:Serve", code=2).stderr
    assert "it takes no seed" in choreo("simulate", "bar:dry", "--from", "bar.py", "--seed", "1", code=2).stderr
    assert "bar.py holds no run of a simulation" in choreo("simulate", "bar:dry", "--from", "bar.py", code=2).stderr
    assert "--choreo-from: bar.py holds no run" in run(bar, SIMULATED, "--choreo-from", "bar.py", "--rootdir=.")
