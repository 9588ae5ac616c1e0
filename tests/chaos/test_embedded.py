"""The shop on the embedded log, all in one process, which is killed again and again."""

from pathlib import Path

import pytest

from choreo.log.embedded import EmbeddedLog
from tests.chaos.alone import place_of, wreak_alone
from tests.chaos.judge import judge, judge_commands
from tests.chaos.orders import slice_orders
from tests.demo.data import olist_directory


@pytest.mark.timeout(300)
def test_kills_change_nothing(tmp_path: Path) -> None:
    """300 orders of every kind over 8 lives, half of them ended inside a checkpoint: every order ends as its row says,
    every event stands once, every store is what the log says.
    """
    orders = slice_orders(olist_directory(), tmp_path / "orders", 300)
    place = place_of(tmp_path / "project")
    deaths = wreak_alone(place, orders, 8, 3, print)
    with EmbeddedLog(place.log_directory) as log:
        compared = judge(place, log, orders)
    compared |= judge_commands(place, orders)
    print(deaths, compared)
    assert deaths.of.total() == 8
    assert deaths.between >= 3, deaths
    assert compared["orders"] == 300
    assert compared["events"] > 300 * 10
