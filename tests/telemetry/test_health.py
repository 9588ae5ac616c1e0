"""Live and ready: pure decisions about what the workers show."""

import pytest

from choreo.runtime.figures import TaskFigures, WorkerFigures
from choreo.telemetry.health import Verdict, liveness, readiness

NOW, SECOND = 1_772_452_800_000_000, 1_000_000


def worker(
    *tasks: TaskFigures, started: bool = True, ended: bool = False, settled: bool = True, idle_s: float = 0
) -> WorkerFigures:
    """A worker that made its last step `idle_s` ago."""
    stepped_at = NOW - round(idle_s * SECOND) if started else 0
    return WorkerFigures("payments", started, ended, settled, stepped_at, 0, 0, 0, tasks)


def test_a_worker_that_stands_still_is_not_live() -> None:
    """Up to the bound it is busy, beyond it stands still; the time comes from the clock that is passed in."""
    assert liveness([worker(idle_s=60)], NOW, 60 * SECOND).ok
    verdict = liveness([worker(idle_s=0), worker(idle_s=60.5)], NOW, 60 * SECOND)
    assert verdict == Verdict(False, ("payments: its worker has made no step for 60.5 s",))


def test_a_dead_worker_is_not_live_and_a_starting_one_is() -> None:
    """An end is final; a start takes its time."""
    assert liveness([worker(ended=True)], NOW, SECOND).problems == ("payments: its worker has ended",)
    assert liveness([worker(started=False, settled=False)], NOW, SECOND).ok
    assert liveness([], NOW, SECOND).ok


@pytest.mark.parametrize(
    ("figures", "problem"),
    [
        (worker(started=False, settled=False), "payments: its worker has not started yet"),
        (worker(ended=True, settled=False), "payments: its worker has ended"),
        (worker(settled=False), "payments: its worker is still taking up its tasks"),
        (
            worker(TaskFigures(3, "restoring", restored=(500, 12_000)), settled=False),
            "task payments-3 is restoring, 500 of 12,000 changelog records",
        ),
        (worker(TaskFigures(1, "waiting", "its x is elsewhere")), "task payments-1 waits: its x is elsewhere"),
        (worker(TaskFigures(0, "halted", "Charge failed")), "task payments-0 is halted: Charge failed"),
        (worker(TaskFigures(0, "full", "10,000 inputs are parked")), "task payments-0 is full: 10,000 inputs are"),
    ],
)
def test_what_is_not_at_work_is_not_ready(figures: WorkerFigures, problem: str) -> None:
    """Each state that is not `running` keeps the process from being ready, and is named."""
    verdict = readiness([figures, worker(TaskFigures(0, "running"))])
    assert not verdict.ok
    assert len(verdict.problems) == 1
    assert verdict.problems[0].startswith(problem)


def test_ready_is_a_member_whose_tasks_all_run() -> None:
    """With tasks or, where there are more members than partitions, without."""
    assert readiness([worker(TaskFigures(0, "running")), worker()]) == Verdict(True)


def test_nothing_and_stopping_are_not_ready() -> None:
    """Before the first worker is made, and while the process drains."""
    assert readiness([]).problems == ("nothing runs yet",)
    assert readiness([worker()], stopping=True).problems == ("it is stopping",)
