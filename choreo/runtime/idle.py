"""Whether workers have nothing left to do: what `choreo run --until-idle` waits for."""

import threading
from collections.abc import Sequence
from typing import NamedTuple, Self

from choreo.clock import NEVER, Clock
from choreo.errors import LogUnavailableError
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.runtime.live import LiveTask
from choreo.runtime.worker import Worker

LOOK_EVERY_S = 0.05
LOOKS = 3
"""This many looks in a row must see the same rest."""
TURNS = 2
"""And each worker must have ended so many turns meanwhile: what it had polled before the first look and not counted
anywhere yet is handled by then.
"""


class _Rest(NamedTuple):
    """What was done so far by each worker; equal in two looks means that nothing happened between them."""

    handled: tuple[int, ...]
    checkpoints: tuple[int, ...]


class Idleness:
    """Looks at workers from a thread of its own while it is entered; sets `idle` once they have nothing left to do.

    That is: every input is read to its end and committed, nothing waits to be tried again, no timer is due. Timers of
    the future don't count.
    """

    def __init__(self, workers: Sequence[Worker], log: Log, clock: Clock, idle: threading.Event) -> None:
        self._workers, self._log, self._clock, self._idle = tuple(workers), log, clock, idle
        self._thread = threading.Thread(target=self._watch, name="idleness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._idle.set()
        self._thread.join()

    def _watch(self) -> None:
        seen: list[tuple[_Rest, list[int]]] = []
        while not self._idle.wait(LOOK_EVERY_S):
            turns = [worker.turns for worker in self._workers]
            rest = self._look(self._clock.now())
            if rest is None or (seen and seen[0][0] != rest):
                seen = []
                continue
            seen.append((rest, turns))
            ended = min(now - before for now, before in zip(turns, seen[0][1], strict=True))
            if len(seen) >= LOOKS and ended >= TURNS:
                self._idle.set()

    def _look(self, now: int) -> _Rest | None:
        try:
            positions: dict[TopicPartition, int] = {}
            for worker in self._workers:
                if not worker.ready:
                    return None
                for live in _working(worker):
                    if not _at_rest(live, now):
                        return None
                    for tp in live.inputs.partitions:
                        positions[tp] = min(worker.position(tp), positions.get(tp, NEVER))
            ends = self._log.ends(positions)
        except (RuntimeError, KeyError, LogUnavailableError):  # it changed under our eyes: somebody is at work
            return None
        if any(positions[tp] < ends[tp] for tp in positions):
            return None
        return _Rest(tuple(w.handled for w in self._workers), tuple(w.checkpoints for w in self._workers))


def _working(worker: Worker) -> list[LiveTask]:
    """The tasks that go on; one that has stopped waits for an operator, not for this run."""
    return [live for live in list(worker.tasks.values()) if not (live.task.halted is not None or live.task.full)]


def _at_rest(live: LiveTask, now: int) -> bool:
    task = live.task
    will_retry = task.due_retry(NEVER - 1) is not None
    return not (task.dirty or task.flights or live.inputs.count or will_retry or task.next_due() <= now)
