"""A run of real orders read again: verified quicker than it was run, and a planted bug found in exactly the orders that
the rows say. Over all 8,135 orders, by the command line, on each log: `make chaos` (tests/chaos/replays.py).
"""

import importlib
from pathlib import Path
from time import process_time
from typing import NamedTuple

import pytest

from choreo.cli.other_code import code_of
from choreo.clock import VirtualClock
from choreo.demo.olist import read_orders
from choreo.demo.run import Stage, cast_of, run_virtual
from choreo.demo.shop import load_shop
from choreo.events.registry import MemoryRegistry
from choreo.log.memory import MemoryLog
from choreo.replay.contrast import served
from choreo.replay.deviations import Report
from choreo.replay.sandbox import Sandbox
from choreo.replay.shadow import Shadow
from choreo.service.service import Service
from choreo.state.memory import MemoryBackends
from tests.demo.data import olist_directory
from tests.demo.outcome import verify_all
from tests.demo.planted import late, plant

OTHERS = 150
"""So many orders besides those that were cancelled or could not be delivered."""


class Played(NamedTuple):
    """A run, and what CPU it took."""

    stage: Stage
    cpu_s: float


@pytest.fixture(scope="module")
def played() -> Played:
    """Every order that was cancelled or unavailable, and some others, on the log in memory."""
    rows = read_orders(olist_directory())
    undone = [row for row in rows if row.status in ("canceled", "unavailable")]
    rest = [row for row in rows if row.status not in ("canceled", "unavailable")][:OTHERS]
    stage = Stage(MemoryLog(VirtualClock(0), "olist"), MemoryRegistry(), MemoryBackends(), 2)
    began = process_time()
    run_virtual(stage, undone + rest)
    return Played(stage, process_time() - began)


@pytest.fixture
def stage(played: Played) -> Stage:
    return played.stage


def shadow(stage: Stage, new: Service) -> Report:
    """Held against the shop's own."""
    live = next(service for service in cast_of(load_shop()).services if service.name == new.name)
    return Shadow(Sandbox(new, stage.log, stage.registry), served(live)).run()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_service_is_verified_by_less_cpu_than_the_run_took(played: Played) -> None:
    """In memory, where the run has no disk to wait for; the embedded log: test_olist_embedded.py."""
    began = process_time()
    assert verify_all(played.stage) > 8 * OTHERS
    assert process_time() - began <= played.cpu_s


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_shop_against_itself_reports_nothing(stage: Stage) -> None:
    """Every service of the shop and the coordinator of its saga: no event, no entry, no timer differs."""
    for service in cast_of(load_shop()).services:
        report = shadow(stage, service)
        assert report.clean, (service.name, report)
        assert report.inputs > OTHERS
        assert (report.seen.new_turns, report.seen.lost_turns) == (0, 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_refunds_that_are_given_twice_are_found_in_exactly_the_orders_of_the_rows(stage: Stage, tmp_path: Path) -> None:
    """A payments service that refunds twice when the customer cancels what was paid: one more PaymentRefunded in each
    such order and nothing else in any.
    """
    plant(load_shop().root, tmp_path)
    with code_of(tmp_path):
        new = importlib.import_module("services.shop.payments.service").payments
        assert str(tmp_path) in str(importlib.import_module("services").__file__)
        report = shadow(stage, new)
    due = late(olist_directory())
    assert len(due) > 20
    assert set(report.stories) == due
    assert dict(report.by_event) == {("shop.PaymentRefunded", "only new"): len(due)}
    assert dict(report.by_handler) == {("TakePayment", "only new"): len(due)}
