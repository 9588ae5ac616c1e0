"""Simulation: runs from a seed hold what they promise, are the same each time, and find what is wrong."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from choreo import Context, Event, Handler, Service
from choreo.errors import ConfigError
from choreo.record import TopicPartition
from choreo.testing import Faults, Simulation, World
from choreo.testing.faults import Fault
from choreo.testing.promises import CAUSES, ONCE, STORES, TIMERS
from choreo.testing.report import SimulationFailed
from services.shop.inventory.events import StockCounted
from services.shop.world.events import Scripted
from tests.testing import simulated_shop, simulated_till
from tests.testing.planted import BUGS
from tests.testing.simulated_till import Opened, Paid

ROOT = Path(__file__).parents[2]
FEW = range(3)
PROGRAM = """
from services.shop.world.events import Scripted
from tests.testing import simulated_shop, simulated_till
for module in (simulated_shop, simulated_till):
    trial = module.simulation.tried(module.simulation.ordeal(3))
    print(trial.annals.digest(), trial.fate.struck, trial.notes)
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that fail are kept below the working directory."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("seed", FEW)
def test_the_shop_holds(seed: int) -> None:
    """Under crashes, lost disks, stalls, rebalances, delays and duplicates every order ends as it should."""
    simulated_shop.simulation.run(seed)


@pytest.mark.parametrize("seed", [38, 503])
def test_a_count_that_comes_again_puts_nothing_back(seed: int) -> None:
    """Pieces that were held since a shelf was counted stay held where the count comes a second time, 30 s later."""
    simulation = simulated_shop.simulation
    again = {type(one.event) for one in simulation.ordeal(seed).told if one.again}
    assert StockCounted in again
    simulation.run(seed)


@pytest.mark.parametrize("seed", range(25))
def test_the_till_holds(seed: int) -> None:
    """Causes come before effects and inputs before timers, each is taken once, whatever strikes."""
    simulated_till.simulation.run(seed)


def test_a_seed_has_sagas_and_faults() -> None:
    """A run of the shop has 20 sagas, and at least three faults; over a few seeds every kind that it has strikes."""
    kinds: set[str] = set()
    for seed in FEW:
        trial = simulated_shop.simulation.tried(simulated_shop.simulation.ordeal(seed))
        assert len(trial.fate.struck) >= 3
        assert len({str(event) for event in trial.said(Scripted)}) == 20
        kinds |= {fault.kind for fault in trial.fate.struck}
    assert kinds >= {"crash", "wreck", "delay", "leave"}


def test_the_same_seed_is_the_same_run_byte_for_byte() -> None:
    """Every record of every topic is equal, with its offset and time, also in a process with another hash seed."""
    said = {_in_a_process(PROGRAM, PYTHONHASHSEED=seed) for seed in ("0", "4711")}
    assert len(said) == 1
    trial = simulated_shop.simulation.tried(simulated_shop.simulation.ordeal(3))
    assert next(iter(said)).startswith(trial.annals.digest())


def test_another_seed_is_another_run() -> None:
    """Two seeds tell other orders, or strike elsewhere."""
    simulation = simulated_till.simulation
    assert len({simulation.tried(simulation.ordeal(seed)).annals.digest() for seed in range(4)}) == 4


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of the five bugs of a runtime is found within 100 seeds, as what it is."""
    BUGS[bug](monkeypatch)
    simulation = simulated_till.simulation
    found = next(
        (trial.broken for seed in range(100) if (trial := simulation.tried(simulation.ordeal(seed))).broken), None
    )
    assert found is not None
    expected = {
        "no_barrier": {"nobody_is_surprised"},
        "timer_before_backlog": {"only_the_late_are_reminded", TIMERS},
        "store_before_commit": {"everybody_is_served_once", "stores equal the log"},
    }
    if bug in expected:
        assert found.what in expected[bug]


@pytest.mark.parametrize(
    ("bug", "promise"),
    [
        ("no_barrier", CAUSES),
        ("offset_plus_one", ONCE),
        ("timer_before_backlog", TIMERS),
        ("stale_epoch", ONCE),
        ("store_before_commit", STORES),
    ],
)
def test_a_planted_bug_is_found_without_a_word_of_the_user(
    bug: str, promise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the runtime promises is held against the log of each run: every bug breaks a promise within 100 seeds."""
    BUGS[bug](monkeypatch)
    simulation = Simulation(simulated_till.kitchen, simulated_till.till, faults=Faults(crash=0.02, stall=0.01))
    simulation.workload(simulated_till.guests)
    found = next(
        (trial.broken for seed in range(100) if (trial := simulation.tried(simulation.ordeal(seed))).broken), None
    )
    assert found is not None
    assert found.what == promise


