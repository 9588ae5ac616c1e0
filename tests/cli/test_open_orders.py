"""Orders that nobody has taken up yet, on the embedded log and on Kafka."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Choreo
from tests.cli.test_mending import SETTINGS, WHY, objects, shown
from tests.cli.test_mending import ran as ran
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url

OPEN = "not taken up yet, is the coordinator of order running?"


def orders(choreo: Choreo, key: str) -> list[list[str]]:
    """The open orders of a saga, as `show` and `why` have them."""
    answers: list[dict[str, Any]] = [shown(choreo, key), *objects(choreo("sagas", "why", key, "--json").stdout)]
    return [[one["order"] for one in answer["open_orders"]] for answer in answers]


def see_orders(choreo: Choreo) -> None:
    """Two orders to p3: open while nobody runs, taken up by the next run, and nothing of them at p4."""
    choreo("sagas", "answer", "pay", "PaymentTaken", "p3", *WHY)
    choreo("sagas", "cancel", "p3", *WHY)
    asked = ["answer pay shop.PaymentTaken (by ada: the bank called)", "cancel (by ada: the bank called)"]
    assert orders(choreo, "p3") == [asked, asked]
    assert orders(choreo, "p4") == [[], []]
    for command in ("show", "why"):
        said = choreo("sagas", command, "p3").stdout.splitlines()[-2:]
        assert [line.partition("Z: ")[2] for line in said] == [f"{one}: {OPEN}" for one in asked]
        assert all(line.startswith("  asked at 2") for line in said)
    choreo("run", "--until-idle")
    assert orders(choreo, "p3") == [[], []]
    assert shown(choreo, "p3")["status"] == "cancelled"
    assert OPEN not in choreo("sagas", "show", "p3").stdout


def test_an_order_is_shown_until_a_coordinator_has_taken_it_up(ran: Path, choreo: Choreo) -> None:
    """Whoever looks is told what was asked, when and by whom, and that nobody has done anything about it."""
    see_orders(choreo)


@pytest.mark.kafka
def test_on_kafka_too(project: Path, choreo: Choreo, kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same by the one interface of logs."""
    monkeypatch.setenv("CHOREO_LOG_URL", kafka_url)
    (project / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
    placed = "\n".join(json.dumps({"order_id": name, "total": 0}) for name in ("p3", "p4"))
    choreo("emit", "shop.py:OrderPlaced", "-", text=placed)
    choreo("run", "--until-idle", "--start-from", "earliest")
    see_orders(choreo)
