"""Threads for calls that block: a few, kept; daemons, so that a call that never ends does not keep the process."""

import os
import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]


def default_threads() -> int:
    """Four a processor, 32 at most."""
    return min(32, 4 * (os.cpu_count() or 1))


class CallThreads:
    """Runs jobs in the order in which they came, at most `size` at once. A thread is started when none is idle.

    concurrent.futures joins its threads when the interpreter ends, however long their work takes; these are left.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._lock = threading.Lock()

    @property
    def busy(self) -> int:
        """Jobs under way."""
        return self._busy

    def submit(self, job: Job) -> None:
        """Run it soon. It must not raise."""
        self._jobs.put(job)
        if not self._idle.acquire(blocking=False) and len(self._threads) < self.size:
            thread = threading.Thread(target=self._work, name=f"choreo call {len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Let the threads end, each with the job that it has; nobody waits for them."""
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            with self._lock:
                self._busy += 1
            try:
                job()
            finally:
                with self._lock:
                    self._busy -= 1
            self._idle.release()
