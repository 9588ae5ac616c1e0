"""Figures of a worker: plain values, read from another thread while it works, for health, status and metrics."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from choreo.errors import LogError
from choreo.record import TopicPartition
from choreo.runtime.live import LiveTask
from choreo.runtime.worker import Worker

LOOKS = 5
"""So often a worker that changes under our eyes is looked at; then its tasks are left out."""

State = Literal["waiting", "restoring", "running", "full", "halted"]
"""waiting: partitions of the task are elsewhere; full: too much is parked; halted: a policy stopped it."""


class InputFigures(NamedTuple):
    """One input of a task. Offsets; `end` counts records of open transactions; None where nobody asked the log."""

    topic: str
    partition: int
    next: int
    """The offset of the next record to handle."""
    end: int | None = None

    @property
    def lag(self) -> int | None:
        """Offsets between the next record to handle and the end; markers of transactions count as offsets."""
        return None if self.end is None else max(self.end - self.next, 0)


class TaskFigures(NamedTuple):
    """One task. Times in microseconds."""

    partition: int
    state: State
    why: str = ""
    """Why it waits, is full or halted."""
    inputs: tuple[InputFigures, ...] = ()
    handled: int = 0
    """Inputs and timers since it was opened here."""
    uncommitted: int = 0
    """Inputs and timers handled since its last checkpoint."""
    checkpoint: int = 0
    """The number of its last checkpoint."""
    checkpoint_at: int | None = None
    """When the last checkpoint was made in which it took part."""
    oldest_at: int | None = None
    """When the oldest record was written that was read and not yet handled; parked ones don't count."""
    parked: int = 0
    in_flight: int = 0
    restored: tuple[int, int] | None = None
    """Changelog records (done, total) while it is being restored."""

    @property
    def lag(self) -> int | None:
        """The sum over its inputs."""
        return _total(each.lag for each in self.inputs)


class WorkerFigures(NamedTuple):
    """One worker. Times in microseconds, counts since its start."""

    service: str
    started: bool
    ended: bool
    settled: bool
    """It is a member of its group, and every task that it can open is open."""
    stepped_at: int
    """When its last step ended; 0 before the start."""
    handled: int
    checkpoints: int
    refused: int
    tasks: tuple[TaskFigures, ...]

    @property
    def lag(self) -> int | None:
        """The sum over its tasks."""
        return _total(task.lag for task in self.tasks)


def _total(lags: Iterable[int | None]) -> int | None:
    """None where one of them is not known."""
    total = 0
    for lag in lags:
        if lag is None:
            return None
        total += lag
    return total


def figures_of(worker: Worker) -> WorkerFigures:
    """What can be said of a worker now. Never raises for what it is doing meanwhile."""
    for _ in range(LOOKS):
        try:
            return _figures(worker, _tasks(worker), worker.handled, settled=worker.settled)
        except (RuntimeError, LookupError, LogError):  # its tasks changed while we looked
            continue
    return _figures(worker, (), 0, settled=False)


def with_ends(figures: WorkerFigures, ends: Mapping[TopicPartition, int]) -> WorkerFigures:
    """The same with the ends of the inputs, as far as `ends` knows them: now there is a lag."""
    tasks = [
        task._replace(
            inputs=tuple(
                each._replace(end=ends.get(TopicPartition(each.topic, each.partition))) for each in task.inputs
            )
        )
        for task in figures.tasks
    ]
    return figures._replace(tasks=tuple(tasks))


def inputs_of(figures: Iterable[WorkerFigures]) -> list[TopicPartition]:
    """The inputs of all tasks: whose ends are to be asked for."""
    found = {TopicPartition(i.topic, i.partition) for worker in figures for task in worker.tasks for i in task.inputs}
    return sorted(found)


def _figures(worker: Worker, tasks: tuple[TaskFigures, ...], handled: int, *, settled: bool) -> WorkerFigures:
    return WorkerFigures(
        service=worker.service.name,
        started=worker.stepped_at > 0,
        ended=worker.ended,
        settled=settled,
        stepped_at=worker.stepped_at,
        handled=handled,
        checkpoints=worker.checkpoints,
        refused=worker.refused,
        tasks=tasks,
    )


def _tasks(worker: Worker) -> tuple[TaskFigures, ...]:
    found = [TaskFigures(n, "waiting", f"its {', '.join(t)} is elsewhere") for n, t in worker.incomplete.items()]
    found += [TaskFigures(n, "restoring", restored=progress) for n, progress in worker.restoring.items()]
    found += [_running(worker, live) for live in list(worker.tasks.values())]
    return tuple(sorted(found, key=lambda task: task.partition))


def _running(worker: Worker, live: LiveTask) -> TaskFigures:
    task = live.task
    state: State = "halted" if task.halted is not None else "full" if task.full else "running"
    oldest_ms = live.inputs.oldest_ms()
    return TaskFigures(
        partition=task.partition,
        state=state,
        why=_why(live),
        inputs=tuple(InputFigures(*tp, worker.position(tp)) for tp in live.inputs.partitions),
        handled=task.handled,
        uncommitted=task.since,
        checkpoint=live.meta.checkpoint,
        checkpoint_at=live.meta.written_at,
        oldest_at=None if oldest_ms is None else oldest_ms * 1000,
        parked=task.parked,
        in_flight=len(task.flights),
    )


def _why(live: LiveTask) -> str:
    """Without the text of the error: that may quote the event; it is in the log and in the dead letter."""
    if live.task.halted is not None:
        return live.task.halted.partition(": ")[0]
    return f"{live.task.parked:,} inputs are parked" if live.task.full else ""
