"""Calls into librdkafka that may not come back: one thread takes them, the caller stops waiting at a limit.

librdkafka's send_offsets_to_transaction ignores its timeout while the group's coordinator is away, and sleeps on until
some broker's connection changes, ten minutes later (its issues 5456 and 5511).
"""

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread

Call = Callable[[], object]


class BoundedCalls:
    """One daemon thread; after a call that did not come back in time, this object is used up."""

    def __init__(self) -> None:
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._answers: SimpleQueue[BaseException | None] = SimpleQueue()
        Thread(target=self._serve, daemon=True, name="choreo-kafka-offsets").start()

    def run(self, call: Call, within_s: float) -> bool:
        """Run `call`; raises what it raises. Answers False where it has not come back in time."""
        self._calls.put(call)
        try:
            failure = self._answers.get(timeout=within_s)
        except Empty:
            return False
        if failure is not None:
            raise failure
        return True

    def close(self) -> None:
        """Let the thread end, as soon as its call has come back."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except BaseException as failure:  # raised in the caller's thread
                self._answers.put(failure)
            else:
                self._answers.put(None)
