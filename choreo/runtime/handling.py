"""Handling: one run of the methods that answer one input, all of them or none."""

import logging
from collections.abc import Coroutine, Generator, Sequence
from typing import Any, NamedTuple

from choreo.errors import HandlerError, RecordTooLargeError, UndeclaredEmissionError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, caused_by, derive_id
from choreo.events.event import Event
from choreo.log.interface import MAX_RECORD_BYTES
from choreo.record import NewRecord, Position
from choreo.runtime.calls import CallBook
from choreo.runtime.lane import TaskLane
from choreo.runtime.log_fields import HandlingLog, event_name, id_fields, place_fields
from choreo.runtime.plan import Invocation, Plan
from choreo.service.calls import Asked, BoundDownstream, Call
from choreo.service.context import Context
from choreo.service.effects import Effects
from choreo.service.needs import Needs
from choreo.service.store import BoundStore
from choreo.service.timer import BoundTimer

MOST_BYTES = MAX_RECORD_BYTES - 1024
"""Largest key and value of an event: headers need room too."""


class Failed(Exception):  # a control value between handling and task, never shown
    """A method raised. Carries which one, so that its own retry policy decides."""

    def __init__(self, invocation: Invocation, error: Exception) -> None:
        super().__init__(str(error))
        self.invocation, self.error = invocation, error


class Outcome(NamedTuple):
    """What a handling wants published, and why its event is a dead letter, where it says so."""

    outputs: list[NewRecord]
    unmatched: list[tuple[str, NewRecord | None]]
    """Reasons; with a record where it is not the handled one that is the dead letter."""
    relays: list[tuple[str, bytes]]
    """Topic and key under which the input is handed on."""


