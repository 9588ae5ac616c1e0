"""The status of one process: what its workers and tasks do, how far behind they are, what failed; as plain values."""

import threading
from collections.abc import Callable, Sequence
from importlib.metadata import version

from choreo.clock import Clock, iso, to_datetime
from choreo.config.sections import Setting
from choreo.errors import ChoreoError
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.runtime.figures import TaskFigures, WorkerFigures, figures_of, inputs_of, with_ends
from choreo.runtime.worker import Worker
from choreo.telemetry.health import Verdict, liveness, readiness
from choreo.telemetry.tally import Tally

ENDS_KEPT_US = 1_000_000
"""The log is asked for its ends at most this often, however often the status is."""


class Watch:
    """Looks at the workers of one process from other threads. Asks the log only for `status`, never for a probe."""

    def __init__(self, log: Log, clock: Clock, tally: Tally, *, stalled_s: float = 60.0, worker: int = 0) -> None:
        self.workers: list[Worker] = []
        """The workers that it looks at; more may be added at any time."""
        self.stopping: Callable[[], bool] = lambda: False
        self._log, self._clock, self._tally = log, clock, tally
        self._stalled_us = round(stalled_s * 1_000_000)
        self._worker = worker
        self._ends: dict[TopicPartition, int] = {}
        self._asked_at: int | None = None
        self._asking = threading.Lock()

    def live(self) -> Verdict:
        """Whether the process works at all; see `liveness`."""
        return liveness(self._figures(), self._clock.now(), self._stalled_us)

    def ready(self) -> Verdict:
        """Whether it does what it is there for; see `readiness`."""
        return readiness(self._figures(), self.stopping())

    def status(self) -> dict[str, object]:
        """Everything, for people and programs. Lags are None where the log does not answer."""
        now, figures = self._clock.now(), self._figures()
        ends = self._current_ends(figures, now)
        live, ready = liveness(figures, now, self._stalled_us), readiness(figures, self.stopping())
        return {
            "version": version("choreo"),
            "time": iso(to_datetime(now), "milliseconds"),
            "worker": self._worker,
            "log": Setting("log.url", self._log.url, "").shown,
            "live": live.ok,
            "ready": ready.ok,
            "problems": list(dict.fromkeys([*live.problems, *ready.problems])),
            "services": [self._service(with_ends(worker, ends), now) for worker in figures],
        }

    def _figures(self) -> list[WorkerFigures]:
        return [figures_of(worker) for worker in list(self.workers)]

    def _current_ends(self, figures: Sequence[WorkerFigures], now: int) -> dict[TopicPartition, int]:
        wanted = inputs_of(figures)
        with self._asking:
            fresh = self._asked_at is not None and now - self._asked_at < ENDS_KEPT_US
            if not fresh or not self._ends.keys() >= set(wanted):
                try:
                    self._ends = self._log.ends(wanted) if wanted else {}
                except ChoreoError:  # a log that is away is no reason to say nothing of the tasks
                    self._ends = {}
                self._asked_at = now
            return self._ends

    def _service(self, worker: WorkerFigures, now: int) -> dict[str, object]:
        counts = self._tally.of_service(worker.service)
        return {
            "service": worker.service,
            "settled": worker.settled,
            "step_age_s": _age_s(worker.stepped_at or None, now),
            "handled": worker.handled,
            "lag": worker.lag,
            "checkpoints": {
                "made": counts["checkpoints"],
                "refused": counts["refused"],
                "mean_ms": round(counts["checkpoint_us"] / max(counts["checkpoints"], 1) / 1000, 3),
                "slowest_ms": counts["slowest_checkpoint_us"] / 1000,
            },
            "outputs": counts["outputs"],
            "entries": counts["entries"],
            "restored": counts["restored"],
            "rebalances": counts["rebalances"],
            "tasks": [self._task(worker.service, task, now) for task in worker.tasks],
        }

    def _task(self, service: str, task: TaskFigures, now: int) -> dict[str, object]:
        restoring = None
        if task.restored is not None:
            restoring = {"done": task.restored[0], "total": task.restored[1]}
        return {
            "task": task.partition,
            "state": task.state,
            "why": task.why or None,
            "restoring": restoring,
            "lag": task.lag if task.inputs else None,
            "oldest_s": _age_s(task.oldest_at, now),
            "checkpoint": task.checkpoint,
            "checkpoint_age_s": _age_s(task.checkpoint_at, now),
            "uncommitted": task.uncommitted,
            "handled": task.handled,
            "in_flight": task.in_flight,
            "parked": task.parked,
            "failed_attempts": self._tally.of_task(service, task.partition)["failed_attempts"],
            "dead_letters": self._tally.of_task(service, task.partition)["dead_letters"],
            "inputs": [
                {"topic": i.topic, "partition": i.partition, "next": i.next, "end": i.end, "lag": i.lag}
                for i in task.inputs
            ],
        }


def _age_s(at: int | None, now: int) -> float | None:
    return None if at is None else round(max(now - at, 0) / 1_000_000, 3)
