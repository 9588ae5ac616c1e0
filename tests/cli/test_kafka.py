"""The same project on a real Kafka: only --log changes."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from choreo.telemetry.endpoint import Address
from tests.cli.conftest import Choreo, process
from tests.kafka.broker import free_ports
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url
from tests.telemetry.test_endpoint import asked

pytestmark = pytest.mark.kafka
RUN = ("run", "shop.py", "order.yaml")


OUTCOMES = {"o1": "completed", "o2": "compensated", "o3": "compensated", "o4": "compensated"}


@pytest.fixture
def placed(project: Path, choreo: Choreo, kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four orders on a Kafka that is nobody else's, which is from here on the log of every command."""
    monkeypatch.setenv("CHOREO_LOG_URL", kafka_url)
    orders = [json.dumps({"order_id": f"o{n}", "total": 50 * n}) for n in range(1, 5)]
    choreo("emit", "shop.py:OrderPlaced", "-", text="\n".join(orders))


def statuses(choreo: Choreo) -> dict[str, str]:
    """How each saga stands."""
    rows = [json.loads(line) for line in choreo("sagas", "list", "--json").stdout.splitlines()]
    return {row["key"]: row["status"] for row in rows}


@pytest.mark.usefixtures("placed")
def test_the_newcomers_story_on_kafka(choreo: Choreo) -> None:
    """Emit, run, list and verify: the outcomes are those of the embedded log."""
    refused = choreo(*RUN, "--until-idle", code=1).stderr
    assert "StartError" in refused  # a shared log: old news or work to do?
    assert "--start-from earliest" in refused
    choreo(*RUN, "--until-idle", "--start-from", "earliest")
    assert statuses(choreo) == OUTCOMES
    assert choreo("replay", "verify", "shop.py", "order.yaml").stdout.count("clean") == 3
    assert "no dead letters" in choreo("dead-letters", "list").stderr
    doctor = {row["check"]: row["state"] for row in map(json.loads, choreo("doctor", "--json").stdout.splitlines())}
    assert doctor["log"] == "ok"


@pytest.mark.usefixtures("placed")
def test_the_past_on_kafka(project: Path, choreo: Choreo) -> None:
    """Step by step, at an event, at a position and as a difference: the past reads on Kafka as on the embedded log."""
    (project / "choreo.toml").write_text('[project]\nservices = ["shop"]\nsagas = "order.yaml"\n', encoding="utf-8")
    choreo("run", "--until-idle", "--start-from", "earliest")

    def rows(*words: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in choreo(*words, "--json").stdout.splitlines()]

    steps = rows("replay", "state", "inventory", "--step", "--key", "o3")
    assert [(row["cause"], row["before"] is None) for row in steps] == [
        ("shop.OrderPlaced", True),
        ("shop.ReleaseRequested", False),
    ]
    for name in ("event_id", "place"):
        kept = rows("replay", "state", "inventory", "--key", "o3", "--at", steps[0][name])
        assert [row["value"] for row in kept] == [{"order_id": "o3", "total": 150}]
        assert not rows("replay", "state", "inventory", "--key", "o3", "--at", steps[1][name])
    (gone,) = rows("replay", "state", "inventory", "--key", "o3", "--diff", steps[0]["place"], steps[1]["place"])
    assert (gone["after"], gone["event_id"]) == (None, steps[1]["event_id"])
    turns = rows("sagas", "show", "o3", "--step")
    (stood,) = rows("sagas", "show", "o3", "--at", turns[1]["event_id"])
    assert (turns[-1]["status"], stood["status"]) == ("compensated", turns[1]["status"])
    assert choreo("replay", "verify").stdout.count("clean") == 3


@pytest.mark.usefixtures("placed")
def test_two_processes_share_the_work_and_stop_together(choreo: Choreo) -> None:
    """--workers 2 brings every saga to its end; SIGTERM drains both processes; a third start has nothing left to do."""
    running = process(*RUN, "--start-from", "earliest", "--workers", "2")
    while statuses(choreo) != OUTCOMES:  # ends by the test's own time limit
        assert running.poll() is None, running.communicate()
    running.send_signal(signal.SIGTERM)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 0, said
    assert said.count("handled") == 2
    assert choreo("replay", "verify", "shop.py", "order.yaml").stdout.count("clean") == 3


@pytest.mark.usefixtures("placed")
def test_two_processes_are_watched_as_one(choreo: Choreo) -> None:
    """The parent of --workers 2 is ready when both are; its status holds both, with every task once and no lag left.

    What an input's transactions leave at its end, markers, is no lag either, nor for `services lag`.
    """
    port = free_ports(3)[0]
    running = process(*RUN, "--start-from", "earliest", "--workers", "2", "--health", f"127.0.0.1:{port}")
    address = Address("127.0.0.1", port)

    def ask(path: str) -> tuple[int, Any]:
        assert running.poll() is None, running.communicate()
        try:
            return asked(address, path)[:2]
        except OSError:  # it does not listen yet
            return 0, None

    while ask("/readyz")[0] != 200:  # ends by the test's own time limit
        pass
    while statuses(choreo) != OUTCOMES:
        assert running.poll() is None, running.communicate()
    lags: list[int | None] = [None]
    while any(lags) or None in lags:
        workers = ask("/status")[1]["workers"]
        lags = [service["lag"] for worker in workers for service in worker["services"]]
    assert [worker["worker"] for worker in workers] == [0, 1]
    for number in range(3):
        tasks = [task["task"] for worker in workers for task in worker["services"][number]["tasks"]]
        assert sorted(tasks) == [0, 1, 2, 3]
    assert asked(Address("127.0.0.1", port + 2), "/status")[1]["worker"] == 1
    assert ask("/healthz")[0] == 200
    running.send_signal(signal.SIGTERM)
    said = running.communicate(timeout=60)[1]
    assert running.returncode == 0, said
    rows = [json.loads(line) for line in choreo("services", "lag", *RUN[1:], "--json").stdout.splitlines()]
    assert {row["lag"] for row in rows} == {0}
    assert any(each["committed"] != each["end"] for row in rows for each in row["inputs"])


@pytest.mark.usefixtures("placed")
def test_a_story_and_the_conformance_of_sagas_are_told_on_kafka(project: Path, choreo: Choreo) -> None:
    """The same tree and the same judgement as on the embedded log, and no topic is made or written for it."""
    settings = '[project]\nservices = ["shop"]\nsagas = "order.yaml"\n'
    (project / "choreo.toml").write_text(settings, encoding="utf-8")
    choreo(*RUN, "--until-idle", "--start-from", "earliest")
    before = choreo("topics", "list", "--json").stdout
    story = json.loads(choreo("trace", "o2", "--json").stdout)
    told = {node["event"]: (node["depth"], node["emitted_by"]) for node in story["nodes"] if node["kind"] == "event"}
    assert told == {
        "shop.OrderPlaced": (0, None),
        "shop.StockReserved": (1, {"service": "inventory", "handler": "ReserveStock"}),
        "shop.PaymentDeclined": (1, {"service": "payments", "handler": "TakePayment"}),
        "shop.ReleaseRequested": (2, {"service": "saga.order", "handler": "Coordinator"}),
        "shop.StockReleased": (3, {"service": "inventory", "handler": "ReserveStock"}),
    }
    assert choreo("trace", "o2", "--follow").stdout.count("from payments.TakePayment") == 1
    row = json.loads(choreo("sagas", "conformance", "order.yaml", "--json").stdout)
    assert (row["sagas"], row["fit"], row["judged_by_changes_only"]) == (4, 4, {})
    assert choreo("topics", "list", "--json").stdout == before