def test_a_failing_seed_leaves_a_short_file_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file has a few events and the fault, and breaks the same; the story is shown with the fault in its place."""
    BUGS["store_before_commit"](monkeypatch)
    with pytest.raises(SimulationFailed) as failed:
        _run_all(range(100))
    kept = simulated_till.simulation.kept(failed.value.file)
    assert len(kept.told) == 1, "one order is enough"
    assert kept.faults is not None
    assert [fault.kind for fault in kept.faults] in (["crash"], ["stall"])
    said = str(failed.value)
    assert "everybody_is_served_once does not hold at 2026-03-02T12:" in said
    assert " events and 1 of " in said
    assert "Opened(tab=" in said
    assert "CRASH at checkpoint" in said or "STALL at checkpoint" in said
    assert f"--choreo-from {failed.value.file}" in said
    with pytest.raises(SimulationFailed, match="everybody_is_served_once") as again:
        simulated_till.simulation.replay(failed.value.file)
    assert str(again.value) == said.replace(*_counts(said, str(again.value)))
    monkeypatch.undo()


def _run_all(seeds: range) -> None:
    for seed in seeds:
        simulated_till.simulation.run(seed)


def _counts(said: str, again: str) -> tuple[str, str]:
    """The line that says of how much the short run is what is left: it differs between the first time and a replay."""
    first, second = (next(line for line in text.splitlines() if line.startswith("Seed ")) for text in (said, again))
    return first, second


def test_replaying_all_that_struck_is_the_very_run(tmp_path: Path) -> None:
    """A run from the list of its own faults has the same digest as the run from dice."""
    simulation = simulated_shop.simulation
    trial = simulation.tried(simulation.ordeal(1))
    file = tmp_path / "run.json"
    trial.ordeal.having(trial.ordeal.told, tuple(trial.fate.struck)).write(file)
    again = simulation.tried(simulation.kept(file))
    assert again.annals.digest() == trial.annals.digest()
    assert again.fate.struck == trial.fate.struck


def test_without_faults_nothing_strikes() -> None:
    """Faults.none() is a calm run."""
    calm = Simulation(simulated_till.kitchen, simulated_till.till, faults=Faults.none())
    calm.workload(simulated_till.guests)
    trial = calm.tried(calm.ordeal(0))
    assert trial.broken is None
    assert trial.fate.struck == []


def test_what_comes_again_is_the_same_event() -> None:
    """A duplicate has the ids and the bytes of the first time."""
    twice = Simulation(simulated_till.kitchen, faults=Faults(duplicate=1, crash=0))
    twice.workload(simulated_till.guests)
    trial = twice.tried(twice.ordeal(0))
    bodies: dict[bytes, list[tuple[bytes | None, object]]] = {}
    for number in range(trial.ordeal.partitions):
        for record in trial.annals.records(TopicPartition("till.payments", number)):
            bodies.setdefault(record.key or b"", []).append((record.value, record.headers))
    assert bodies
    assert all(len(both) == 2 and both[0] == both[1] for both in bodies.values())


class Asked(Event, namespace="bank", topic="bank.asked", key="name"):
    """Please charge."""

    name: str


class Charged(Event, namespace="bank", topic="bank.charged", key="name"):
    """It was charged."""

    name: str


class FakeBank:
    """Charges once a key."""

    def __init__(self) -> None:
        self.charged: dict[str, int] = {}

    def charge(self, key: str, name: str) -> str:
        self.charged[key] = self.charged.get(key, 0) + 1
        return name


class Charge(Handler[Asked]):
    """Asks the bank."""

    bank: FakeBank

    def handle(self, asked: Asked, ctx: Context) -> Charged:
        return Charged(name=ctx.call("charge", self.bank.charge, asked.name))


def ask_twenty(random: Random) -> Iterator[tuple[timedelta, Event]]:
    for number in range(20):
        yield timedelta(seconds=1), Asked(name=f"n{number}")


def test_lost_outcomes_and_failing_calls() -> None:
    """A call whose outcome is lost was made, one that fails was not; what the bank remembers outlives every crash."""
    for share, made in (({"call_fails": 1.0}, 0), ({"call_outcome_lost": 1.0}, 20)):
        bank = FakeBank()
        faults = Faults(**(dict.fromkeys(("call_fails", "call_outcome_lost", "call_slow", "crash"), 0.0) | share))
        simulation = Simulation(Service("bank", handlers=[Charge]).using(bank=bank), faults=faults)
        simulation.workload(ask_twenty)
        seen: list[int] = []
        simulation.at_rest(lambda world, bank=bank, seen=seen: seen.append(len(bank.charged)))  # type: ignore[misc]  # bound in the loop
        simulation.run(0)
        assert seen[0] >= made if made else seen == [0]
        assert bank.charged == {}, "a fake that is given as an object is set back after the run"


def test_a_crash_in_a_call_makes_it_again_under_the_same_key() -> None:
    """A worker that dies after a call makes it again: the bank sees the key twice and knows it."""
    bank = FakeBank()
    simulation = Simulation(
        Service("bank", handlers=[Charge]).using(bank=bank),
        faults=Faults(crash=0.1, duplicate=0, call_fails=0, call_outcome_lost=0),
    )
    simulation.workload(ask_twenty)
    most: list[int] = []
    simulation.at_rest(lambda world: most.append(max(bank.charged.values())))
    for seed in range(8):
        world = simulation.run(seed)
        assert sorted(event.name for event in world.events(Charged)) == sorted(f"n{number}" for number in range(20))
    assert max(most) > 1


def test_an_invariant_that_stumbles_is_a_failure_with_its_error() -> None:
    """An error in a check is told as what it is, with the check's name."""
    simulation = Simulation(simulated_till.kitchen, faults=Faults.none())
    simulation.workload(simulated_till.guests)

    @simulation.at_rest
    def there_is_a_fortieth_tab(world: World) -> None:
        world.events(Opened)[40]

    with pytest.raises(SimulationFailed, match=r"there_is_a_fortieth_tab does not hold at .*: IndexError") as failed:
        simulation.run(0)
    assert isinstance(failed.value.__cause__, IndexError)


