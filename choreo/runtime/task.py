"""A task: one partition number of a service, with its entries. Deterministic: inputs, timers and readings in, effects
out.

Live runs and replays drive the same methods: `read_clock`, `take`, `fire`. What they wrote down leaves by `portion`.
"""

from typing import NamedTuple

from choreo.clock import NEVER
from choreo.errors import ChoreoError, DecodeError, DivergenceError, HandlingError, PublishError, RetryAfter
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id
from choreo.events.event import key_of
from choreo.record import NewRecord, Position, Record, TopicPartition
from choreo.resilience.dead_letter import DeadLetter, Door, describe
from choreo.runtime.calls import CallBook, Recorded
from choreo.runtime.entries import Entries
from choreo.runtime.handling import Failed, Handlings, Outcome
from choreo.runtime.journal import PageWriter, Step
from choreo.runtime.lane import TaskLane
from choreo.runtime.parking import RAW, RETRY, Parking, Waiting, place_of, tried
from choreo.runtime.plan import Invocation, Plan
from choreo.service.needs import Needs
from choreo.service.timer import timer_name
from choreo.state.keys import key_codec

MAX_PARKED = 10_000
"""Parked inputs at which a task takes in nothing more."""

STORY = key_codec("~story", bytes)
"""Which story a timer belongs to, by the timer's key: version byte 1, causation id (16 bytes), correlation id."""


class Input(NamedTuple):
    """One record or due timer, ready to be handled."""

    key: bytes
    ids: Ids
    arguments: tuple[object, ...]
    invocations: tuple[Invocation, ...]
    waiting: Waiting


class Portion(NamedTuple):
    """What a task adds to a checkpoint."""

    outputs: list[NewRecord]
    logged: dict[bytes, bytes | None]
    local: dict[bytes, bytes | None]
    steps: list[Step]


