"""Context: what a handler is told about its event, and the few things it may say besides returning events."""

from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from logging import Logger
from random import Random
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, overload
from uuid import UUID

from choreo.clock import to_datetime
from choreo.events.envelope import Ids
from choreo.events.event import Event, Job
from choreo.events.saga_mark import SagaMark
from choreo.service.calls import Call, Calls, GatheredCall, Recorder
from choreo.service.effects import Effects, Emission, Unmatched

T = TypeVar("T")
D = TypeVar("D")
V = TypeVar("V")

Emissions: TypeAlias = Event | Sequence[Event] | None
Answer: TypeAlias = Emissions | Awaitable[Emissions]


class Identified(Protocol):
    """What is handled: its ids may be worked out when they are asked for."""

    @property
    def ids(self) -> Ids: ...


class Context(Calls):
    """One handling's context. Time, randomness and ids come from here, so that a replay gets the same ones."""

    __slots__ = ("_calls", "_effects", "_given", "_handler", "_random", "attempt", "log", "now")

    now: datetime
    """When the batch of this event was read, UTC; never earlier than any `now` before it in this task."""
    attempt: int
    """1 for the first attempt at this handling."""

    def __init__(
        self, given: Identified, now: datetime, attempt: int, handler: str, log: Logger, recorder: Recorder
    ) -> None:
        self.now = now
        self.attempt = attempt
        self.log = log
        self._given = given
        self._handler = handler
        self._calls = recorder
        self._effects: Effects | None = None
        self._random: Random | None = None

    @property
    def event_id(self) -> UUID:
        """The id of the event that is handled."""
        return UUID(bytes=self._given.ids.event_id)

    @property
    def emitted_at(self) -> datetime:
        """When the event that is handled was emitted, UTC: later than what caused it."""
        return to_datetime(self._given.ids.at)

    @property
    def correlation_id(self) -> str:
        """The story that this event belongs to; what the handler returns belongs to it too."""
        return self._given.ids.correlation_id

    @property
    def causation_id(self) -> UUID | None:
        """The id of the event that caused this one."""
        return None if self._given.ids.causation_id is None else UUID(bytes=self._given.ids.causation_id)

    @property
    def again(self) -> UUID | None:
        """Which operation of an operator put this event on the log again; None where it is news."""
        return None if self._given.ids.again is None else UUID(bytes=self._given.ids.again.operation)

    @property
    def cancelled(self) -> bool:
        """Whether this request was made after its saga was cancelled."""
        return self._given.ids.cancelled

    @property
    def saga(self) -> SagaMark | None:
        """Which saga and step asked, where one did."""
        return self._given.ids.saga

    @property
    def random(self) -> Random:
        """Randomness that is the same in every attempt and every replay of this handling."""
        if self._random is None:
            self._random = Random(
                self._given.ids.event_id + self._handler.encode()
            )  # no secrets: it must be reproducible
        return self._random

    def uuid(self) -> UUID:
        """A new id, the same in every attempt and every replay of this handling."""
        return UUID(int=self.random.getrandbits(128), version=4)

    def emit(self, event: Event, /, *, correlation_id: str) -> None:
        """Say something in another story; what belongs to this one is returned."""
        self._written().emissions.append(Emission(event, correlation_id=correlation_id))

    def request(
        self,
        event: Event,
        /,
        *,
        request_id: bytes,
        attempt: int = 1,
        cancelled: bool = False,
        saga: SagaMark | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Emit a request that may be made again: the same `request_id` (16 bytes) however often. For coordinators.

        `correlation_id` is the story that it belongs to, where that is not the story of the handled event.
        """
        self._written().emissions.append(Emission(event, correlation_id, request_id, attempt, cancelled, saga))

    def dead_letter(self, reason: str, event: Event | None = None, ids: Ids | None = None) -> None:
        """Send the handled event, or one that was kept (with its `ids`), to the dead letters. For coordinators."""
        self._written().dead_letters.append(Unmatched(reason, event, ids))

    def relay(self, topic: str, key: bytes) -> None:
        """Hand the handled event on as it is, under another key. For relays."""
        self._written().relays.append((topic, key))

    def enqueue(
        self,
        job: Job,
        /,
        *,
        priority: Literal["high", "normal", "low"] = "normal",
        after: timedelta | None = None,
        at: datetime | None = None,
        dedupe: str | None = None,
        deadline: datetime | None = None,
    ) -> UUID:
        """Put a job on its queue with options; returning it does so without."""
        raise NotImplementedError("queues with options are not run by this version of Choreo: return the job instead")

    def progress(self, done: float, note: str = "") -> None:
        """Say how far a long job is, 0 to 1; it goes to the log at level DEBUG."""
        self.log.debug("%.0f%% %s", done * 100, note)

    @overload
    def gather(self, one: Call[T], two: Call[D], /) -> Call[tuple[T, D]]: ...
    @overload
    def gather(self, one: Call[T], two: Call[D], three: Call[V], /) -> Call[tuple[T, D, V]]: ...
    @overload
    def gather(self, *calls: Call[T]) -> Call[tuple[T, ...]]: ...
    def gather(self, *calls: Call[Any]) -> Call[Any]:
        """All of these calls at once; the first error, in this order, is raised when all have ended."""
        return GatheredCall(calls)

    def _recorder(self) -> Recorder:
        return self._calls

    def _written(self) -> Effects:
        if self._effects is None:
            self._effects = Effects()
        return self._effects


def ids_of(ctx: Context) -> Ids:
    """The ids of the handled event as they lie on the log. For coordinators."""
    return ctx._given.ids


def specs_at_work(ctx: Context) -> tuple[str, ...]:
    """Digests of the saga specs that were at work when this was first handled; the one for new instances first."""
    return ctx._calls.specs


def effects_of(ctx: Context) -> Effects | None:
    """What was said through this context; None for nothing."""
    return ctx._effects
