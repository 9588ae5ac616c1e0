"""A rough world: the log in memory and calls to the outside, with the delays and losses that fate sends.

Everything else is as live: what is held back here is only seen later, what is lost was really done.
"""

from collections.abc import Callable
from heapq import heappush
from typing import Any

from choreo.clock import NEVER, Clock
from choreo.log.feed import Cursor
from choreo.log.groups import Group
from choreo.log.interface import Listener, Membership
from choreo.log.local_member import LocalMember
from choreo.log.memory import MemoryLog
from choreo.runtime.calls import Recorded, failure
from choreo.runtime.outside import InlineOutside
from choreo.runtime.task import Question
from choreo.service.calls import Asked, PlainCall
from choreo.testing.faults import SECOND, Fault

Delay = Callable[[str, str], int]
"""How long (microseconds) what is new in a partition is held back from a worker, by its instance and the partition."""
Call = Callable[[str], Fault | None]
"""The fault that strikes the next call of this name."""
Side = Callable[[Fault | None, str], None]
"""Passes a side of a call, before or after: whoever is struck there does not come back, or does so later."""


class RoughLog(MemoryLog):
    """A log in memory whose members see what is new in one partition later than what is new in another."""

    def __init__(self, clock: Clock, delay: Delay) -> None:
        super().__init__(clock, cluster="simulation")
        self._delay = delay

    def _admit(self, group: Group, membership: Membership, listener: Listener) -> LocalMember:
        return RoughMember(self, group, membership, listener)

    def delay(self, instance: str, partition: str) -> int:
        """How long a fetch of this partition takes (microseconds); 0 for at once."""
        return self._delay(instance, partition)


class RoughMember(LocalMember):
    """Asks for each fetch how long it takes, and can vanish without a word."""

    def __init__(self, log: RoughLog, group: Group, membership: Membership, listener: Listener) -> None:
        self._held: dict[Cursor, int] = {}
        """Partitions with something new that is not seen yet, and until when."""
        self._arrived: set[Cursor] = set()
        self._rough, self.instance = log, membership.instance
        super().__init__(log, group, membership, listener)

    def has_records(self) -> bool:
        if self._held or self._ready:
            self._sift()
        elif not self._seat.attention and self._now() < self._group.deadline:
            return False  # asked of everybody at every instant; that it lives was told by `beat`
        return super().has_records()

    def poll(self, timeout_s: float, limit: int = 1000) -> list[Any]:
        records = super().poll(0, limit)
        self._arrived.clear()
        return records

    @property
    def next_arrival(self) -> int:
        """When the next delayed fetch ends (microseconds)."""
        return min(self._held.values(), default=NEVER)

    def beat(self, now: int) -> None:
        """A sign of life, as a live loop gives several a second."""
        self._seat.seen = now

    def vanish(self) -> None:
        """The process is gone: the group notices when the session runs out, or when it comes back."""
        self._closed = True
        self._forget()
        self._feed.drop()

    def _sift(self) -> None:
        """Let those in whose time has come, and hold back what fate delays."""
        now = self._now()
        for cursor in [cursor for cursor, until in self._held.items() if until <= now]:
            del self._held[cursor]
            self._arrived.add(cursor)
            cursor.settle()
        for cursor in [cursor for cursor in self._ready if cursor not in self._arrived]:
            if cursor not in self._held:
                delay = self._rough.delay(self.instance, str(cursor.partition.name))
                if not delay:
                    self._arrived.add(cursor)
                    continue
                self._held[cursor] = now + delay
            del self._ready[cursor]

    def _give_up(self) -> None:
        self._forget()
        super()._give_up()

    def _lose(self) -> None:
        self._forget()
        super()._lose()

    def _forget(self) -> None:
        self._held.clear()
        self._arrived.clear()


class RoughOutside(InlineOutside):
    """Makes calls that fail, dawdle, or are made and yet not heard of."""

    def __init__(self, clock: Clock, call: Call, side: Side) -> None:
        super().__init__(clock)
        self._call, self._side = call, side
        self._faults: dict[int, tuple[PlainCall, Fault]] = {}
        """By the id of a call that waits here; the call beside it, so that no other one gets its id."""

    def ask(self, partition: int, question: Question) -> None:
        call, wait = question.call, 0
        fault = self._call(call.asked.name)
        if fault is not None:
            if fault.kind == "slow":
                wait = min(fault.micros, _patience(call.asked))
                fault = fault._replace(kind="lose") if wait < fault.micros else None
            if fault is not None:
                self._faults[id(call)] = (call, fault)
        heappush(self._asked, (self._clock.now() + wait, next(self._numbers), partition, question, None))

    def at_once(self, asked: Asked, make: Callable[[], Any]) -> Any:
        fault = self._call(asked.name)

        def made() -> Any:
            self._side(fault, "before")
            if fault is not None and fault.kind == "fail":
                raise unheard(asked)
            answer = make()
            self._side(fault, "after")
            if fault is not None and fault.kind == "lose":
                raise unheard(asked)
            return answer

        return super().at_once(asked, made)

    def _made(self, call: PlainCall) -> tuple[Recorded, Exception | None]:
        _, fault = self._faults.pop(id(call), (call, None))
        self._side(fault, "before")
        if fault is not None and fault.kind == "fail":
            return self._unheard(call)
        made = super()._made(call)
        self._side(fault, "after")
        return self._unheard(call) if fault is not None and fault.kind == "lose" else made

    def _unheard(self, call: PlainCall) -> tuple[Recorded, Exception]:
        error = unheard(call.asked)
        return failure(call.asked.name, call.use, error), error


def _patience(asked: Asked) -> int:
    """How long (microseconds) somebody waits for the answer."""
    return NEVER if asked.limits is None else round(asked.limits.timeout_s * SECOND)


def unheard(asked: Asked) -> TimeoutError:
    """What a handler gets that hears nothing of its call: whether it was made, nobody knows."""
    return TimeoutError(f"call {asked.name!r}: nothing was heard of it (simulated)")
