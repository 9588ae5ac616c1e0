"""Watching a run: lines for programs, probes over HTTP of a process on the embedded log, lag from the log alone."""

import json
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from choreo.cli.processes import health_of_children
from choreo.errors import ConfigError
from choreo.telemetry.endpoint import Address
from tests.cli.conftest import Choreo, process
from tests.cli.test_run import RUN, read_until
from tests.telemetry.test_endpoint import asked


def served(running: "subprocess.Popen[str]") -> Address:
    """Where a run says that it serves its health."""
    found = re.search(r"http://([\d.]+):(\d+)", read_until(running, "health on"))
    assert found is not None
    return Address(found[1], int(found[2]))


def ended(running: "subprocess.Popen[str]") -> str:
    """Stop it as an operator does; answers what it still said."""
    running.send_signal(signal.SIGTERM)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 0, said
    return said


def test_a_run_serves_its_health(project: Path, choreo: Choreo) -> None:
    """On the embedded log: live at once, ready when all tasks run; the status shows every service without lag."""
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=250")
    running = process(*RUN, "--health", "0")
    address = served(running)
    assert asked(address, "/healthz")[0] == 200
    while asked(address, "/readyz")[0] != 200:  # ends by the test's own time limit
        assert running.poll() is None
    status: Any = asked(address, "/status")[1]
    while [one["lag"] for one in status["services"]] != [0, 0, 0] or not status["services"][0]["checkpoints"]["made"]:
        status = asked(address, "/status")[1]  # what is handled has no lag; its checkpoint comes a moment later
    assert status["services"][0]["handled"] > 0
    assert [service["service"] for service in status["services"]] == ["inventory", "payments", "saga.order"]
    assert {len(service["tasks"]) for service in status["services"]} == {4}
    ended(running)


def test_health_comes_from_the_settings_too(project: Path) -> None:
    """[health] listen serves as --health does; without either nobody listens."""
    (project / "choreo.toml").write_text('[health]\nlisten = "127.0.0.1:0"\n', encoding="utf-8")
    running = process(*RUN)
    assert asked(served(running), "/healthz")[0] == 200
    ended(running)
    (project / "choreo.toml").unlink()
    silent = process(*RUN)
    assert "health" not in read_until(silent, "running inventory") + ended(silent)


def test_with_json_every_line_is_an_object(project: Path, choreo: Choreo) -> None:
    """The run's own news, the framework's and the handlers' lines: each an object with time, level, logger, message."""
    text = (project / "shop.py").read_text(encoding="utf-8")
    text = text.replace(
        "        if order.total == 0:",
        '        ctx.log.info("asked for %d", order.total)\n        if order.total == 0:',
    )
    (project / "shop.py").write_text(text, encoding="utf-8")
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=250")
    running = process(*RUN, "--until-idle", "--log-format", "json")
    out, said = running.communicate(timeout=60)
    assert (running.returncode, out) == (0, "")
    lines = [json.loads(line) for line in said.splitlines()]
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in lines)
    (handling,) = [line for line in lines if line["message"] == "asked for 250"]
    assert (handling["logger"], handling["level"]) == ("choreo.payments.TakePayment", "info")
    assert (handling["service"], handling["event"], handling["topic"]) == ("payments", "shop.OrderPlaced", "orders")
    assert {"event_id", "correlation_id", "partition", "offset", "attempt", "task", "handler"} <= handling.keys()
    assert any(line["message"].startswith("handled ") for line in lines)


def test_with_json_the_last_error_is_an_object_too(project: Path, choreo: Choreo) -> None:
    """What ends the run is told with what, where, why and what to do; the exit code stays."""
    (project / "choreo.toml").write_text('[logging]\nformat = "json"\n', encoding="utf-8")
    said = choreo("run", "shop.py", "--workers", "2", code=2).stderr
    *_, last = [json.loads(line) for line in said.splitlines()]
    assert (last["level"], last["error"]["type"]) == ("critical", "ConfigError")
    assert last["error"]["message"] == "--workers 2 needs Kafka"
    assert "--log kafka://HOST:PORT" in last["error"]["try"]


def test_the_level_is_a_setting(project: Path, choreo: Choreo) -> None:
    """From WARNING on a run without trouble says nothing; a level that is none is refused."""
    (project / "choreo.toml").write_text('[logging]\nlevel = "warning"\n', encoding="utf-8")
    assert choreo(*RUN, "--until-idle").stderr == ""
    (project / "choreo.toml").write_text('[logging]\nlevel = "loud"\n', encoding="utf-8")
    said = choreo(*RUN, "--until-idle", code=2).stderr
    assert "logging.level = 'loud' is none of info, debug, warning, error" in said
    assert "choreo.toml:2" in said


def test_lag_is_read_from_the_log(project: Path, choreo: Choreo) -> None:
    """Before, between and after runs: how far each task is behind, since when, and when it last made a checkpoint."""

    def lags() -> dict[str, int]:
        rows = [json.loads(line) for line in choreo("services", "lag", *RUN[1:], "--json").stdout.splitlines()]
        for row in rows:
            assert (row["oldest_s"] is None) == (row["lag"] == 0)
            assert row["lag"] == sum(each["lag"] for each in row["inputs"])
        return {name: sum(row["lag"] for row in rows if row["service"] == name) for name in ("inventory", "saga.order")}

    choreo("topics", "apply", *RUN[1:])
    assert lags() == {"inventory": 0, "saga.order": 0}
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=250")
    assert lags() == {"inventory": 1, "saga.order": 1}
    choreo(*RUN, "--until-idle")
    assert lags() == {"inventory": 0, "saga.order": 0}
    rows = [json.loads(line) for line in choreo("services", "lag", "shop.py", "--json").stdout.splitlines()]
    assert len([row for row in rows if row["checkpoint_age_s"] is not None]) == 2  # one task each had work
    choreo("emit", "shop.py:OrderPlaced", "order_id=o1", "total=50")
    assert lags() == {"inventory": 1, "saga.order": 1}
    table = choreo("services", "lag", "shop.py").stdout.splitlines()
    assert table[0].split() == ["SERVICE", "TASK", "LAG", "OLDEST", "S", "CHECKPOINT", "AGE", "S"]


def test_lag_of_a_service_without_topics_says_so(project: Path, choreo: Choreo) -> None:
    """Nothing was emitted yet: no topic, no lag, and no error."""
    (row,) = [json.loads(line) for line in choreo("services", "lag", "shop.py:payments", "--json").stdout.splitlines()]
    assert row == {"service": "payments", "missing": "orders"}


def test_ports_of_several_processes() -> None:
    """One for all, the following one each, for this machine only; there must be as many."""
    assert health_of_children(Address("0.0.0.0", 8080), 2) == [Address("127.0.0.1", 8081), Address("127.0.0.1", 8082)]
    for port in (0, 65_534):
        with pytest.raises(ConfigError, match="leaves no ports"):
            health_of_children(Address("0.0.0.0", port), 2)
