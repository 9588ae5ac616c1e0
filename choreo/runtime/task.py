"""A task: one partition number of a service, with its entries. Deterministic: inputs, timers and readings in, effects
out.

Live runs and replays drive the same methods: `read_clock`, `take`, `fire`. What they wrote down leaves by `portion`.
"""

from dataclasses import replace
from typing import NamedTuple

from choreo.clock import NEVER
from choreo.errors import ChoreoError, DecodeError, DivergenceError, HandlingError, PublishError, RetryAfter
from choreo.events.codec import Codec
from choreo.events.envelope import HEADER, Ids, pack
from choreo.record import NewRecord, Position, Record, TopicPartition
from choreo.resilience.dead_letter import DeadLetter, Door, describe
from choreo.runtime.calls import CallBook, Recorded
from choreo.runtime.entries import Entries
from choreo.runtime.handling import Failed, Handlings, Outcome
from choreo.runtime.intake import STORY, Input, Intake, story_of
from choreo.runtime.journal import PageWriter, Step
from choreo.runtime.lane import TaskLane
from choreo.runtime.parking import RETRY, Parking, Waiting, place_of, tried
from choreo.runtime.plan import Invocation, Plan
from choreo.service.needs import Needs

MAX_PARKED = 10_000
"""Parked inputs at which a task takes in nothing more."""


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
        self._intake = Intake(plan, entries, codec)
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
    def quiet(self) -> bool:
        """Whether all that happened since the last portion is that the place in the inputs moved."""
        return not self._outputs and self.entries.quiet

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
        refusal = self._refused()
        self._page.took(record.topic, record.offset)
        self.offsets[TopicPartition(record.topic, record.partition)] = record.offset + 1
        self.handled += 1
        self.since += 1
        if refusal is not None:
            self._refuse(Waiting(record=record), refusal)
            return
        given = self._ready(Waiting(record=record))
        if given is not None:
            self._arrive(given)

    def fire(self, timer: bytes, due: int) -> None:
        """Answer one due timer, in its turn."""
        self._page.reading(self.now)
        refusal = self._refused()
        self._page.fired(timer, due)
        self.since += 1
        self.entries.timers.cancel(timer)
        if timer.startswith(RETRY.start):
            self._wake(RETRY.decode(timer), refusal)
            return
        self.handled += 1
        if refusal is not None:
            self._refuse(Waiting(timer=timer, due=due), refusal)
            return
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

    def _ready(self, waiting: Waiting) -> Input | None:
        """What to run for it; None where nothing answers it, or where it became a dead letter."""
        try:
            return self._intake.ready(waiting)
        except (DecodeError, PublishError) as error:
            assert waiting.record is not None, "a timer needs no decoding"
            self._bury(waiting.record, "decode", error, waiting.attempts)
            return None

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

    def _refused(self) -> PublishError | None:
        """Why the input at hand is not to be handled, where what it wants published can't be."""
        error, self._refusal = self._refusal, None
        if error is None:
            return None
        self._page.refused(error)
        return PublishError(error)

    def _refuse(self, waiting: Waiting, error: PublishError) -> None:
        given = self._ready(waiting) if waiting.record is None else None
        if waiting.record is None:
            self.entries.apply({STORY.encode(waiting.timer): None}, {})
        original = waiting.record or Record("", self.partition, -1, 0, given.key if given else b"", None)
        self._bury(original, "publish", error, waiting.attempts)

    def _wake(self, key: bytes, refusal: PublishError | None) -> None:
        """A parked key's time has come."""
        if refusal is None or key not in self._parking:
            self._resume(key)
            return
        self._refuse(self._parking.head(key), refusal)
        self._parking.pop(key)
        if key in self._parking:  # the rest has a turn of its own: it may hold another that can't be published
            self._parking.hold(key, replace(self._parking.head(key), until=self.now))

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
        story = story_of(given.ids)
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
        record = given.waiting.record
        if record is not None:
            self._outputs.extend(_relayed(record, given.ids, topic, key) for topic, key in outcome.relays)

    def _bury(self, record: Record, door: Door, error: Exception, attempts: int, handler: str | None = None) -> None:
        """Write a dead letter: the record's bytes intact, with cause and origin."""
        service = self.plan.service
        origin = Position(record.topic, record.partition, record.offset)
        letter = DeadLetter(
            service.name, door, type(error).__name__, describe(error), origin, attempts, self.now, handler
        )
        self._outputs.extend(letter.records(record, f"{service.scope}.dead-letters"))


def _relayed(record: Record, ids: Ids, topic: str, key: bytes) -> NewRecord:
    """The record as it is, ids and bytes, under another key."""
    headers = [(HEADER, pack(ids)), *(pair for pair in record.headers if pair[0] != HEADER)]
    return NewRecord(topic, key, record.value, headers)
