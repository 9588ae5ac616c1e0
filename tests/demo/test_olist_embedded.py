"""All real orders on the embedded log, as a user runs them: by the command line, each step a process of its own."""

from contextlib import closing
from pathlib import Path

import pytest

from choreo.cli.stores import ProjectBackends
from choreo.demo.run import Stage
from choreo.events.open import open_registry
from choreo.log.embedded import EmbeddedLog
from choreo.service.client import default_registry
from tests.demo.command import choreo, cpu_s
from tests.demo.data import olist_directory
from tests.demo.expected import expected
from tests.demo.outcome import dead_letters, event_ids, outcome

WITHIN_S = 600.0
PARTITIONS = 4
OF_THE_RUN, OF_THE_REPLAY = {"PYTHONHASHSEED": "815"}, {"PYTHONHASHSEED": "4711"}
"""What rested on the order of a set in the run comes out otherwise in its replay."""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_order_ends_as_its_row_says(tmp_path: Path) -> None:
    """`choreo demo --orders`, then `choreo sagas list`: status and what it waits for of each of 8,135 orders are those
    of its row; money, refusals, lateness and stock too. Nothing is a dead letter, nothing is said twice. `choreo replay
    verify`, a process under another PYTHONHASHSEED than the run's, is clean for every service, and takes no longer
    than the run took.
    """
    directory = olist_directory()
    url = f"embedded:{tmp_path / 'log'}"
    before = cpu_s()
    (summary,) = choreo("demo", "--orders", str(directory), "--log", url, cwd=tmp_path, within_s=WITHIN_S, **OF_THE_RUN)
    of_the_run = cpu_s() - before
    assert summary["orders"] == 8135
    due = expected(directory)
    assert summary["cancellations_refused"] == sum(order.refused for order in due.orders.values()) == 6
    assert summary["overdue"] == sum(order.overdue for order in due.orders.values())
    listed = {saga["key"]: saga for saga in choreo("sagas", "list", "--log", url, cwd=tmp_path, within_s=WITHIN_S)}
    assert {saga["saga"] for saga in listed.values()} == {"order_fulfilment"}
    found = {key: (saga["status"], tuple(saga["waits_for"])) for key, saga in listed.items()}
    assert found == {key: (order.status, order.waits_for) for key, order in due.orders.items()}
    before = cpu_s()
    verdicts = choreo("replay", "verify", "demo", "--log", url, cwd=tmp_path, within_s=WITHIN_S, **OF_THE_REPLAY)
    assert cpu_s() - before <= of_the_run
    assert {verdict["service"]: verdict["clean"] for verdict in verdicts} == dict.fromkeys(SERVICES, True)
    with EmbeddedLog(tmp_path / "log") as log, closing(ProjectBackends(tmp_path / "log" / "state")) as backends:
        stage = Stage(log, open_registry(default_registry(url)), backends, PARTITIONS)
        assert dead_letters(stage) == []
        assert outcome(stage) == due
        ids = event_ids(stage)
        assert len(ids) == len(set(ids)) > 8135 * 10


SERVICES = ["orders", "inventory", "payments", "shipping", "notifications", "world", "saga.order_fulfilment"]
