"""Shadow runs and forks over a real Kafka: only --log changes."""

import json
import shutil
from pathlib import Path

import pytest

from choreo.log.open import open_log
from choreo.record import TopicPartition
from tests.cli.conftest import Choreo
from tests.kafka.fixtures import kafka_bootstrap as kafka_bootstrap
from tests.kafka.fixtures import kafka_url as kafka_url

pytestmark = pytest.mark.kafka
TARGETS = ("shop.py", "order.yaml")


def everything(url: str) -> object:
    """Every topic, how far it reaches, and what the groups committed."""
    with open_log(url) as log:
        places = [TopicPartition(name, n) for name, topic in log.topics().items() for n in range(topic.partitions)]
        groups = ("choreo.inventory", "choreo.payments", "choreo.saga.order")
        return log.ends(places), [log.committed(group, places) for group in groups]


def test_other_code_and_forks_over_kafka(
    project: Path, choreo: Choreo, kafka_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same code reports nothing, other code the one order that it treats otherwise; a story becomes a test. The
    cluster is as it was.
    """
    monkeypatch.setenv("CHOREO_LOG_URL", kafka_url)
    orders = [json.dumps({"order_id": f"o{n}", "total": 50 * n}) for n in range(1, 5)]
    choreo("emit", "shop.py:OrderPlaced", "-", text="\n".join(orders))
    choreo("run", *TARGETS, "--until-idle", "--start-from", "earliest")
    before = everything(kafka_url)
    (project / "new").mkdir()
    shutil.copy("shop.py", "new/shop.py")
    for service in ("inventory", "payments"):
        choreo("replay", "shadow", service, *TARGETS, "--code", "new/shop.py")
    text = Path("shop.py").read_text(encoding="utf-8")
    Path("new/shop.py").write_text(text.replace("order.total < 100", "order.total < 101"), encoding="utf-8")
    said = choreo("replay", "shadow", "payments", *TARGETS, "--code", "new/shop.py", "--json", code=1).stdout
    assert [one["key"] for one in json.loads(said)["most_telling"]] == ["o2"]
    assert 'then_saga("order", "o2", "compensated")' in choreo("replay", "fork", "o2", *TARGETS).stdout
    assert everything(kafka_url) == before
