"""All real orders, in virtual time on the log in memory: every single one ends as its row says."""

import pytest

from choreo.clock import VirtualClock
from choreo.demo.olist import read_orders
from choreo.demo.run import Stage, run_virtual
from choreo.events.registry import MemoryRegistry
from choreo.log.memory import MemoryLog
from choreo.state.memory import MemoryBackends
from tests.demo.data import olist_directory
from tests.demo.expected import expected
from tests.demo.outcome import dead_letters, event_ids, outcome


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("partitions", [1, 7])
def test_every_order_ends_as_its_row_says(partitions: int) -> None:
    """Status, what it waits for, money taken and given back, refusals, lateness: equal for each of 8,135 orders, and
    the pieces left of each product; whatever the number of partitions (four: on the embedded log, test_olist_embedded).
    Nothing is a dead letter, nothing is said twice.
    """
    directory = olist_directory()
    stage = Stage(MemoryLog(VirtualClock(0), "olist"), MemoryRegistry(), MemoryBackends(), partitions)
    summary = run_virtual(stage, read_orders(directory))
    found, due = outcome(stage), expected(directory)
    assert len(due.orders) == summary.orders == 8135
    wrong = {key: (found.orders.get(key), order) for key, order in due.orders.items() if found.orders.get(key) != order}
    assert wrong == {}
    assert found.orders.keys() == due.orders.keys()
    assert found.stock == due.stock
    assert dead_letters(stage) == []
    ids = event_ids(stage)
    assert len(ids) == len(set(ids)) > 8135 * 10
    assert summary.refused == sum(order.refused for order in due.orders.values()) == 6
    assert summary.overdue == sum(order.overdue for order in due.orders.values())
