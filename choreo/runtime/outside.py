"""The outside: where recorded calls are made, each within the limits of its downstream.

Those that an asynchronous handler awaits are made while the worker goes on with other keys (`runtime/calling.py`); a
plain handler waits for its own.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple

from choreo.clock import NEVER, Clock
from choreo.errors import BreakerOpen
from choreo.runtime.calls import Recorded, failure, result, unlimited
from choreo.runtime.gate import Entry, Gates
from choreo.runtime.task import Question
from choreo.service.calls import Asked, PlainCall
from choreo.service.eventloop import to_end

HEAR_AGAIN = 2000
"""Microseconds until the outside is asked again for what has ended."""


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
    def replies(self, limit: int) -> list[Reply]:
        """Up to `limit` calls that ended since the last time, in the order in which they did."""

    def at_once(self, asked: Asked, make: Callable[[], Any]) -> Any:
        """Make the call of a plain handler, which waits for it."""
        return unlimited(asked, make)

    def next_due(self, now: int) -> int:
        """When to ask for replies again (microseconds), while calls are under way."""
        return now + HEAR_AGAIN

    @abstractmethod
    def close(self) -> None:
        """Give up whatever is under way."""


class InlineOutside(Outside):
    """For virtual time: a call takes no time at all, so neither timeout nor concurrency plays a part. An open breaker
    refuses, and a rate puts off until the clock is there; a plain handler's call is not put off.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._gates = Gates(clock)
        self._asked: list[tuple[int, int, int, Question, Entry | None]] = []
        """When each is due, its place among those due at once, its partition, and its entry once it may begin."""
        self._numbers = count()

    def ask(self, partition: int, question: Question) -> None:
        heappush(self._asked, (self._clock.now(), next(self._numbers), partition, question, None))

    def replies(self, limit: int) -> list[Reply]:
        found: list[Reply] = []
        now = self._clock.now()
        while self._asked and self._asked[0][0] <= now and len(found) < limit:
            _, _, partition, question, entry = heappop(self._asked)
            call, limits = question.call, question.call.asked.limits
            if limits is None:
                found.append(Reply(partition, question, self._made(call)[0]))
                continue
            gate = self._gates.of(limits)
            try:
                entry = entry or gate.enter()
            except BreakerOpen as refusal:
                found.append(Reply(partition, question, failure(call.asked.name, call.use, refusal)))
                continue
            if entry.wait:
                later = now + entry.wait
                heappush(self._asked, (later, next(self._numbers), partition, question, entry._replace(wait=0)))
                continue
            recorded, error = self._made(call)
            gate.leave(entry, error)
            found.append(Reply(partition, question, recorded))
        return found

    def at_once(self, asked: Asked, make: Callable[[], Any]) -> Any:
        if asked.limits is None:
            return make()
        gate = self._gates.of(asked.limits)
        entry = gate.enter()
        error: Exception | None = None
        try:
            return make()
        except Exception as raised:
            error = raised
            raise
        finally:
            gate.leave(entry, error)

    def next_due(self, now: int) -> int:
        return self._asked[0][0] if self._asked else NEVER

    def close(self) -> None:
        self._asked.clear()

    def _made(self, call: PlainCall) -> tuple[Recorded, Exception | None]:
        try:
            value = call.make() if call.blocking else to_end(lambda: asyncio.run(awaiting(call)))
        except Exception as error:  # the handler's to catch, wherever it runs
            return failure(call.asked.name, call.use, error), error
        return result(call.asked.name, call.use, value, call.codec), None


async def awaiting(call: PlainCall) -> Any:
    """A coroutine of whatever the call gives to await."""
    return await call.make()
