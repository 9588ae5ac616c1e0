"""`choreo run` as a process: it drains when asked, survives being killed, and refuses what can't work."""

import json
import logging
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from choreo.cli.faults import fault_point
from choreo.cli.run import _start_from
from choreo.clock import to_micros
from choreo.errors import ConfigError
from choreo.runtime.log_fields import about
from choreo.runtime.options import no_faults
from choreo.telemetry.log_lines import Sparing, WithoutRoutine
from tests.cli.conftest import Choreo, process, read_until

RUN = ("run", "shop.py", "order.yaml")
POINTS = ["checkpoint.begun", "checkpoint.appended", "checkpoint.committed", "checkpoint.stored"]


def statuses(choreo: Choreo) -> dict[str, str]:
    """How each saga stands."""
    rows = [json.loads(line) for line in choreo("sagas", "list", "--json").stdout.splitlines()]
    return {row["key"]: row["status"] for row in rows}


def test_a_run_takes_events_of_other_processes_and_drains(project: Path, choreo: Choreo) -> None:
    """While a run owns the embedded log, `choreo emit` appends through it; SIGTERM commits and ends with 0."""
    running = process(*RUN)
    read_until(running, "running inventory, payments, saga.order")
    emitted = process("emit", "shop.py:OrderPlaced", "order_id=o1", "total=250")
    assert emitted.communicate(timeout=60)[1] == ""
    listed: dict[str, str] = {}
    while listed.get("o1") != "compensated":  # ends by the test's own time limit
        listed = statuses(choreo)
    running.send_signal(signal.SIGTERM)
    out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (0, "")
    assert "stopping: committing what is begun" in said
    assert "handled" in said


@pytest.mark.parametrize("place", POINTS)
def test_a_killed_run_goes_on_where_it_was(project: Path, choreo: Choreo, place: str) -> None:
    """Killed with -9 at each step of a checkpoint, a second run brings every saga to the same end, each event once."""
    orders = [json.dumps({"order_id": f"o{n}", "total": 50 * n}) for n in range(1, 5)]
    choreo("emit", "shop.py:OrderPlaced", "-", text="\n".join(orders))
    killed = process(*RUN, "--until-idle", CHOREO_FAULT=f"{place}:3")
    _, said = killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert f"fault {place}: kill -9" in said
    choreo(*RUN, "--until-idle")
    assert statuses(choreo) == {"o1": "completed", "o2": "compensated", "o3": "compensated", "o4": "compensated"}
    events = [json.loads(line) for line in choreo("topics", "show", "orders", "--json").stdout.splitlines()]
    assert (
        sum(row["offsets"] for row in events) == 4 + 4 + 4 + 3 + 3
    )  # placed, reserved, paid or not, undo asked, undone
    verified = choreo("replay", "verify", "shop.py", "order.yaml")
    assert verified.stdout.count("clean") == 3


def test_a_failing_service_ends_the_run_with_its_error(project: Path, choreo: Choreo) -> None:
    """A service that can't start says why, and nothing is left running."""
    (project / "choreo.toml").write_text(
        '[project]\nservices = ["shop"]\n[settings.payments]\nx = 1\n', encoding="utf-8"
    )
    text = (project / "shop.py").read_text(encoding="utf-8")
    text = text.replace("import Context", "import Settings, Context").replace(
        'inventory = Service("inventory"',
        'class PaymentSettings(Settings):\n    api_key: str\n\n\ninventory = Service("inventory"',
    )
    text = text.replace("handlers=[TakePayment])", "handlers=[TakePayment], settings=PaymentSettings)")
    (project / "shop.py").write_text(text, encoding="utf-8")
    assert "x is not a setting of PaymentSettings" in choreo("run", "--until-idle", code=2).stderr


def test_more_processes_need_kafka(project: Path, choreo: Choreo) -> None:
    """--workers 2 on a log of one process is a usage error that says what to do."""
    said = choreo(*RUN, "--workers", "2", code=2).stderr
    assert "--workers 2 needs Kafka" in said
    assert "--log kafka://HOST:PORT" in said


def test_until_idle_looks_at_one_process(project: Path, choreo: Choreo) -> None:
    """One of several processes may rest while another has work for it: the two options exclude each other."""
    said = choreo(*RUN, "--until-idle", "--workers", "2", "--log", "kafka://127.0.0.1:1", code=2).stderr
    assert "--until-idle looks at one process" in said


def test_nothing_to_run_is_a_usage_error(directory: Path, choreo: Choreo) -> None:
    """An empty directory has nothing to run, and is told how to begin."""
    assert "there is nothing to run" in choreo("run", code=2).stderr


def test_where_a_new_group_begins() -> None:
    """A shared log must be told where to begin; a log of one's own begins at the beginning; a time is milliseconds."""
    moment = datetime(2026, 1, 2, 3, tzinfo=UTC)
    assert _start_from("", "kafka://x") is None
    assert _start_from("", "embedded:x") == "earliest"
    assert _start_from("latest", "kafka://x") == "latest"
    assert _start_from("2026-01-02T03:00:00Z", "kafka://x") == to_micros(moment) // 1000
    assert _start_from("2026-01-02T03:00", "kafka://x") == to_micros(moment) // 1000
    with pytest.raises(ConfigError, match="is no time"):
        _start_from("yesterday", "kafka://x")


def test_fault_points_are_off_unless_asked_for() -> None:
    """Without CHOREO_FAULT nothing is planted; a misspelt one is an error rather than a quiet test."""
    assert fault_point({}) is no_faults
    with pytest.raises(ConfigError, match="PLACE:N"):
        fault_point({"CHOREO_FAULT": "checkpoint.begun"})


def test_progress_is_told_once_a_second() -> None:
    """The same news about the same task is not repeated within a second; other tasks and warnings are heard."""
    sparing = Sparing()

    def heard(level: int, task: str, at: float) -> bool:
        record = logging.LogRecord("choreo.runtime", level, "", 0, "task %s: restoring", (task,), None)
        record.created = at
        return sparing.filter(record)

    assert heard(logging.INFO, "a-0", 10.0)
    assert not heard(logging.INFO, "a-0", 10.5)
    assert heard(logging.INFO, "a-1", 10.5)
    assert heard(logging.WARNING, "a-0", 10.6)
    assert heard(logging.INFO, "a-0", 11.7)


def test_for_development_the_routine_of_the_framework_is_left_out() -> None:
    """Checkpoints, and workers that come and go; handlers, failures, tasks and warnings are heard."""
    spared = WithoutRoutine()

    def heard(logger: str, level: int, **fields: object) -> bool:
        record = logging.LogRecord(logger, level, "", 0, "text", (), None)
        vars(record).update(about(**fields))
        return spared.filter(record)

    assert not heard("choreo.runtime", logging.DEBUG, service="payments", reason="dry")
    assert not heard("choreo.runtime", logging.INFO, service="payments")
    assert heard("choreo.runtime", logging.DEBUG, service="payments", task=3, error_type="ValueError")
    assert heard("choreo.runtime", logging.WARNING, service="payments")
    assert heard("choreo.payments.TakePayment", logging.DEBUG, service="payments")
    assert heard("choreo.cli", logging.INFO)
