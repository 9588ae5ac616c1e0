"""Calling: recorded calls at the same time, in an event loop on its own thread, and in threads where they block."""

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from choreo.clock import Clock
from choreo.errors import BreakerOpen
from choreo.record import of_fields
from choreo.runtime.calls import failure, result
from choreo.runtime.gate import Entry, Gate, Gates
from choreo.runtime.outside import Outside, Reply
from choreo.runtime.task import Question
from choreo.runtime.threads import CallThreads, default_threads
from choreo.service.calls import Asked, Downstream

logger = logging.getLogger("choreo.runtime")
CLOSE_S = 5
"""So long calls under way are given to end when a worker stops."""


class Bulkhead:
    """The calls of one downstream: `concurrency` of them at once, the others wait in the order in which they came."""

    def __init__(self, limits: Downstream, gate: Gate) -> None:
        self.limits = limits
        self.gate = gate
        self.open = 0
        self.waiting: deque[Errand] = deque()
        self.expiring: deque[tuple[float, Errand]] = deque()
        """Calls under way with the loop's time at which each has taken too long. One timeout for all: in order."""
        self.alarm: asyncio.TimerHandle | None = None

    def watch(self, errand: "Errand", deadline: float) -> None:
        """Its time runs. What has been answered is swept out now and then: a call is short, a timeout long."""
        self.expiring.append((deadline, errand))
        if len(self.expiring) > 2 * self.open + 256:
            self.expiring = deque(pair for pair in self.expiring if not pair[1].answered)

    def expired(self, now: float) -> "list[Errand]":
        """Calls that have taken too long and are not answered."""
        found = []
        while self.expiring and (self.expiring[0][1].answered or self.expiring[0][0] <= now):
            errand = self.expiring.popleft()[1]
            if not errand.answered:
                found.append(errand)
        return found


class Errand:
    """One call from being asked for until it has ended; after a timeout it is answered first and ends later."""

    __slots__ = ("answered", "bulkhead", "entry", "partition", "question", "task")

    def __init__(self, partition: int, question: Question) -> None:
        self.partition, self.question = partition, question
        self.answered = False
        self.bulkhead: Bulkhead | None = None
        """Where it takes a place; None for a call without a downstream."""
        self.entry: Entry | None = None
        self.task: asyncio.Task[Any] | None = None


