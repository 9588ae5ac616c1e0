"""Locks in the authors' tests: a scenario and a simulation keep them as a run does."""

from pathlib import Path

import pytest

from choreo.testing import Scenario, Simulation
from choreo.testing.report import SimulationFailed
from tests.testing import simulated_desk
from tests.testing.simulated_desk import CheckWanted, Filed, FileWanted, Opened, desk, simulation


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that fail are kept below the working directory."""
    monkeypatch.chdir(tmp_path)


def test_a_scenario_keeps_locks_and_does_not_speak_of_them() -> None:
    """The second case of a customer waits; `then` names the events of the authors only."""
    story = Scenario(desk, sagas=[simulated_desk.SPEC]).when(Opened(case="c1", customer="ada"))
    story.then(CheckWanted(case="c1", customer="ada")).when(Opened(case="c2", customer="ada")).then()
    story.then_saga("desk", "c2", "waiting").after(minutes=1).restart()
    assert FileWanted(case="c1", customer="ada") in story.events(FileWanted)
    story.after(minutes=1)
    assert [event.case for event in story.events(Filed)] == ["c1", "c2"]


@pytest.mark.parametrize("seed", range(3))
def test_locks_hold_whatever_strikes(seed: int) -> None:
    """Crashes, lost disks, stalls, delays, duplicates: never two sagas of a customer at once, and each ends."""
    simulation.run(seed)


def test_without_locks_the_simulation_finds_a_clash(tmp_path: Path) -> None:
    """The same desk without isolate_on breaks its promise: it is the locks that keep it."""
    spec = tmp_path / "desk.yaml"
    spec.write_text(simulated_desk.SPEC.read_text(encoding="utf-8").replace("isolate_on: customer\n", ""), "utf-8")
    unlocked = Simulation(desk, sagas=[spec])
    unlocked.workload(simulated_desk.cases)
    unlocked.always(simulated_desk.nobody_clashes)
    with pytest.raises(SimulationFailed, match="nobody_clashes"):
        unlocked.run(0)
