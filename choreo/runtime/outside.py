"""The outside: where asynchronous calls are made, while the worker goes on with other keys."""

import asyncio
import queue
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import NamedTuple

from choreo.runtime.calls import Recorded, failure, result
from choreo.runtime.task import Question
from choreo.service.calls import PlainCall
from choreo.service.eventloop import to_end


class Reply(NamedTuple):
    """How a call ended that a task had asked for."""

    partition: int
    question: Question
    recorded: Recorded


class Outside(ABC):
    """Makes calls and hands over how they ended."""

    @abstractmethod
    def ask(self, partition: int, question: Question) -> None:
        """Begin to make a call, for the task of this partition."""

    @abstractmethod
    def replies(self) -> list[Reply]:
        """Calls that ended since the last time, in the order in which they did."""

    @abstractmethod
    def close(self) -> None:
        """Give up whatever is under way."""


class InlineOutside(Outside):
    """Makes each call to its end at once: for virtual time, where nothing may depend on how long it takes."""

    def __init__(self) -> None:
        self._replies: list[Reply] = []

    def ask(self, partition: int, question: Question) -> None:
        recorded = to_end(lambda: asyncio.run(_made(question.call)))
        self._replies.append(Reply(partition, question, recorded))

    def replies(self) -> list[Reply]:
        replies, self._replies = self._replies, []
        return replies

    def close(self) -> None:
        """Nothing is ever under way."""


class LoopOutside(Outside):
    """Makes calls at the same time, in an event loop on a thread of its own, each within its downstream's limits."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._replies: queue.SimpleQueue[Reply] = queue.SimpleQueue()
        self._slots: dict[str, asyncio.Semaphore] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, partition: int, question: Question) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="choreo calls", daemon=True)
            self._thread.start()
        self._loop.call_soon_threadsafe(self._begin, partition, question)

    def replies(self) -> list[Reply]:
        found: list[Reply] = []
        with suppress(queue.Empty):
            while True:
                found.append(self._replies.get_nowait())
        return found

    def close(self) -> None:
        if self._loop is None or self._thread is None:
            return
        ended = asyncio.run_coroutine_threadsafe(self._cancelled(), self._loop)
        with suppress(TimeoutError):
            ended.result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        if not self._thread.is_alive():
            self._loop.close()
        self._loop = self._thread = None

    def _begin(self, partition: int, question: Question) -> None:
        task = asyncio.get_running_loop().create_task(self._answered(partition, question))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answered(self, partition: int, question: Question) -> None:
        limits = question.call.asked.limits
        if limits is None:
            recorded = await _made(question.call)
        else:
            slot = self._slots.setdefault(limits.name, asyncio.Semaphore(limits.concurrency))
            async with slot:
                recorded = await _made(question.call)
        self._replies.put(Reply(partition, question, recorded))

    async def _cancelled(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _made(call: PlainCall) -> Recorded:
    """Make one call, at most as long as its downstream allows."""
    name, limits = call.asked.name, call.asked.limits
    try:
        if limits is None:
            value = await call.make()
        else:
            async with asyncio.timeout(limits.timeout_s):
                value = await call.make()
    except TimeoutError as error:
        if limits is not None and not error.args:
            error = TimeoutError(f"{limits.name}: call {name!r} took longer than {limits.timeout_s:g} s")
        return failure(name, call.use, error)
    except Exception as error:  # the handler's to catch, wherever it runs
        return failure(name, call.use, error)
    return result(name, call.use, value, call.codec)
