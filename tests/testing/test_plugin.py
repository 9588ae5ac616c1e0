"""The pytest plugin, in projects of their own: what its fixtures give, and what it costs who does not use them."""

import os
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import EntryPoint
from pathlib import Path

import choreo.testing.plugin

ROOT = Path(__file__).parents[2]

SHOP = """
from choreo import Context, Event, Handler, Service, Store

class OrderEvent(Event, namespace="shop", topic="orders", key="order_id", abstract=True):
    order_id: str
class OrderPlaced(OrderEvent): ...
class StockReserved(OrderEvent): ...

class ReserveStock(Handler[OrderPlaced]):
    reserved = Store[str, bool]()
    def handle(self, order: OrderPlaced, ctx: Context) -> StockReserved:
        self.reserved[order.order_id] = True
        return StockReserved(order_id=order.order_id)

inventory = Service("inventory", handlers=[ReserveStock])
"""
SAGA = """
{saga: order, version: 1, namespace: shop, starts_on: OrderPlaced, correlate_by: order_id, within: 1m, steps: [
  {name: reserve, completes_on: StockReserved, compensate: none}]}
"""

SETTINGS = """
from choreo import Context, Event, Handler, Service, Settings

class TillEvent(Event, namespace="shop", topic="till", key="customer", abstract=True):
    customer: str
class Asked(TillEvent): ...
class Answered(TillEvent):
    greeting: str
class TillSettings(Settings):
    greeting: str
    token: str
class Till:
    def __init__(self, greeting: str, token: str) -> None:
        self.says = f"{greeting} {token}"
def open_till(settings: TillSettings) -> Till:
    return Till(settings.greeting, settings.token)
class Greet(Handler[Asked]):
    till: Till
    def handle(self, asked: Asked, ctx: Context) -> Answered:
        return Answered(customer=asked.customer, greeting=self.till.says)

till = Service("till", handlers=[Greet], settings=TillSettings, provide={"till": open_till})
"""


def run(directory: Path, test: str, *options: str) -> str:
    """What pytest says of this test, alone in a directory, with the plugin loaded."""
    (directory / "test_it.py").write_text(test, encoding="utf-8")
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-p", "choreo.testing.plugin", "-p", "no:cacheprovider", "-v", *options]
    done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_the_entry_point_names_the_plugin() -> None:
    """pytest finds the plugin by what pyproject.toml says."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = project["entry-points"]["pytest11"]["choreo"]
    assert EntryPoint("choreo", named, "pytest11").load() is choreo.testing.plugin


def test_an_installed_wheel_brings_its_plugin(tmp_path: Path) -> None:
    """Where Choreo is installed, pytest knows its options and fixtures, and warns of nothing."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    with zipfile.ZipFile(next(tmp_path.glob("choreo-*.whl"))) as packed:
        packed.extractall(tmp_path / "site")
    (tmp_path / "test_it.py").write_text("def test_it(seed, pytestconfig): assert seed == 7\n", encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-W", "error", "--choreo-seed", "7", "-p", "no:cacheprovider", "test_it.py"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_scenario_is_the_project(tmp_path: Path) -> None:
    """The fixture has all services and sagas of choreo.toml."""
    (tmp_path / "choreo.toml").write_text('[project]\nservices = ["shop"]\nsagas = "*.yaml"\n', encoding="utf-8")
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "order.yaml").write_text(SAGA, encoding="utf-8")
    test = """
def test_orders(scenario):
    from shop import OrderPlaced, StockReserved
    scenario.when(OrderPlaced(order_id="o1")).then(StockReserved(order_id="o1")).then_saga("order", "o1", "completed")

def test_a_failure_points_at_the_line_of_the_test(scenario):
    scenario.then_saga("order", "o1", "completed")
"""
    said = run(tmp_path, test)
    assert "1 failed, 1 passed" in said
    assert '>       scenario.then_saga("order", "o1", "completed")' in said
    assert "there is no saga order o1" in said
    assert "performance.fail(" not in said, "the plumbing is hidden"


def test_scenario_has_the_settings_of_the_project(tmp_path: Path) -> None:
    """A service gets [settings.X] and its variables as it does live; without them the error says where they go; a test
    that replaces what needs them sets none.
    """
    (tmp_path / "shop.py").write_text(SETTINGS, encoding="utf-8")
    (tmp_path / "choreo.toml").write_text(
        '[project]\nservices = ["shop.py"]\n[settings.till]\ngreeting = "servus"\n', encoding="utf-8"
    )
    test = """
from shop import Asked, Answered, Till
def test_live(scenario, monkeypatch):
    monkeypatch.setenv("TILL_TOKEN", "t")
    scenario.when(Asked(customer="c")).then(Answered(customer="c", greeting="servus t"))
def test_replaced(scenario):
    scenario.using(till=Till("moin", "-")).when(Asked(customer="c")).then(Answered(customer="c", greeting="moin -"))
def test_missing(scenario):
    scenario.when(Asked(customer="c"))
"""
    said = run(tmp_path, test)
    assert "1 failed, 2 passed" in said
    assert "settings of till: token: Field required" in said
    assert "try  set TILL_TOKEN, or the field in [settings.till]" in said


def test_without_a_project_the_fixture_says_what_it_needs(tmp_path: Path) -> None:
    """A directory without choreo.toml gets the cure, not a traceback of ours."""
    assert "the fixture scenario needs a project" in run(tmp_path, "def test_it(scenario): ...", "--rootdir=.")


def test_seed_runs_a_test_for_each_seed(tmp_path: Path) -> None:
    """`seed` counts from 0 to N-1, or is the one that was asked for; a test's own parameters go first."""
    test = """
import pytest
def test_it(seed): assert seed != 2
@pytest.mark.parametrize("seed", ["own"])
def test_own(seed): assert seed == "own"
"""
    said = run(tmp_path, test, "--choreo-seeds", "4")
    assert "1 failed, 4 passed" in said
    assert "test_it.py::test_it[2] FAILED" in said
    assert "1 failed, 1 passed" in run(tmp_path, test, "--choreo-seed", "2")
    assert "1 failed, 25 passed" in run(tmp_path, test)
    assert "--choreo-seeds: at least 1" in run(tmp_path, test, "--choreo-seeds", "0")


def test_nothing_is_imported_until_it_is_used(tmp_path: Path) -> None:
    """A pytest run that uses none of the fixtures pays for no pydantic, no Avro and no scenario."""
    test = """
import sys
def test_it():
    ours = {name for name in sys.modules if name.partition(".")[0] in ("choreo", "pydantic", "fastavro")}
    assert ours == {"choreo", "choreo.testing", "choreo.testing.plugin"}
"""
    assert "1 passed" in run(tmp_path, test)


def test_scenarios_need_no_pytest() -> None:
    """choreo.testing works where pytest is not installed."""
    program = """
import sys
sys.modules["pytest"] = None
from choreo.testing import Like, Scenario, Value, World, like
import choreo.testing
assert set(choreo.testing.__all__) <= set(dir(choreo.testing))
assert Scenario(partitions=(1,)).after(days=1).events(Value) == []
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