class Handlings:
    """Runs the handlers of one task: one object a handler, its stores and timers bound to the task's lane."""

    def __init__(self, plan: Plan, lane: TaskLane, codec: Codec, needs: Needs) -> None:
        self.lane = lane
        self._service = plan.service.name
        self._codec = codec
        self._calls = _CurrentCalls()
        self._logs = [self._log(signature.name) for signature in plan.service.signatures]
        self._running: tuple[Invocation, tuple[object, ...], Ids, int] | None = None
        """What runs now, for the records of its log."""
        self._handlers = [self._bound(signature.handler, signature, needs) for signature in plan.service.signatures]

    def _bound(self, handler: Any, signature: Any, needs: Needs) -> Any:
        made = handler(**{need: needs.get(need, signature.name) for need in signature.needs})
        made.__dict__.update({name: BoundStore(store, self.lane) for name, store in signature.stores.items()})
        made.__dict__.update({name: BoundTimer(timer, self.lane) for name, timer in signature.timers.items()})
        made.__dict__.update({name: BoundDownstream(d, self._calls) for name, d in signature.downstreams.items()})
        return made

    def run(
        self, invocations: Sequence[Invocation], arguments: tuple[object, ...], ids: Ids, attempt: int, book: CallBook
    ) -> Generator[Call[Any], Any, Outcome]:
        """Run the methods in order, each as `method(*arguments, ctx)`. Raises Failed for the first that raises.

        Yields what an asynchronous method awaits, to be sent the answer. The caller has entered the lane, and keeps
        or drops its effects.
        """
        outcome = Outcome([], [], [])
        book.begin_attempt()
        self._calls.book = book
        for invocation in invocations:
            effects = Effects(ids.event_id + invocation.signature.name.encode())
            ctx = Context(ids, self.lane.now, attempt, effects, self._logs[invocation.number], self._calls)
            self._running = (invocation, arguments, ids, attempt)
            try:
                answer = getattr(self._handlers[invocation.number], invocation.method.name)(*arguments, ctx)
                if invocation.method.asynchronous:
                    answer = yield from _driven(answer)
                outcome.outputs.extend(self._outputs(invocation, answer, effects, ids))
            except Exception as error:
                raise Failed(invocation, error) from error
            for reason, kept, its in effects.dead_letters:
                outcome.unmatched.append((reason, self._codec.encode(kept, its or ids) if kept is not None else None))
            outcome.relays.extend(effects.relays)
        return outcome

    def _log(self, handler: str) -> logging.Logger:
        return HandlingLog(logging.getLogger(f"choreo.{self._service}.{handler}"), self._fields)

    def _fields(self) -> dict[str, object]:
        """What the records of `ctx.log` carry."""
        fields: dict[str, object] = {"service": self._service, "task": self.lane.partition}
        if self._running is not None:
            invocation, arguments, ids, attempt = self._running
            fields |= {"handler": invocation.signature.name, "event": event_name(arguments, invocation.method.name)}
            fields |= id_fields(ids) | {"attempt": attempt}
        if isinstance(self.lane.place, Position):
            fields |= place_fields(self.lane.place)
        return fields

    def _outputs(self, invocation: Invocation, answer: Any, effects: Effects, ids: Ids) -> list[NewRecord]:
        outputs: list[NewRecord] = []
        name = invocation.signature.name
        if answer is not None:
            events = (answer,) if isinstance(answer, Event) else answer
            for event in events:
                self._check_declared(invocation, event)
                made = derive_id(ids.event_id, self._service, name, len(outputs))
                outputs.append(self._encode(event, caused_by(ids, made, self.lane.now)))
        for emission in effects.emissions:
            made = derive_id(ids.event_id, self._service, name, len(outputs))
            its = caused_by(
                ids,
                made,
                self.lane.now,
                request_id=emission.request_id,
                attempt=emission.attempt,
                cancelled=emission.cancelled,
                saga=emission.saga,
            )
            if emission.correlation_id is not None:
                its = its._replace(correlation_id=emission.correlation_id)
            outputs.append(self._encode(emission.event, its))
        return outputs

    def _check_declared(self, invocation: Invocation, event: object) -> None:
        if type(event) in invocation.method.emits:
            return
        method = f"{invocation.signature.name}.{invocation.method.name}"
        if not isinstance(event, Event):
            raise HandlerError(f"{method} returned {event!r}, which is no event", at=self.lane.where())
        raise UndeclaredEmissionError(
            f"{method} returned {type(event).__name__}, which its annotation does not name",
            at=self.lane.where(),
            hint=f"-> ... | {type(event).__name__}",
        )

    def _encode(self, event: Event, ids: Ids) -> NewRecord:
        record = self._codec.encode(event, ids)
        size = len(record.value or b"") + len(record.key or b"")
        if size > MOST_BYTES:
            raise RecordTooLargeError(
                f"{type(event).__name__} is {size:,} bytes, more than the {MOST_BYTES:,} that fit in a record",
                at=self.lane.where(),
                hint="store the large part elsewhere and put where it is into the event",
            )
        return record


class _CurrentCalls:
    """The recorder that contexts and downstreams share: the book of the handling that runs."""

    book: CallBook

    def call(self, asked: Asked) -> Any:
        return self.book.call(asked)


def _driven(coroutine: Coroutine[Any, Any, Any]) -> Generator[Call[Any], Any, Any]:
    """Drive an asynchronous method: it may await recorded calls, and nothing else."""
    answer: Any = None
    error: Exception | None = None
    try:
        while True:
            try:
                awaited = coroutine.send(answer) if error is None else coroutine.throw(error)
            except StopIteration as end:
                return end.value
            if not isinstance(awaited, Call):
                raise HandlerError(
                    f"a handler awaited {awaited!r}",
                    why="only recorded calls can be saved, ordered and replayed",
                    hint="await ctx.call(...), ctx.ask(...), a Downstream's, or ctx.gather(...) of them",
                )
            answer = error = None
            try:
                answer = yield awaited
            except Exception as raised:  # the call's own, for the handler to catch
                error = raised
    finally:
        coroutine.close()
