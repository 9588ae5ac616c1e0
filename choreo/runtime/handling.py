"""Handling: one run of the methods that answer one input, all of them or none."""

import logging
from collections.abc import Callable, Coroutine, Generator, Iterable, Sequence
from typing import Any, Final

from choreo.errors import HandlerError, RecordTooLargeError, UndeclaredEmissionError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, caused_by, derive_id
from choreo.events.event import Event
from choreo.log.interface import MAX_RECORD_BYTES
from choreo.record import NewRecord, Position, of_fields
from choreo.runtime.calls import AtOnce, CallBook, Recorded, Replay, unlimited
from choreo.runtime.intake import Input
from choreo.runtime.lane import TaskLane
from choreo.runtime.log_fields import HandlingLog, event_name, id_fields, place_fields
from choreo.runtime.outputs import Returned
from choreo.runtime.plan import Invocation, Plan
from choreo.service.calls import Asked, BoundDownstream, Call
from choreo.service.context import Context, effects_of
from choreo.service.effects import Emission
from choreo.service.needs import Needs
from choreo.service.store import BoundStore
from choreo.service.timer import BoundTimer

MOST_BYTES: Final = MAX_RECORD_BYTES - 1024
"""Largest key and value of an event: headers need room too."""


class Failed(Exception):  # a control value between handling and task, never shown
    """A method raised. Carries which one, so that its own retry policy decides."""

    def __init__(self, invocation: Invocation, error: Exception) -> None:
        super().__init__(str(error))
        self.invocation, self.error = invocation, error


class Outcome:
    """What a handling wants published, and why its event is a dead letter, where it says so."""

    __slots__ = ("outputs", "relays", "unmatched")

    def __init__(self) -> None:
        self.outputs: list[NewRecord | Returned] = []
        self.unmatched: list[tuple[str, NewRecord | None]] = []
        """Reasons; with a record where it is not the handled one that is the dead letter."""
        self.relays: list[tuple[str, bytes]] = []
        """Topic and key under which the input is handed on."""


