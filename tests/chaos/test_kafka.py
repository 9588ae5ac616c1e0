"""The shop on a real Kafka, one process per service, while processes and the broker are killed."""

from pathlib import Path

import pytest

from choreo.log.kafka import KafkaLog
from tests.chaos.havoc import PROCESSES, Turns, wreak
from tests.chaos.judge import judge, judge_commands
from tests.chaos.orders import slice_orders
from tests.chaos.place import Place
from tests.demo.data import olist_directory
from tests.kafka.broker import Broker


@pytest.mark.kafka
@pytest.mark.timeout(400)
def test_kills_change_nothing(own_broker: Broker, tmp_path: Path) -> None:
    """400 orders of every kind: 16 kills, half of them at fault points, a broker that dies, a second worker that comes
    and goes; and every order ends as its row says, every event stands once, every store is what the log says.
    """
    orders = slice_orders(olist_directory(), tmp_path / "orders", 400)
    place = Place.make(tmp_path / "project", f"kafka://{own_broker.bootstrap}")
    place.ask("topics", "apply")
    with KafkaLog.from_url(place.log_url) as log:
        deaths = wreak(place, log, orders, Turns.rounds(1), own_broker, print)
        compared = judge(place, log, orders)
    compared |= judge_commands(place, orders)
    print(deaths, compared)
    assert deaths.of.total() >= 16
    assert all(deaths.of[name] >= 2 for name in PROCESSES), deaths
    assert deaths.between >= 4, deaths
    assert compared["orders"] == 400
    assert compared["events"] > 400 * 10
