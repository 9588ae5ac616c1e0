"""Health: whether a process should be left alone (live) and whether it does its work (ready). Pure decisions."""

from collections.abc import Sequence
from typing import NamedTuple

from choreo.runtime.figures import TaskFigures, WorkerFigures


class Verdict(NamedTuple):
    """The answer to one probe; `problems` say what keeps it from being `ok`, one sentence each."""

    ok: bool
    problems: tuple[str, ...] = ()


def liveness(workers: Sequence[WorkerFigures], now: int, stalled_us: int) -> Verdict:
    """Not ok where a worker has ended, or made no step for `stalled_us`: a restart of the process is the cure.

    `now` and the figures are in microseconds. A worker that has not started yet is given its time.
    """
    problems = [f"{worker.service}: its worker has ended" for worker in workers if worker.ended]
    for worker in workers:
        still_us = now - worker.stepped_at
        if worker.started and not worker.ended and still_us > stalled_us:
            problems.append(f"{worker.service}: its worker has made no step for {still_us / 1_000_000:.1f} s")
    return Verdict(not problems, tuple(problems))


def readiness(workers: Sequence[WorkerFigures], stopping: bool = False) -> Verdict:
    """Ok where every worker is a member of its group and all of its tasks are restored and take inputs in.

    A member without tasks is ready: there may be more members than partitions.
    """
    problems = ["it is stopping"] if stopping else []
    if not workers:
        problems.append("nothing runs yet")
    for worker in workers:
        if worker.ended:
            problems.append(f"{worker.service}: its worker has ended")
        elif not worker.started:
            problems.append(f"{worker.service}: its worker has not started yet")
        else:
            unready = [f"task {worker.service}-{t.partition} {_why(t)}" for t in worker.tasks if t.state != "running"]
            problems += unready
            if not worker.settled and not unready:
                problems.append(f"{worker.service}: its worker is still taking up its tasks")
    return Verdict(not problems, tuple(problems))


def _why(task: TaskFigures) -> str:
    if task.restored is not None:
        done, total = task.restored
        return f"is restoring, {done:,} of {total:,} changelog records"
    return {"waiting": "waits", "full": "is full", "halted": "is halted"}.get(task.state, task.state) + f": {task.why}"
