"""`choreo check` over whole projects: what is on a log, in the settings, and for code hosts."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from choreo.demo.shop import CHECKOUT, SERVICES
from tests.cli.conftest import Choreo, process
from tests.cli.test_check import SETTINGS, replaced

LOG = "embedded:.choreo/log"
WATCH = '''
"""A service with two inputs."""

from choreo import Context, Downstream, Event, Handler, Service, Settings


class Trip(Event, namespace="two", topic="trips", key="place"):
    place: str


class Weather(Event, namespace="two", topic="weather", key="place"):
    place: str


class Watch(Handler[Trip | Weather]):
    bank = Downstream("bank")

    def handle(self, event: Trip | Weather, ctx: Context) -> None: ...


class WatchSettings(Settings):
    limit: int = 1


watch = Service("watch", handlers=[Watch], settings=WatchSettings)
'''


@pytest.fixture
def checked(project: Path) -> Path:
    """A project that is all right."""
    (project / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
    return project


@pytest.fixture
def watching(directory: Path) -> Path:
    """A project with one service that reads two topics from outside."""
    (directory / "watch.py").write_text(WATCH, encoding="utf-8")
    text = '[project]\nservices = ["watch"]\noutside = ["two.Trip", "two.Weather"]\n'
    (directory / "choreo.toml").write_text(text, encoding="utf-8")
    return directory


def rows(said: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.splitlines()]


def messages(said: str) -> list[tuple[str, str]]:
    return [(row["code"], row["message"]) for row in rows(said)]


def started(choreo: Choreo) -> None:
    """One order whose payment nobody answers: its saga waits."""
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=0", "--log", LOG)
    choreo("run", "--until-idle", "--log", LOG)


def test_warnings_fail_only_a_strict_check(checked: Path, choreo: Choreo) -> None:
    """A warning is said and exits with 0; with --strict with 1."""
    replaced(checked / "shop.py", "-> StockReserved:", "-> StockReserved | StockReleased:")
    result = choreo("check")
    says = "ReserveStock.handle names StockReleased, and no return gives it"
    assert f"shop.py:33: warning[never-returned]: {says}" in result.stdout
    assert "2 services, 1 saga, 6 events: 1 warning" in result.stderr
    choreo("check", "--strict", code=1)


def test_json_has_the_place_in_parts(checked: Path, choreo: Choreo) -> None:
    """One object a finding, with file, line and column apart, the file as seen from here."""
    replaced(checked / "order.yaml", "fails_on: PaymentDeclined", "fails_on: PaymentDeclind")
    assert rows(choreo("check", "--json", code=1).stdout) == [
        {
            "code": "unknown-event",
            "severity": "error",
            "message": "there is no event shop.PaymentDeclind",
            "at": "order.yaml:14:15",
            "file": "order.yaml",
            "line": 14,
            "column": 15,
            "cure": "did you mean PaymentDeclined?",
        }
    ]


def test_a_sarif_file_for_code_hosts(checked: Path, choreo: Choreo) -> None:
    """--sarif writes the findings beside what is printed, with paths that begin at the project."""
    choreo("check", "--sarif", "found.sarif")
    assert json.loads((checked / "found.sarif").read_text(encoding="utf-8"))["runs"][0]["results"] == []
    replaced(checked / "order.yaml", "fails_on: PaymentDeclined", "fails_on: PaymentDeclind")
    assert "unknown-event" in choreo("check", "--sarif", "found.sarif", code=1).stdout
    (run,) = json.loads((checked / "found.sarif").read_text(encoding="utf-8"))["runs"]
    (result,) = run["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "order.yaml"},
        "region": {"startLine": 14, "startColumn": 15, "endColumn": 29},
    }
    assert "there is no directory no/such" in choreo("check", "--sarif", "no/such/found.sarif", code=2).stderr


def test_a_changed_spec_under_a_deployed_number(checked: Path, choreo: Choreo) -> None:
    """With the log, another content under a deployed version is an error, with the next free number."""
    started(choreo)
    assert messages(choreo("check", "--json", "--log", LOG).stdout) == []
    replaced(checked / "order.yaml", "within: 1h", "within: 2h")
    (row,) = rows(choreo("check", "--json", "--log", LOG, code=1).stdout)
    assert (row["code"], row["at"], row["cure"]) == ("version-taken", "order.yaml:3:10", "version: 2")
    choreo("check")
    replaced(checked / "order.yaml", "version: 1", "version: 2")
    choreo("check", "--log", LOG)


def test_a_spec_that_goes_strands_its_instances(checked: Path, choreo: Choreo) -> None:
    """With the log, a saga that the project no longer has is an error as long as instances of it are under way."""
    started(choreo)
    (checked / "order.yaml").unlink()
    says = "1 instance of saga order (o1) would be followed by nobody: the project has no spec of it"
    assert ("strands-instances", says) in messages(choreo("check", "--json", "--log", LOG, code=1).stdout)
    assert "strands-instances" not in choreo("check").stdout


def test_a_spec_that_strands_its_instances_says_where_they_can_go(checked: Path, choreo: Choreo) -> None:
    """With the log, their own events are folded under the new version: who would be taken over, and how."""
    started(choreo)
    replaced(
        checked / "shop.py", "class PaymentDeclined", "class PaymentBooked(OrderEvent): ...\n\n\nclass PaymentDeclined"
    )
    replaced(checked / "shop.py", "PaymentTaken | PaymentDeclined | None", "PaymentBooked | PaymentDeclined | None")
    replaced(checked / "shop.py", "(PaymentTaken if", "(PaymentBooked if")
    replaced(checked / "order.yaml", "completes_on: PaymentTaken", "completes_on: PaymentBooked")
    replaced(checked / "order.yaml", "version: 1", "version: 2")
    said = process("check", "--json", "--log", LOG).communicate(timeout=60)[0]  # this one has the old code loaded
    found = [row for row in rows(said) if row["severity"] == "error"]
    who = "1 instance of saga order (o1) could not go on with version 1"
    assert [(row["message"], row["cure"]) for row in found] == [
        (
            f"{who}: no handler returns shop.PaymentTaken; under version 2: 1 safe",
            "choreo sagas migrate order --to 2, once it is deployed",
        )
    ]
    process("sagas", "deploy", "--log", LOG).communicate(timeout=60)
    order = ("sagas", "migrate", "order", "--to", "2", "--dry-run", "--json", "--log", LOG)
    assert [row["outcome"] for row in rows(process(*order).communicate(timeout=60)[0])] == ["safe"]


def test_counts_of_the_settings_and_of_the_log(watching: Path, choreo: Choreo) -> None:
    """Inputs that the settings cut differently are found at their line; those of the log with --log."""
    choreo("check", "--strict")
    toml = watching / "choreo.toml"
    sound = toml.read_text(encoding="utf-8")
    toml.write_text(sound + "[topics.trips]\npartitions = 3\n[topics.weather]\npartitions = 6\n", encoding="utf-8")
    (row,) = rows(choreo("check", "--json", code=1).stdout)
    assert (row["code"], row["at"]) == ("not-co-partitioned", "choreo.toml:5")
    toml.write_text(sound, encoding="utf-8")
    choreo("topics", "create", "trips", "--partitions", "2", "--log", LOG)
    choreo("topics", "create", "weather", "--partitions", "4", "--log", LOG)
    says = "the inputs of service watch have different numbers of partitions: trips 2, weather 4"
    assert messages(choreo("check", "--json", "--log", LOG, code=1).stdout) == [("not-co-partitioned", says)]
    choreo("check")


def test_names_in_the_settings(watching: Path, choreo: Choreo) -> None:
    """Sections named for nobody are found at their line, with the name that was meant."""
    more = "[downstreams.bnak]\ntimeout_s = 3\n[topics.wether]\npartitions = 3\n[settings.wacth]\nlimit = 3\n"
    replaced(watching / "choreo.toml", '"two.Weather"]\n', f'"two.Weather"]\n{more}')
    found = rows(choreo("check", "--json", code=1).stdout)
    assert [(row["code"], row["at"], row["cure"]) for row in found] == [
        ("unknown-downstream", "choreo.toml:5", "did you mean bank?"),
        ("unknown-topic", "choreo.toml:7", "did you mean weather?"),
        ("unknown-settings", "choreo.toml:9", "did you mean watch?"),
    ]


def test_the_sample_shop_is_clean(directory: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shop has not even a warning, once its three events from the outside world are named."""
    for name in [name for name in sys.modules if name.startswith("services.purchasing")]:
        monkeypatch.delitem(sys.modules, name)  # of the same package, where an earlier test has loaded it
    entries = ", ".join(f'"services.shop.{name}"' for name in SERVICES)
    outside = '"shop.Scripted", "shop.StockCounted", "shop.ChargeDeclined"'
    text = f'[project]\nservices = [{entries}]\nschemas = "{CHECKOUT}/schemas"\noutside = [{outside}]\n'
    (directory / "choreo.toml").write_text(text, encoding="utf-8")
    (directory / "saga_specs").symlink_to(CHECKOUT / "saga_specs")
    assert "6 services, 1 saga, 33 events: all of it fits" in choreo("check", "--strict").stderr
    choreo("check", "demo", "--strict")