class Handlings:
    """Runs the handlers of one task: one object a handler, its stores and timers bound to the task's lane."""

    def __init__(self, plan: Plan, lane: TaskLane, codec: Codec, needs: Needs, replay: Replay) -> None:
        self.lane = lane
        self.calls = CurrentCalls(replay)
        self._service = plan.service.name
        self._codec = codec
        self._logs = [self._log(signature.name) for signature in plan.service.signatures]
        self._running: tuple[Invocation, tuple[object, ...], Input, int] | None = None
        """What runs now, for the records of its log."""
        self._handlers = [self._bound(signature.handler, signature, needs) for signature in plan.service.signatures]
        self._names = [signature.name for signature in plan.service.signatures]

    def _bound(self, handler: Any, signature: Any, needs: Needs) -> Any:
        made = handler(**{need: needs.get(need, signature.name) for need in signature.needs})
        made.__dict__.update({name: BoundStore(store, self.lane) for name, store in signature.stores.items()})
        made.__dict__.update({name: BoundTimer(timer, self.lane) for name, timer in signature.timers.items()})
        made.__dict__.update({name: BoundDownstream(d, self.calls) for name, d in signature.downstreams.items()})
        return made

    def run(self, given: Input, attempt: int) -> Outcome:
        """Run its methods in order, each as `method(*arguments, ctx)`. None of them is asynchronous.

        Raises Failed for the first that raises.
        """
        outcome = Outcome()
        arguments = given.arguments
        for invocation in given.invocations:
            method, ctx = self._begun(invocation, arguments, given, attempt)
            try:
                answer = method(*arguments, ctx)
                self._gather(outcome, invocation, answer, ctx, given)
            except Exception as error:
                raise Failed(invocation, error)
        return outcome

    def drive(
        self, invocations: Sequence[Invocation], arguments: tuple[object, ...], given: Input, attempt: int
    ) -> Generator[Call[Any], Any, Outcome]:
        """As `run`, for methods of either kind: yields what an asynchronous one awaits, to be sent the answer."""
        outcome = Outcome()
        for invocation in invocations:
            method, ctx = self._begun(invocation, arguments, given, attempt)
            try:
                answer = method(*arguments, ctx)
                if invocation.method.asynchronous:
                    answer = yield from _driven(answer, self.calls.book())
                self._gather(outcome, invocation, answer, ctx, given)
            except Exception as error:
                raise Failed(invocation, error)
        return outcome

    def _begun(
        self, invocation: Invocation, arguments: tuple[object, ...], given: Input, attempt: int
    ) -> tuple[Callable[..., Any], Context]:
        """The method of a handler that runs next, and its context."""
        number, _, method = invocation
        self._running = (invocation, arguments, given, attempt)
        ctx = Context(given, self.lane.moment, attempt, self._names[number], self._logs[number], self.calls)
        return getattr(self._handlers[number], method.name), ctx

    def _log(self, handler: str) -> logging.Logger:
        return HandlingLog(logging.getLogger(f"choreo.{self._service}.{handler}"), self._fields)

    def _fields(self) -> dict[str, object]:
        """What the records of `ctx.log` carry."""
        fields: dict[str, object] = {"service": self._service, "task": self.lane.partition}
        if self._running is not None:
            invocation, arguments, given, attempt = self._running
            fields |= {"handler": invocation.signature.name, "event": event_name(arguments, invocation.method.name)}
            fields |= id_fields(given.ids) | {"attempt": attempt}
        if isinstance(self.lane.place, Position):
            fields |= place_fields(self.lane.place)
        return fields

    def _gather(self, outcome: Outcome, invocation: Invocation, answer: Any, ctx: Context, given: Input) -> None:
        """Take over what a method returned and said through its context."""
        outputs, made, handler = outcome.outputs, 0, self._names[invocation[0]]
        if answer is not None:
            for event in (answer,) if type(answer) in invocation[2].emits else self._checked(invocation, answer):
                outputs.append(self._returned(event, given, handler, made))
                made += 1
        effects = effects_of(ctx)
        if effects is None:
            return
        ids = given.ids
        for emission in effects.emissions:
            event_id = derive_id(ids.event_id, self._service, handler, made)
            outputs.append(self._emitted(emission, ids, event_id))
            made += 1
        for reason, kept, its in effects.dead_letters:
            outcome.unmatched.append((reason, None if kept is None else self._codec.encode(kept, its or ids)))
        outcome.relays += effects.relays

    def _returned(self, event: Event, given: Input, handler: str, index: int) -> NewRecord | Returned:
        unsigned = None if given.endless else self._codec.unsigned(event)
        if unsigned is None:
            ids = given.ids
            event_id = derive_id(ids.event_id, self._service, handler, index)
            return self._record(event, caused_by(ids, event_id, self.lane.now))
        _, key, value, _ = unsigned
        self._check_size(event, key, value)
        return of_fields(Returned, (unsigned, given.origin(), self._service, handler, index, self.lane.now))

    def _emitted(self, emission: Emission, ids: Ids, event_id: bytes) -> NewRecord:
        event, story, request_id, attempt, cancelled, saga = emission
        its = caused_by(ids, event_id, self.lane.now)
        its = its._replace(request_id=request_id, attempt=attempt, cancelled=cancelled, saga=saga)
        if story is not None:
            its = its._replace(correlation_id=story)
        return self._record(event, its)

    def _checked(self, invocation: Invocation, answer: Any) -> Iterable[Event]:
        events: Sequence[Event] = (answer,) if isinstance(answer, Event) else answer
        for event in events:
            self._check_declared(invocation, event)
        return events

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

    def _record(self, event: Event, ids: Ids) -> NewRecord:
        record = self._codec.encode(event, ids)
        self._check_size(event, record.key, record.value)
        return record

    def _check_size(self, event: Event, key: bytes | None, value: bytes | None) -> None:
        size = len(value or b"") + len(key or b"")
        if size > MOST_BYTES:
            raise RecordTooLargeError(
                f"{type(event).__name__} is {size:,} bytes, more than the {MOST_BYTES:,} that fit in a record",
                at=self.lane.where(),
                hint="store the large part elsewhere and put where it is into the event",
            )


class CurrentCalls:
    """The recorder that contexts and downstreams share: the book of the handling at hand, opened by its first call."""

    def __init__(self, replay: Replay) -> None:
        self.at_once: AtOnce = unlimited
        """How plain calls are made."""
        self._replay = replay
        self.specs: tuple[str, ...] = ()
        self._given: Input | None = None
        self._book: CallBook | None = None

    def begin(self, given: Input, specs: tuple[str, ...]) -> None:
        """Another input is handled from here on, with these saga specs at work."""
        self._given, self._book, self.specs = given, None, specs

    def call(self, asked: Asked) -> Any:
        return self.book().call(asked)

    def book(self) -> CallBook:
        """The calls of all attempts at this input."""
        if self._book is None:
            assert self._given is not None, "begin comes first"
            ids, waiting = self._given.ids, self._given.waiting
            self._book = CallBook(ids.request_id or ids.event_id, self._replay)
            self._book.kept = dict(waiting.kept)
            self._book.at_once = self.at_once
        return self._book

    def made(self) -> list[Recorded]:
        """What the journal has yet to be told."""
        return [] if self._book is None else self._book.take_made()


def _driven(coroutine: Coroutine[Any, Any, Any], book: CallBook) -> Generator[Call[Any], Any, Any]:
    """Drive an asynchronous method: it may await recorded calls, and nothing else."""
    answer: Any = None
    error: Exception | None = None
    book.asynchronous = True
    try:
        while True:
            try:
                awaited = coroutine.send(answer) if error is None else coroutine.throw(error)
            except StopIteration as end:
                book.expect_awaited()
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
        book.asynchronous = False
        coroutine.close()
