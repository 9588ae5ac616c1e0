"""Virtual time: one scheduler drives all workers in turn, and the clock moves only when nobody has anything to do."""

from collections.abc import Callable, Sequence
from typing import Protocol

from choreo.clock import NEVER, VirtualClock
from choreo.runtime.worker import Worker


class InProcess(Protocol):
    """A member of a log in this process: it knows whether a poll would bring anything."""

    def has_records(self) -> bool: ...


class VirtualTime:
    """Runs started workers on an in-process log (memory or embedded). Every run with the same input is the same."""

    def __init__(self, clock: VirtualClock, workers: Sequence[Worker]) -> None:
        self.clock = clock
        self.workers = tuple(workers)
        self._due = [clock.now()] * len(self.workers)
        self._members: list[InProcess] = [worker.member for worker in self.workers]  # type: ignore[misc]  # in-process ones

    def settle(self) -> None:
        """Step everybody until nobody has anything to do at this instant."""
        clock, due = self.clock, self._due
        busy = True
        while busy:
            busy = False
            for number, worker in enumerate(self.workers):
                if due[number] <= clock.now() or self._members[number].has_records():
                    due[number] = worker.step(clock.now(), worker.poll())
                    busy = True

    def run(self, until: int = NEVER, watch: Callable[[int], None] | None = None) -> None:
        """Settle, move the clock to the next due time, and again, until nothing is due by `until` (microseconds).

        `watch` is called with the time before each move. The clock ends at `until`, where that is a time.
        """
        while True:
            self.settle()
            due = min(self._due, default=NEVER)
            if due > until or due == NEVER:
                break
            if watch is not None:
                watch(due)
            self.clock.move_to(due)
        if until != NEVER:
            self.clock.move_to(until)