def test_the_starter_is_clean(directory: Path, choreo: Choreo) -> None:
    """What `choreo init` writes has not even a warning."""
    choreo("init", "made")
    choreo("check", "--strict", "--config", "made/pyproject.toml")


def test_calendars_that_specs_share(checked: Path, choreo: Choreo) -> None:
    """`calendars.yaml` beside the specs is no spec; a run goes by it, and a change of it is one of theirs."""
    office = (
        "calendars:\n  office: {zone: Europe/Berlin, open: '* 9-16 * * mon-fri', closed: [2026-12-24..2026-12-31]}\n"
    )
    (checked / "calendars.yaml").write_text(office, encoding="utf-8")
    replaced(checked / "order.yaml", "within: 1h", "within: 1h\ncalendar: office")
    assert "2 services, 1 saga, 6 events: all of it fits" in choreo("check").stderr
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=50")
    choreo("run", "--until-idle")
    assert json.loads(choreo("sagas", "list", "--json").stdout)["status"] == "completed"
    replaced(checked / "calendars.yaml", "9-16", "8-17")
    found = json.loads(choreo("check", "--log", LOG, "--json", code=1).stdout)
    assert (found["code"], found["cure"]) == ("version-taken", "version: 2")
    replaced(checked / "calendars.yaml", "Europe/Berlin", "Europe/Berlinn")
    said = choreo("check", code=1).stdout
    assert "order.yaml:8:11: error[shared-calendars]: calendars.yaml:2:18: there is no time zone Europe/Berlinn" in said


def test_a_spec_is_checked_alone_with_the_events_of_its_project(checked: Path, choreo: Choreo) -> None:
    """`choreo check SPEC` knows the events of the project's services; one that can't be loaded is told."""
    assert choreo("check", "order.yaml").stderr.splitlines()[-1] == "0 services, 1 saga, 6 events: all of it fits"
    replaced(checked / "choreo.toml", "services = [", 'services = ["no_such_module", ')
    assert "no_such_module" in choreo("check", "order.yaml", code=1).stdout
