"""Whether workers have nothing left to do: what `choreo run --until-idle` waits for."""

import threading
from collections.abc import Sequence
from typing import NamedTuple

from choreo.clock import Clock
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.runtime.worker import Worker

LOOK_AGAIN_US = 50_000
LOOKS = 2
"""This many looks in a row must see the same rest: between two of them nothing can be on its way unseen."""


class _Rest(NamedTuple):
    """What was done so far by each worker; equal in two looks means that nothing happened between them."""

    handled: tuple[int, ...]
    checkpoints: tuple[int, ...]


class Idleness:
    """Asked by several threads again and again; looks at most every 50 ms.

    Idle means: every input is read to its end and committed, nothing is parked, no timer is due. Timers of the future
    don't count.
    """

    def __init__(self, workers: Sequence[Worker], log: Log, clock: Clock) -> None:
        self._workers, self._log, self._clock = tuple(workers), log, clock
        self._lock = threading.Lock()
        self._next_look = 0
        self._seen: list[_Rest] = []
        self._idle = False

    def reached(self) -> bool:
        """Whether it is reached; once True, always True."""
        with self._lock:
            now = self._clock.now()
            if self._idle or now < self._next_look:
                return self._idle
            self._next_look = now + LOOK_AGAIN_US
            rest = self._look(now)
            self._seen = [*self._seen, rest] if rest is not None and set(self._seen) <= {rest} else []
            self._idle = len(self._seen) > LOOKS
            return self._idle

    def _look(self, now: int) -> _Rest | None:
        try:
            positions: dict[TopicPartition, int] = {}
            for worker in self._workers:
                if not worker.ready or not _at_rest(worker, now):
                    return None
                for live in list(worker.tasks.values()):
                    for tp in live.inputs.partitions:
                        positions[tp] = min(worker.position(tp), positions.get(tp, worker.position(tp)))
            ends = self._log.ends(positions)
        except RuntimeError:  # a dictionary changed under our eyes: somebody is at work
            return None
        if any(positions[tp] < ends[tp] for tp in positions):
            return None
        return _Rest(tuple(w.handled for w in self._workers), tuple(w.checkpoints for w in self._workers))


def _at_rest(worker: Worker, now: int) -> bool:
    tasks = list(worker.tasks.values())
    return not any(
        live.task.dirty or live.inputs.count or live.task.parked or live.task.entries.timers.next_due() <= now
        for live in tasks
    )
