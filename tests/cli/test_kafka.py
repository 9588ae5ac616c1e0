"""The same project on a real Kafka: only --log changes."""

import json

import pytest

from tests.cli.conftest import Choreo
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url

pytestmark = pytest.mark.kafka
RUN = ("run", "shop.py", "order.yaml", "--until-idle")


@pytest.mark.usefixtures("project")
def test_the_newcomers_story_on_kafka(choreo: Choreo, kafka_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Emit, run with two processes, list and verify: the outcomes are those of the embedded log."""
    monkeypatch.setenv("CHOREO_LOG_URL", kafka_url)
    orders = [json.dumps({"order_id": f"o{n}", "total": 50 * n}) for n in range(1, 5)]
    choreo("emit", "shop.py:OrderPlaced", "-", text="\n".join(orders))
    refused = choreo(*RUN, code=1).stderr
    assert "StartError" in refused  # a shared log: old news or work to do?
    assert "--start-from earliest" in refused
    choreo(*RUN, "--start-from", "earliest", "--workers", "2")
    rows = [json.loads(line) for line in choreo("sagas", "list", "--json").stdout.splitlines()]
    assert {row["key"]: row["status"] for row in rows} == {
        "o1": "completed",
        "o2": "compensated",
        "o3": "compensated",
        "o4": "compensated",
    }
    assert choreo("replay", "verify", "shop.py", "order.yaml").stdout.count("clean") == 3
    assert "no dead letters" in choreo("dead-letters", "list").stderr
    doctor = {row["check"]: row["state"] for row in map(json.loads, choreo("doctor", "--json").stdout.splitlines())}
    assert doctor["log"] == "ok"
