"""Real orders through the demo command on a real Kafka: the same outcomes as in virtual time."""

import json
from collections import Counter
from pathlib import Path

import pytest

from choreo.log.kafka import KafkaLog
from tests.chaos.judge import judge, judge_commands
from tests.chaos.orders import slice_orders
from tests.chaos.place import Place
from tests.demo.data import olist_directory
from tests.demo.expected import expected


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(200)
def test_real_orders_end_on_kafka_as_their_rows_say(kafka_url: str, tmp_path: Path) -> None:
    """`choreo demo --orders DIR --log kafka://...` in wall time: its summary counts what the rows say, every order and
    the stock of every product stands as computed from the CSV alone, and every store verifies.
    """
    orders = slice_orders(olist_directory(), tmp_path / "orders", 150)
    place = Place.make(tmp_path / "project", kafka_url)
    summary = json.loads(place.output("demo", "--orders", str(orders)))
    due = Counter(order.status for order in expected(orders).orders.values())
    assert summary["orders"] == due.total() == 150
    assert {status: count for status, count in summary["statuses"].items() if count} == dict(due)
    assert summary["time"] == "wall time"
    with KafkaLog.from_url(kafka_url) as log:
        assert judge(place, log, orders)["orders"] == 150
    assert judge_commands(place, orders)["entries"] > 0