def test_a_shorter_run_breaks_as_the_whole_did() -> None:
    """Where less is left than an invariant needs to be asked at all, its error is another finding: not that little."""
    simulation = Simulation(simulated_till.kitchen, faults=Faults.none())
    simulation.workload(simulated_till.guests)

    @simulation.at_rest
    def the_third_is_nobody(world: World) -> None:
        assert world.events(Opened)[2].tab == ""

    with pytest.raises(SimulationFailed, match="the_third_is_nobody does not hold") as failed:
        simulation.run(0)
    assert isinstance(failed.value.__cause__, AssertionError)
    assert len(simulation.kept(failed.value.file).told) == 3


def test_mistakes_are_said() -> None:
    """Shares beyond 1, a simulation without a workload, partitions of none, and files of something else."""
    with pytest.raises(ConfigError, match=r"Faults\(crash=2\)"):
        Faults(crash=2)
    with pytest.raises(ConfigError, match="without a workload"):
        Simulation(simulated_till.kitchen).run(0)
    with pytest.raises(ConfigError, match=r"workers=\(0,\)"):
        Simulation(simulated_till.kitchen, workers=(0,))
    wrong = Simulation(simulated_till.kitchen)
    wrong.workload(simulated_till.guests)
    wrong.at_rest(lambda world: print(world.store(simulated_till.KeepTab.tabs)))
    with pytest.raises(ConfigError, match="none of these services keeps the store 'tabs'"):
        wrong.run(0)
    Path("x.json").write_text('{"choreo_simulation": 2}', encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no run of a simulation"):
        simulated_till.simulation.replay(Path("x.json"))
    with pytest.raises(ConfigError, match="can't be read"):
        simulated_till.simulation.replay(Path("y.json"))


def test_a_file_reads_back_as_it_was(tmp_path: Path) -> None:
    """Events and faults survive the file."""
    simulation = simulated_till.simulation
    ordeal = simulation.ordeal(5)
    ordeal = ordeal.having(ordeal.told, (Fault("crash", "checkpoint", "till.0", 3, "begun", 1500),))
    ordeal.write(tmp_path / "deep" / "run.json")
    assert simulation.kept(tmp_path / "deep" / "run.json") == ordeal
    assert any(isinstance(one.event, Paid) for one in ordeal.told)


def _in_a_process(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
