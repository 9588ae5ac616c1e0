"""`choreo check` and `choreo doctor` find what is planted, say where it stands and what to do."""

import json
from pathlib import Path

import pytest

from choreo.errors import LogUnavailableError
from tests.cli.conftest import Choreo

SETTINGS = '[project]\nservices = ["shop"]\nsagas = "*.yaml"\n'


@pytest.fixture
def checked(project: Path) -> Path:
    """A project that is all right."""
    (project / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
    return project


def replaced(path: Path, old: str, new: str) -> None:
    """Plant a fault in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_sound_project_passes(checked: Path, choreo: Choreo) -> None:
    """Nothing found: exit code 0, nothing on stdout, a count of what was looked at."""
    result = choreo("check")
    assert result.stdout == ""
    assert "2 services, 1 saga, 6 events: all of it fits" in result.stderr


def test_an_unknown_event_in_a_spec_has_its_place(checked: Path, choreo: Choreo) -> None:
    """A misspelt event is found at file:line:column, with the one that was meant."""
    replaced(checked / "order.yaml", "fails_on: PaymentDeclined", "fails_on: PaymentDeclind")
    said = choreo("check", code=1).stdout
    assert "order.yaml:14:15" in said
    assert "PaymentDeclined" in said


def test_an_event_that_nobody_emits_is_found(checked: Path, choreo: Choreo) -> None:
    """A saga that waits for an event which no handler returns would wait for ever."""
    replaced(checked / "shop.py", "PaymentTaken | PaymentDeclined | None", "PaymentDeclined | None")
    rows = [json.loads(line) for line in choreo("check", "--json", code=1).stdout.splitlines()]
    assert [(row["code"], row["message"]) for row in rows] == [
        ("nobody-emits", "step pay waits for shop.PaymentTaken, which no handler returns"),
        ("undeclared-emission", "TakePayment.handle returns PaymentTaken, which its annotation does not name"),
    ]
    assert [row["at"] for row in rows] == ["order.yaml:13:19", "shop.py:46:16"]


def test_a_request_that_nobody_handles_is_found(checked: Path, choreo: Choreo) -> None:
    """A compensation whose request no handler takes would leave the saga stuck."""
    replaced(
        checked / "shop.py",
        "def compensate(self, request: ReleaseRequested",
        "def unused(self, request: ReleaseRequested",
    )
    replaced(checked / "shop.py", "-> StockReserved:", "-> StockReserved | StockReleased:")
    rows = [json.loads(line) for line in choreo("check", "--json", code=1).stdout.splitlines()]
    assert [row["message"] for row in rows if row["severity"] == "error"] == [
        "saga order emits shop.ReleaseRequested, which no handler takes"
    ]


def test_drift_of_a_contract_is_found_and_export_mends_it(checked: Path, choreo: Choreo) -> None:
    """A class that no longer is what was published is found, field by field; `schemas export` publishes it anew."""
    (checked / "schemas" / "by-id").mkdir(parents=True)
    (checked / "schemas" / "by-id" / "1.avsc").touch()  # a registry beside it is not a contract
    choreo("check")
    choreo("schemas", "export")
    choreo("check")
    (checked / "schemas" / "shop" / "StockReleased.avsc").unlink()
    assert "StockReleased.avsc is missing" in choreo("check", code=1).stdout
    choreo("schemas", "export")
    published = checked / "schemas" / "shop" / "OrderPlaced.avsc"
    replaced(published, '"total"', '"sum"')
    said = choreo("check", code=1).stdout
    assert "total was added, sum was removed" in said
    assert "error[contract-drift]" in said
    assert "contract-breaks" in said  # nobody can read `total` from what has only `sum`
    assert "choreo schemas export" in said
    choreo("schemas", "export")
    assert "every contract is up to date" in choreo("schemas", "export").stderr


def test_a_handler_that_nobody_runs_is_found(checked: Path, choreo: Choreo) -> None:
    """A handler that was written and forgotten in its service's list is named."""
    replaced(checked / "shop.py", "handlers=[TakePayment]", "handlers=[ReserveStock]")
    rows = [json.loads(line) for line in choreo("check", "--json", code=1).stdout.splitlines()]
    assert ("unused-handler", "TakePayment is in no service") in [(row["code"], row["message"]) for row in rows]


def test_one_broken_part_does_not_hide_the_others(checked: Path, choreo: Choreo) -> None:
    """A module that can't be imported and a spec that can't be read are reported together."""
    (checked / "choreo.toml").write_text('[project]\nservices = ["shop", "gone"]\nsagas = "*.yaml"\n', encoding="utf-8")
    (checked / "other.yaml").write_text("saga: [\n", encoding="utf-8")
    codes = [json.loads(line)["code"] for line in choreo("check", "--json", code=1).stdout.splitlines()]
    assert codes == ["not-yaml", "cannot-load"]


def test_events_of_what_cannot_be_loaded_are_not_missed(checked: Path, choreo: Choreo) -> None:
    """A spec that speaks of events of a broken module is not told that there are none: that module is the finding."""
    replaced(checked / "shop.py", "    total: int", "    total: gone")
    rows = [json.loads(line) for line in choreo("check", "--json", code=1).stdout.splitlines()]
    assert [row["code"] for row in rows] == ["cannot-load"]
    replaced(checked / "order.yaml", "compensate: none", "compensat: none")
    rows = [json.loads(line) for line in choreo("check", "--json", code=1).stdout.splitlines()]
    assert [row["code"] for row in rows] == ["unknown-key", "cannot-load"]


def test_events_of_packages_that_services_use_are_known(checked: Path, choreo: Choreo) -> None:
    """A spec may speak of what services handle and return, wherever those classes were written: another team's too."""
    (checked / "desk.py").write_text("from shop import inventory, payments\n", encoding="utf-8")
    (checked / "choreo.toml").write_text(SETTINGS.replace("shop", "desk"), encoding="utf-8")
    assert "2 services, 1 saga, 6 events: all of it fits" in choreo("check").stderr


def test_a_service_that_cannot_run_is_found(checked: Path, choreo: Choreo) -> None:
    """Two services with one name, or a handler that breaks a rule, are found without a log."""
    replaced(checked / "shop.py", "handlers=[TakePayment]", "handlers=[]")
    assert "error[cannot-run]: service payments has no handlers" in choreo("check", code=1).stdout


def test_doctor_is_content_with_a_sound_machine(checked: Path, choreo: Choreo) -> None:
    """Everything that is looked at is named, and nothing fails."""
    rows = [json.loads(line) for line in choreo("doctor", "--json").stdout.splitlines()]
    states = {row["check"]: row["state"] for row in rows}
    assert {"python", "settings", "log", "registry", "topics", "state", "disk", "open files"} <= set(states)
    assert "fail" not in states.values()
    assert states["topics"] == "warn"  # nothing has been made yet


def test_doctor_names_what_is_wrong(checked: Path, choreo: Choreo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that sets nothing, a state directory that can't be written and an unknown registry are found."""
    monkeypatch.setenv("CHOREO_LGO_URL", "x")
    (checked / "file").touch()
    monkeypatch.setenv("CHOREO_RUN_STATE_DIR", str(checked / "file" / "state"))
    monkeypatch.setenv("CHOREO_REGISTRY_URL", "ftp://x")
    rows = [json.loads(line) for line in choreo("doctor", "--json", code=1).stdout.splitlines()]
    found = {row["check"]: (row["state"], row["try"]) for row in rows}
    assert found["CHOREO_LGO_URL"] == ("warn", "did you mean CHOREO_LOG_...?")
    assert found["state"][0] == found["registry"][0] == "fail"


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log that does not answer."""

    def refuse(url: str, **more: object) -> None:
        raise LogUnavailableError(f"nobody answers at {url}")

    monkeypatch.setattr("choreo.log.open.open_log", refuse)


@pytest.mark.usefixtures("away")
def test_doctor_says_that_the_log_is_away(directory: Path, choreo: Choreo) -> None:
    """A log that can't be reached: exit code 3, and the other checks are made all the same."""
    result = choreo("doctor", "--log", "kafka://127.0.0.1:1", "--json", code=3)
    rows = {row["check"]: row for row in map(json.loads, result.stdout.splitlines())}
    assert (rows["log"]["state"], rows["state"]["state"]) == ("fail", "ok")


@pytest.mark.usefixtures("away")
def test_a_log_that_is_away_is_exit_code_3(directory: Path, choreo: Choreo) -> None:
    """Any command that needs the log exits with 3 when it can't be reached."""
    assert "LogUnavailableError" in choreo("topics", "list", "--log", "kafka://127.0.0.1:1", code=3).stderr
