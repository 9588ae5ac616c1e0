"""The loop: drives workers in real time. The only place of the runtime that waits."""

import threading
from collections.abc import Callable, Sequence

from choreo.clock import Clock
from choreo.runtime.worker import Worker

LONGEST_WAIT_S = 0.1
"""A loop looks up at least this often, to notice that it should stop."""


def run_worker(worker: Worker, clock: Clock, stopping: Callable[[], bool]) -> None:
    """Drive one started worker until `stopping()`; then it commits what is done and leaves."""
    try:
        due = clock.now()
        while not stopping():
            wait_s = min(max(due - clock.now(), 0) / 1_000_000, LONGEST_WAIT_S)
            records = worker.poll(wait_s)
            due = worker.step(clock.now(), records)
    except BaseException:
        worker.abandon()
        raise
    worker.stop()


def run_workers(workers: Sequence[Worker], clock: Clock, stopping: Callable[[], bool]) -> None:
    """Drive several started workers, a thread each, until `stopping()` or until one fails; its error is raised."""
    failed = threading.Event()
    errors: list[BaseException] = []

    def drive(worker: Worker) -> None:
        try:
            run_worker(worker, clock, lambda: stopping() or failed.is_set())
        except BaseException as error:  # raised again by the caller's thread
            errors.append(error)
            failed.set()

    threads = [threading.Thread(target=drive, args=(worker,), name=worker.service.name) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(LONGEST_WAIT_S)
    if errors:
        raise errors[0]
