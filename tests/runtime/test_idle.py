"""Idleness: a run ends only when nothing can be on its way unseen."""

import threading
from typing import Any

from choreo.clock import VirtualClock
from choreo.log.memory import MemoryLog
from choreo.runtime.idle import Idleness


class QuietWorker:
    """A worker at rest, as far as anybody can see."""

    ready = True
    handled = checkpoints = turns = 0

    def __init__(self) -> None:
        self.tasks: dict[int, Any] = {}


def watch(worker: QuietWorker, moving: bool) -> bool:
    """Whether the run is taken for idle within half a second."""
    idle, over = threading.Event(), threading.Event()

    def turn() -> None:
        while not over.wait(0.01):
            worker.turns += moving

    turning = threading.Thread(target=turn)
    turning.start()
    workers: Any = [worker]
    with Idleness(workers, MemoryLog(), VirtualClock(), idle):
        found = idle.wait(0.5)
    over.set()
    turning.join()
    return found


def test_a_worker_that_has_not_come_round_is_not_idle() -> None:
    """What was polled is counted nowhere until its step has ended: without a turn there is no telling."""
    assert not watch(QuietWorker(), moving=False)


def test_a_worker_that_turns_and_finds_nothing_is_idle() -> None:
    """Two turns at rest end the run."""
    assert watch(QuietWorker(), moving=True)
