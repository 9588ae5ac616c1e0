"""Runs over generated orders: complete, the same each time, resumable, in virtual and in wall time."""

import time
from collections import Counter
from collections.abc import Sequence

import pytest

from choreo.demo.generated import generate
from choreo.demo.rows import Row
from choreo.demo.run import Stage, run_virtual, run_wall
from choreo.demo.summary import Glimpse
from choreo.errors import ConfigError
from choreo.events.registry import MemoryRegistry
from choreo.log.memory import MemoryLog
from choreo.record import Record
from choreo.runtime.task import Portion, Task
from choreo.state.memory import MemoryBackends
from tests.demo.outcome import business_topics, dead_letters, outcome, records


def stage(partitions: int = 2) -> Stage:
    return Stage(MemoryLog(cluster="demo"), MemoryRegistry(), MemoryBackends(), partitions)


def mixed(count: int) -> list[Row]:
    """Generated orders, failures more frequent than naturally: one row of each ending, then as they come."""
    rows = {(row.status, row.approved_at is None, row.delivered_at is None): row for row in generate(3000, seed=5)}
    return [*rows.values(), *generate(count, seed=6)]


def business(at: Stage) -> list[tuple[str, int, bytes | None, bytes | None]]:
    def plain(record: Record) -> tuple[str, int, bytes | None, bytes | None]:
        return record.topic, record.partition, record.key, record.value

    return [plain(record) for record in records(at, business_topics(at))]


def ends(rows: Sequence[Row]) -> Counter[str]:
    """How orders must end, by the words of their rows."""

    def end(row: Row) -> str:
        if row.status == "unavailable":
            return "compensated"
        if row.delivered_at is not None:
            return "completed"
        return "cancelled" if row.status == "canceled" else "waiting"

    return Counter(end(row) for row in rows)


def test_every_generated_order_comes_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders end as their rows say; the summary counts them, their undone steps, refusals and saga times."""
    at, rows = stage(), mixed(40)
    glimpses: list[Glimpse] = []
    monkeypatch.setattr("choreo.demo.run.GLIMPSE_US", 0)
    summary = run_virtual(at, rows, glimpses.append)
    assert summary.statuses == ends(rows)
    assert summary.orders == len(rows) == sum(summary.statuses.values())
    assert summary.time == "virtual time"
    assert summary.handled > 30 * len(rows)
    assert summary.compensations >= 2
    assert summary.saga_p50_s is not None
    assert summary.saga_p99_s is not None
    assert 3600 < summary.saga_p50_s < summary.saga_p99_s <= summary.spanned_s
    assert set(summary.examples) == set(summary.statuses)
    assert dead_letters(at) == []
    assert [glimpse.now for glimpse in glimpses] == sorted(glimpse.now for glimpse in glimpses)
    assert glimpses[-1].orders == sum(glimpses[-1].statuses.values()) == len(rows)
    assert 0 < glimpses[0].handled < glimpses[-1].handled <= summary.handled


def test_the_same_rows_make_the_same_events() -> None:
    """Two runs over the same rows write the same events, byte for byte, in the same order."""
    one, two, rows = stage(), stage(), generate(25, seed=9)
    run_virtual(one, rows)
    run_virtual(two, rows)
    assert business(one) == business(two)


def test_wall_time_ends_the_same() -> None:
    """Where every answer comes at once, by the wall clock, orders and money end as in virtual time; stock, too."""
    virtual, wall, rows = stage(), stage(), mixed(20)
    run_virtual(virtual, rows)
    summary = run_wall(wall, rows)
    expected, found = outcome(virtual), outcome(wall)
    # All promised dates are past by the wall clock: lateness is the one thing that differs.
    timeless = {key: order._replace(overdue=False) for key, order in expected.orders.items()}
    assert {key: order._replace(overdue=False) for key, order in found.orders.items()} == timeless
    assert found.stock == expected.stock
    assert summary.time == "wall time"
    assert summary.statuses == ends(rows)
    assert dead_letters(wall) == []


def test_a_stall_is_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """In wall time a checkpoint may take long while everybody else waits for it: the run is over when all is done."""
    whole = Task.portion
    stalls = [4.0]

    def slow(task: Task) -> Portion:
        time.sleep(stalls.pop() if stalls and task.dirty else 0)
        return whole(task)

    monkeypatch.setattr(Task, "portion", slow)
    rows = mixed(5)
    assert run_wall(stage(), rows).statuses == ends(rows)
    assert not stalls


def test_a_run_goes_on_where_it_ended() -> None:
    """A second run over the same rows on the same log adds nothing: no order is placed twice."""
    at, rows = stage(), generate(15, seed=2)
    first = run_virtual(at, rows)
    before = business(at)
    again = run_virtual(at, rows)
    assert business(at) == before
    assert again.statuses == first.statuses


@pytest.mark.parametrize("after", [1, 60, 150])
def test_an_interrupted_run_is_taken_up(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """A run that dies midway and is started again ends as one that was never interrupted."""
    monkeypatch.setattr("choreo.demo.run.GLIMPSE_US", 0)
    whole, broken, rows = stage(), stage(), mixed(30)
    run_virtual(whole, rows)
    seen: list[Glimpse] = []

    def pull_the_plug(glimpse: Glimpse, /) -> None:
        seen.append(glimpse)
        if len(seen) > after:
            raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        run_virtual(broken, rows, pull_the_plug)
    run_virtual(broken, rows)
    assert outcome(broken) == outcome(whole)
    assert dead_letters(broken) == []


def test_a_log_with_other_orders_is_refused() -> None:
    """Rows that are not those on the log are refused before anything is written: stock would be wrong."""
    at = stage()
    run_virtual(at, generate(3, seed=2))
    before = business(at)
    with pytest.raises(ConfigError, match="already holds a run over other orders"):
        run_virtual(at, generate(3, seed=3))
    assert business(at) == before


def test_no_orders_are_refused() -> None:
    """A run needs at least one order."""
    with pytest.raises(ConfigError, match="no orders"):
        run_virtual(stage(), [])
    with pytest.raises(ConfigError, match="no orders"):
        run_wall(stage(), [])