class LoopOutside(Outside):
    """Makes the calls of one worker. Breakers and rates, concurrency and threads are those of this worker."""

    def __init__(self, clock: Clock, threads: int = 0) -> None:
        self._threads = CallThreads(threads or default_threads())
        self._gates = Gates(clock)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._asked: deque[Errand] = deque()
        self._woken = False
        self._replies: deque[Reply] = deque()
        self._bulkheads: dict[str, Bulkhead] = {}
        self._errands: set[Errand] = set()
        """Those under way: asyncio itself does not keep a task."""

    # -- on the worker's thread ----------------------------------------------------------------------------------------

    def ask(self, partition: int, question: Question) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="choreo calls", daemon=True)
            self._thread.start()
        self._asked.append(Errand(partition, question))
        if not self._woken:  # one waking for all that is asked until the loop comes round
            self._woken = True
            self._loop.call_soon_threadsafe(self._begin)

    def replies(self, limit: int) -> list[Reply]:
        found: list[Reply] = []
        with suppress(IndexError):
            while len(found) < limit:
                found.append(self._replies.popleft())
        return found

    def at_once(self, asked: Asked, make: Callable[[], Any]) -> Any:
        """Make a plain handler's call. With a downstream: wait for its rate, then at most its timeout."""
        limits = asked.limits
        if limits is None:
            return make()
        gate = self._gates.of(limits)
        entry = gate.enter()
        if entry.wait:
            time.sleep(entry.wait / 1_000_000)
        error: Exception | None = None
        try:
            return self._within(limits.timeout_s, make, took_too_long(asked))
        except Exception as raised:
            error = raised
            raise
        finally:
            gate.leave(entry, error)

    def close(self) -> None:
        """Cancel what can be cancelled; calls that block are left to their threads, and the process does not wait."""
        self._threads.close()
        if self._loop is not None and self._thread is not None:
            ended = asyncio.run_coroutine_threadsafe(self._cancelled(), self._loop)
            with suppress(TimeoutError):
                ended.result(timeout=CLOSE_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CLOSE_S)
            if not self._thread.is_alive():
                self._loop.close()
            self._loop = self._thread = None
        if self._threads.busy:
            logger.warning(
                "%d blocking calls are still under way and are left to end with the process: nobody hears how, and the "
                "next owner of their keys makes them again, under the same keys",
                self._threads.busy,
            )

    def _within(self, timeout_s: float, make: Callable[[], Any], late: TimeoutError) -> Any:
        ended: queue.SimpleQueue[tuple[Any, Exception | None]] = queue.SimpleQueue()
        given_up = threading.Event()

        def run() -> None:
            if given_up.is_set():  # it never got a thread in time, and nobody waits for it
                return
            try:
                ended.put((make(), None))
            except Exception as error:  # raised again by the handler's thread
                ended.put((None, error))

        self._threads.submit(run)
        try:
            value, error = ended.get(timeout=timeout_s)
        except queue.Empty:
            given_up.set()
            raise late from None
        if error is not None:
            raise error
        return value

    # -- on the loop's thread ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._woken = False  # first: what is asked from here on wakes again
        with suppress(IndexError):
            while True:
                errand = self._asked.popleft()
                limits = errand.question.call.asked.limits
                if limits is None:
                    self._start(errand)
                    continue
                bulkhead = self._bulkheads.get(limits.name)
                if bulkhead is None:
                    bulkhead = self._bulkheads[limits.name] = Bulkhead(limits, self._gates.of(limits))
                errand.bulkhead = bulkhead
                bulkhead.waiting.append(errand)
        for bulkhead in self._bulkheads.values():
            self._admit(bulkhead)

    def _admit(self, bulkhead: Bulkhead) -> None:
        """Let those begin who wait, as many as may."""
        while bulkhead.waiting and bulkhead.open < bulkhead.limits.concurrency:
            errand = bulkhead.waiting.popleft()
            try:
                errand.entry = bulkhead.gate.enter()
            except BreakerOpen as refusal:
                self._answer(errand, None, refusal)
                continue
            bulkhead.open += 1
            if errand.entry.wait:
                asyncio.get_running_loop().call_later(errand.entry.wait / 1_000_000, self._start, errand)
            else:
                self._start(errand)

    def _start(self, errand: Errand) -> None:
        loop, call = asyncio.get_running_loop(), errand.question.call
        self._errands.add(errand)
        if call.blocking:
            self._threads.submit(lambda: self._run(errand, loop))
        else:
            errand.task = loop.create_task(self._awaited(errand))
        bulkhead = errand.bulkhead
        if bulkhead is not None:
            bulkhead.watch(errand, loop.time() + bulkhead.limits.timeout_s)
            self._set_alarm(bulkhead, loop)

    def _run(self, errand: Errand, loop: asyncio.AbstractEventLoop) -> None:
        """On a thread of its own."""
        value, error = None, None
        if not errand.answered:
            try:
                value = errand.question.call.make()
            except Exception as raised:  # the handler's to catch, wherever it runs
                error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
            loop.call_soon_threadsafe(self._finish, errand, value, error)

    async def _awaited(self, errand: Errand) -> None:
        """As a task of its own."""
        value: Any = None
        error: Exception | None = None
        try:
            value = await errand.question.call.make()
        except asyncio.CancelledError:  # by `_expire` or `_cancelled` nobody hears of it: it is answered
            error = RuntimeError("it was cancelled from inside")
        except Exception as raised:  # the handler's to catch, wherever it runs
            error = raised
        self._finish(errand, value, error)

    def _finish(self, errand: Errand, value: Any, error: Exception | None) -> None:
        self._errands.discard(errand)
        self._answer(errand, value, error)
        if errand.bulkhead is not None:
            errand.bulkhead.open -= 1
            self._admit(errand.bulkhead)

    def _answer(self, errand: Errand, value: Any, error: Exception | None) -> None:
        if errand.answered:
            return
        errand.answered = True
        call, bulkhead = errand.question.call, errand.bulkhead
        if bulkhead is not None and errand.entry is not None:
            bulkhead.gate.leave(errand.entry, error)
        name, use = call.asked.name, call.use
        recorded = result(name, use, value, call.codec) if error is None else failure(name, use, error)
        self._replies.append(of_fields(Reply, (errand.partition, errand.question, recorded)))

    def _set_alarm(self, bulkhead: Bulkhead, loop: asyncio.AbstractEventLoop) -> None:
        if bulkhead.alarm is None and bulkhead.expiring:
            bulkhead.alarm = loop.call_at(bulkhead.expiring[0][0], self._expire, bulkhead, loop)

    def _expire(self, bulkhead: Bulkhead, loop: asyncio.AbstractEventLoop) -> None:
        bulkhead.alarm = None
        for errand in bulkhead.expired(loop.time()):
            self._answer(errand, None, took_too_long(errand.question.call.asked))
            if errand.task is not None:
                errand.task.cancel()
        self._set_alarm(bulkhead, loop)

    async def _cancelled(self) -> None:
        tasks = [errand.task for errand in self._errands if errand.task is not None]
        for bulkhead in self._bulkheads.values():
            bulkhead.waiting.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def took_too_long(asked: Asked) -> TimeoutError:
    """What a handler gets whose call took longer than its downstream allows."""
    assert asked.limits is not None, "only a downstream has a timeout"
    return TimeoutError(f"{asked.limits.name}: call {asked.name!r} took longer than {asked.limits.timeout_s:g} s")