class Task:
    """Handles inputs one after the other; a failing one is tried again, parked behind a timer, or becomes a dead
    letter.
    """

    def __init__(self, plan: Plan, partition: int, entries: Entries, codec: Codec, needs: Needs) -> None:
        self.plan = plan
        self.partition = partition
        self.entries = entries
        self.now = 0
        self.handled = 0
        self.since = 0
        """Inputs and timers since the last portion."""
        self.halted: str | None = None
        self.recorded: list[Recorded] | None = None
        """Results of calls to be read back instead of made: set by a replay."""
        self.offsets: dict[TopicPartition, int] = {}
        """The next offset of each input that was taken since the last portion."""
        self._codec = codec
        self._lane = TaskLane(entries)
        self._handlings = Handlings(plan, self._lane, codec, needs)
        self._parking = Parking(entries)
        self._page = PageWriter(plan.topics)
        self._outputs: list[NewRecord] = []
        self._refusal: str | None = None

    @property
    def full(self) -> bool:
        """Whether so much is parked that nothing more may come in."""
        return self._parking.count >= MAX_PARKED

    @property
    def parked(self) -> int:
        return self._parking.count

    def next_due(self) -> int:
        """When the next timer or parked key is due (microseconds), NEVER where none is."""
        return min(self.entries.timers.next_due(), self._parking.next_due())

    def due_retry(self, now: int) -> tuple[bytes, int] | None:
        """A parked key that is to be tried again, as `fire` takes it."""
        due = self._parking.next_due()
        return None if due > now else (RETRY.encode(self._parking.first_due()), due)

    @property
    def dirty(self) -> bool:
        """Whether anything happened since the last portion."""
        return bool(self._page.steps)

    def read_clock(self, now: int) -> None:
        """`now` (microseconds) is what the handlings from here on are told; it never goes back."""
        self.now = max(self.now, now)

    def refuse_next(self, error: str) -> None:
        """What the next input wants published can't be: it becomes a dead letter unhandled."""
        self._refusal = error

    def take(self, record: Record) -> None:
        """Handle one record, in its turn."""
        self._page.reading(self.now)
        if self._refusal is not None:
            self._page.refused(self._refusal)
        self._page.took(record.topic, record.offset)
        self.offsets[TopicPartition(record.topic, record.partition)] = record.offset + 1
        self.handled += 1
        self.since += 1
        if self._refusal is not None:
            error, self._refusal = self._refusal, None
            self._bury(record, "publish", PublishError(error), 0)
            return
        given = self._ready(Waiting(record=record))
        if given is not None:
            self._arrive(given)

    def fire(self, timer: bytes, due: int) -> None:
        """Answer one due timer, in its turn."""
        self._page.reading(self.now)
        self._page.fired(timer, due)
        self.since += 1
        self.entries.timers.cancel(timer)
        if timer.startswith(RETRY.start):
            self._resume(RETRY.decode(timer))
            return
        self.handled += 1
        given = self._ready(Waiting(timer=timer, due=due))
        if given is not None:
            self._arrive(given)

    def portion(self) -> Portion:
        """Everything since the last portion, for a checkpoint. Its offsets are in `offsets` until `settled`."""
        logged, local = self.entries.take()
        outputs, self._outputs = self._outputs, []
        self.since = 0
        return Portion(outputs, logged, local, self._page.take())

    def reset(self) -> None:
        """Forget everything since the last checkpoint: it will be taken again."""
        self.entries.forget()
        self._lane.drop()
        self._page.forget()
        self._outputs.clear()
        self.since = 0
        self.offsets.clear()
        self._refusal = None
        self._parking = Parking(self.entries)

    # -- from a record or a timer to its methods -----------------------------------------------------------------------

    def _ready(self, waiting: Waiting) -> Input | None:
        """What to run for it; None where nothing answers it, or where it became a dead letter."""
        if waiting.record is None:
            return self._ready_timer(waiting)
        record = waiting.record
        try:
            kind = self._codec.event_class(record)
            invocations = self.plan.by_event.get(kind) if kind else None
            if invocations is None:
                return None
            ids = self._codec.ids(record)
            event = self._codec.event(record)
            if not event.contract.external and key_of(event) != record.key:
                raise DecodeError(
                    f"the record's key {record.key!r} is not the key of its {kind.__name__}, {key_of(event)!r}"
                    if kind
                    else "no key",
                    at=record.position,
                    why="an event is found again by its key",
                    hint=f"publish it with the text of {', '.join(event.contract.key)} as the record's key",
                )
        except DecodeError as error:
            self._bury(record, "decode", error, waiting.attempts)
            return None
        return Input(record.key or b"", ids, (event,), invocations, waiting)

    def _ready_timer(self, waiting: Waiting) -> Input | None:
        name = timer_name(waiting.timer)
        invocation = self.plan.by_timer.get(name)
        if invocation is None:
            return None
        timer = next(timer for timer in invocation.signature.timers.values() if timer.name == name)
        codec = timer.codec()
        key = codec.decode(waiting.timer)
        story = self.entries.read(STORY.encode(waiting.timer), RAW)
        ids = Ids(
            event_id=derive_id(derive_id(b"", self.plan.service.name, waiting.timer.hex(), 0), "", "due", waiting.due),
            correlation_id=story[17:].decode(),
            causation_id=story[1:17],
            request_id=None,
            attempt=1,
            at=max(waiting.due, 0),
            cancelled=False,
            saga=None,
            key_id=None,
        )
        return Input(codec.first_part_text(key), ids, (key,), (invocation,), waiting)

    # -- doors ---------------------------------------------------------------------------------------------------------

    def _arrive(self, given: Input) -> None:
        if given.key not in self._parking:
            held = self._work(given)
            if held is not None:
                self._parking.hold(given.key, held)
        elif self._overtakes(given):
            self._parking.pop(given.key)
            held = self._work(given)
            if held is not None:
                self._parking.put_first(given.key, held)
            else:
                self._resume(given.key)
        else:
            self._parking.append(given.key, given.waiting)

    def _overtakes(self, given: Input) -> bool:
        """Whether it asks to undo the very event that failed: a saga must not wait behind its own failure."""
        undone = {invocation.signature.name for invocation in given.invocations if invocation.undoes}
        if not undone:
            return False
        head = self._ready(self._parking.head(given.key))
        return (
            head is not None
            and head.waiting.record is not None
            and head.ids.correlation_id == given.ids.correlation_id
            and any(i.signature.name in undone and not i.undoes for i in head.invocations)
        )

    def _resume(self, key: bytes) -> None:
        """Go on with the line of `key`, until it is empty or its head fails again."""
        while key in self._parking:
            waiting = self._parking.head(key)
            if waiting.until == NEVER:
                return
            given = self._ready(waiting)
            held = self._work(given) if given is not None else None
            if held is not None:
                self._parking.hold(key, held)
                return
            self._parking.pop(key)

    def _work(self, given: Input) -> Waiting | None:
        """Try it, in place at first. Answers what must wait, or None when it is settled."""
        waiting = given.waiting
        book = CallBook(given.ids.request_id or given.ids.event_id, self.recorded)
        book.kept = dict(waiting.kept)
        attempts = waiting.attempts
        while True:
            attempts += 1
            self._lane.enter(given.key, self.now, place_of(waiting))
            try:
                outcome = self._handlings.run(given.invocations, given.arguments, given.ids, attempts, book)
            except Failed as failure:
                self._lane.drop()
                if isinstance(failure.error, DivergenceError):
                    raise failure.error from failure
                self._page.called(book.made)
                book.made = []
                wait_s = self._next_wait_s(failure, attempts)
                if wait_s is None:
                    return self._exhausted(given, failure, attempts, book)
                if wait_s > 0:
                    return tried(waiting, attempts, failure.error, book.kept, self.now + round(wait_s * 1_000_000))
                continue
            self._page.called(book.made)
            self._settle(given, outcome)
            return None

    def _next_wait_s(self, failure: Failed, attempts: int) -> float | None:
        """Seconds to the next attempt, 0 for at once, None for no further one. An undo has no last attempt."""
        error, undoes = failure.error, failure.invocation.undoes
        retry = failure.invocation.signature.handler.retry
        if isinstance(error, RetryAfter) and (undoes or attempts < retry.attempts):
            return error.wait_s
        if undoes:
            return retry.next_wait_s(attempts, error, endless=True) if isinstance(error, retry.on) else retry.max_wait_s
        if isinstance(error, ChoreoError):
            return None
        return retry.next_wait_s(attempts, error)

    def _exhausted(self, given: Input, failure: Failed, attempts: int, book: CallBook) -> Waiting | None:
        """After the last attempt: what the handler gives up with, else a dead letter and what the policy says."""
        invocation, error = failure.invocation, failure.error
        give_up = invocation.signature.give_up
        if (
            give_up is not None
            and invocation.method.name == "handle"
            and not isinstance(error, HandlingError | PublishError)
        ):
            self._lane.enter(given.key, self.now, place_of(given.waiting))
            last = Invocation(invocation.number, invocation.signature, give_up)
            try:
                outcome = self._handlings.run((last,), (*given.arguments, error), given.ids, attempts, book)
            except Failed as failed:
                self._lane.drop()
                error = failed.error
            else:
                self._settle(given, outcome)
                return None
        door: Door = "publish" if isinstance(error, PublishError) else "handle"
        original = given.waiting.record or Record("", self.partition, -1, 0, given.key, None)
        self._bury(original, door, error, attempts, invocation.signature.name)
        then = invocation.signature.handler.retry.then
        if then == "skip" or isinstance(error, HandlingError | PublishError):
            return None
        if then == "stop":
            self.halted = f"{invocation.signature.name} failed {attempts} times on {place_of(given.waiting)}: {error}"
        return tried(given.waiting, attempts, error, book.kept)

    def _settle(self, given: Input, outcome: Outcome) -> None:
        """It ended well: its effects are the task's."""
        if given.waiting.timer:
            self.entries.apply({STORY.encode(given.waiting.timer): None}, {})
        story = bytes([1]) + given.ids.event_id + given.ids.correlation_id.encode()
        for timer, due in self._lane.timers.items():
            self.entries.apply({STORY.encode(timer): None if due is None else (story, story)}, {})
        self._lane.keep()
        self._outputs.extend(outcome.outputs)
        for reason, kept in outcome.unmatched:
            original = given.waiting.record
            if kept is not None:
                original = Record(kept.topic, self.partition, -1, self.now // 1000, kept.key, kept.value, kept.headers)
            if original is not None:
                self._bury(original, "unmatched", ChoreoError(reason), given.waiting.attempts)

    def _bury(self, record: Record, door: Door, error: Exception, attempts: int, handler: str | None = None) -> None:
        """Write a dead letter: the record's bytes intact, with cause and origin."""
        service = self.plan.service
        origin = Position(record.topic, record.partition, record.offset)
        letter = DeadLetter(
            service.name, door, type(error).__name__, describe(error), origin, attempts, self.now, handler
        )
        self._outputs.append(letter.record(record, f"{service.scope}.dead-letters"))
