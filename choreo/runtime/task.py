"""A task: one partition number of a service, with its entries. Deterministic: inputs, timers and readings in, effects
out.

Live runs and replays drive the same methods: `read_clock`, `take`, `fire`. What they wrote down leaves by `portion`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from choreo.clock import NEVER
from choreo.errors import DecodeError, DivergenceError, PublishError
from choreo.events.codec import Codec
from choreo.record import Record, TopicPartition, of_fields
from choreo.runtime.calls import AtOnce, Recorded, unlimited
from choreo.runtime.entries import Entries
from choreo.runtime.flight import Flight, Landing
from choreo.runtime.handling import Failed, Handlings
from choreo.runtime.intake import Input, Intake
from choreo.runtime.journal import PageWriter, Step
from choreo.runtime.lane import TaskLane
from choreo.runtime.ledger import Ledger
from choreo.runtime.observer import Observer
from choreo.runtime.outputs import Outputs
from choreo.runtime.overtaking import Precedence
from choreo.runtime.parking import RETRY, Parking, Waiting
from choreo.runtime.plan import Plan
from choreo.service.calls import PlainCall
from choreo.service.needs import Needs

MAX_PARKED = 10_000
"""Parked inputs at which a task takes in nothing more."""


class Portion(NamedTuple):
    """What a task adds to a checkpoint."""

    outputs: Outputs
    logged: dict[bytes, bytes | None]
    local: dict[bytes, bytes | None]
    steps: list[Step]


class Question(NamedTuple):
    """A call that a flight waits for, and which flight that is."""

    key: bytes
    flight: Flight
    call: PlainCall


class Task:
    """Handles inputs, those of one key one after the other; a failing one is tried again, parked behind a timer, or
    becomes a dead letter.
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
        self.specs: tuple[str, ...] = ()
        """Digests of the saga specs at work."""
        self.recorded: list[Recorded] | None = None
        """Results of calls to be read back instead of made: set by a replay."""
        self.at_once: AtOnce = unlimited
        """How plain calls are made: set by a worker."""
        self.positions: dict[str, int] = {}
        """The next offset of each input topic of which anything was taken since the last portion."""
        self.flights: dict[bytes, Flight] = {}
        """Inputs that wait for recorded calls, by key."""
        self._moved_flights: dict[bytes, Flight] = {}
        """Those that went on since the last portion: only they have anything to save."""
        self._codec, self._needs = codec, needs
        self._intake = Intake(plan, entries, codec)
        self._crews: list[Handlings] = []
        """Those that fly nothing; a plain handling ends before another begins, so it takes the last of them."""
        self._most_flights = max((s.handler.concurrency for s in plan.service.signatures), default=1)
        self._parking = Parking(entries)
        self._page = PageWriter(plan.topics)
        self._ledger = Ledger(plan.service, partition, entries)
        self._precedence = Precedence(self._parking, self._intake.seen, self._ledger.forget_timer)
        self._questions: list[Question] = []
        self._refusal: str | None = None

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of failures from here on; a task that is rebuilt by a replay tells nobody."""
        self._ledger.observer = observer

    @property
    def offsets(self) -> dict[TopicPartition, int]:
        """The next offset of each input that was taken since the last portion."""
        number = self.partition
        return {of_fields(TopicPartition, (topic, number)): offset for topic, offset in self.positions.items()}

    @property
    def at_rest(self) -> bool:
        """Whether nothing is in flight, parked or halted: the next input need not look out for others."""
        return not (self.flights or self._parking.count) and self.halted is None

    @property
    def crowded(self) -> bool:
        """Whether as many inputs wait for calls as the handlers' `concurrency` allows."""
        return len(self.flights) >= self._most_flights

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
    def lines(self) -> Parking:
        """What is parked: a replay may decide by itself what is tried again."""
        return self._parking

    @property
    def quiet(self) -> bool:
        """Whether all that happened since the last portion is that the place in the inputs moved."""
        return not self._ledger.outputs and self.entries.quiet

    @property
    def dirty(self) -> bool:
        """Whether anything happened since the last portion."""
        return bool(self._page)

    def read_clock(self, now: int) -> None:
        """`now` (microseconds) is what the handlings from here on are told; it never goes back."""
        self.now = self._ledger.now = max(self.now, now)

    def refuse_next(self, error: str) -> None:
        """What the next input wants published can't be: it becomes a dead letter unhandled."""
        self._refusal = error

    def take(self, record: Record) -> None:
        """Handle one record, in its turn."""
        topic, _, offset, _, _, _, _ = record
        self._page.reading(self.now)
        refusal = self._refused() if self._refusal is not None else None
        self._page.took(topic, offset)
        self.positions[topic] = offset + 1
        self.handled += 1
        self.since += 1
        waiting = Waiting(record)
        if refusal is not None:
            self._refuse(waiting, refusal)
            return
        given = self._ready(waiting)
        if given is not None:
            self._arrive(given)

    def redo(self, records: list[Record], calls: list[Recorded]) -> Iterator[Record]:
        """Handle these one after the other, for a replay: the last reads back these calls, the others made none.

        Yields each behind its turn.
        """
        self.recorded = []
        last = records[-1]
        for record in records:
            if record is last:
                self.recorded = calls
            self.take(record)
            yield record

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

    def answers(self, record: Record) -> bool:
        """Whether a record is more than passed over."""
        return self._intake.answers(record)

    def questions(self) -> list[Question]:
        """Calls that are to be made now; their outcomes come back by `answer`."""
        questions, self._questions = self._questions, []
        return questions

    def answer(self, key: bytes, recorded: Recorded) -> None:
        """The outcome of a call that the flight of `key` waits for, in its turn."""
        flight = self.flights.get(key)
        if flight is None:
            raise DivergenceError(f"call {recorded.name!r} was answered for {key!r}, which waits for none")
        self._page.reading(self.now)
        self._page.answered(key, recorded)
        self.since += 1
        flight.crew.lane.now = self.now
        if self._moved(key, flight, flight.answer(recorded)):
            self._resume(key)

    def portion(self) -> Portion:
        """Everything since the last portion, for a checkpoint. Its offsets are in `positions` until it is committed.

        What is in flight is saved with the results that it has, at the head of its key's line.
        """
        moved, self._moved_flights = self._moved_flights, {}
        for key, flight in moved.items():
            form = flight.news() if self.flights.get(key) is flight else None
            if form is None:
                continue
            if flight.saved:
                self._parking.hold(key, form)
            else:
                self._parking.put_first(key, form)
                flight.saved = True
        logged, local = self.entries.take()
        self.since = 0
        return Portion(Outputs(self._ledger.take(), self._codec), logged, local, self._page.take())

    def close(self) -> None:
        """Drop what is in flight: the next owner begins it anew."""
        for key in list(self.flights):
            self._ground(key)

    def reset(self) -> None:
        """Forget everything since the last checkpoint: it will be taken again."""
        self.close()
        self.entries.forget()
        self._page.forget()
        self._ledger.take()
        self.since = 0
        self.positions.clear()
        self._refusal = None
        self._questions.clear()
        self._moved_flights.clear()
        self._parking = Parking(self.entries)
        self._precedence = Precedence(self._parking, self._intake.seen, self._ledger.forget_timer)

    def _ready(self, waiting: Waiting) -> Input | None:
        """What to run for it; None where nothing answers it, or where it became a dead letter."""
        try:
            return self._intake.ready(waiting)
        except (DecodeError, PublishError) as error:
            assert waiting.record is not None, "a timer needs no decoding"
            if self._intake.concerned(waiting.record):
                self._ledger.bury(waiting.record, "decode", error, waiting.attempts)
            return None

    # -- doors ---------------------------------------------------------------------------------------------------------

    def _arrive(self, given: Input) -> None:
        key = given.key
        again = given.again
        if again is not None:
            being_tried = again.wish == "wake" and key in self.flights
            if not being_tried and self._precedence.put_in_place(given):
                self._resume(key)
                return
            if again.only_moves:
                return
        if self.at_rest:
            self._begin(given)
            return
        if key in self.flights or (key in self._parking and not self._precedence.overtakes(given)):
            self._parking.append(key, given.waiting)
            return
        if key in self._parking:
            self._precedence.withdraw(given)
        if self._begin(given):
            self._resume(key)

    def _refused(self) -> PublishError | None:
        """Why the input at hand is not to be handled, where what it wants published can't be."""
        error, self._refusal = self._refusal, None
        if error is not None:
            self._page.refused(error)
        return None if error is None else PublishError(error)

    def _refuse(self, waiting: Waiting, error: PublishError) -> None:
        given = self._ready(waiting)
        if given is not None:
            self._ledger.forget_timer(given)
            self._ledger.bury_input(given, "publish", error, waiting.attempts)

    def _wake(self, key: bytes, refusal: PublishError | None) -> None:
        """A parked key's time has come, or that of one that was in flight when its task was closed."""
        self._ground(key)
        if refusal is None or key not in self._parking:
            self._resume(key)
            return
        self._refuse(self._parking.head(key), refusal)
        self._parking.pop(key)
        if key in self._parking:  # the rest has a turn of its own: it may hold another that can't be published
            self._parking.hold(key, self._parking.head(key)._replace(until=self.now))

    def _resume(self, key: bytes) -> None:
        """Go on with the line of `key`, until it is empty or its head has to wait."""
        while key in self._parking and key not in self.flights:
            waiting = self._parking.head(key)
            if waiting.until == NEVER and not self._precedence.pulled(key):
                return
            waiting = self._parking.head(key)
            given = self._ready(waiting)
            if given is None:
                self._parking.pop(key)
            elif not self._begin(given, saved=True):
                return

    # -- flights -------------------------------------------------------------------------------------------------------

    def _begin(self, given: Input, *, saved: bool = False) -> bool:
        """Handle it; `saved` says that it stands at the head of its line. Answers whether its key is free again."""
        crew = self._crews.pop() if self._crews else self._crew()
        crew.calls.begin(given, self.specs)
        failed = None
        if given.plain:
            failed = self._attempted(given, crew)
            if failed is None:
                self._crews.append(crew)
                if saved:
                    self._parking.pop(given.key)
                return True
        flight = Flight(given, crew, self._ledger, self._page, failed)
        flight.saved = saved
        if saved:
            self._parking.let_fly(given.key)
        return self._moved(given.key, flight, flight.start())

    def _attempted(self, given: Input, crew: Handlings) -> Failed | None:
        """Most inputs need no more than this: one attempt that asks for nothing from outside. Answers how it failed."""
        crew.lane.enter(given.key, self.now, given.waiting)
        try:
            outcome = crew.run(given, given.waiting.attempts + 1)
        except Failed as failure:
            return failure
        finally:
            if made := crew.calls.made():
                self._page.called(made)
        self._ledger.settle(given, crew.lane, outcome)
        return None

    def _crew(self) -> Handlings:
        lane = TaskLane(self.entries, self.partition)
        crew = Handlings(self.plan, lane, self._codec, self._needs, lambda: self.recorded)
        crew.calls.at_once = self.at_once
        return crew

    def _moved(self, key: bytes, flight: Flight, landing: Landing | None) -> bool:
        """A flight went on as far as it could. Answers whether others of its key may go on: it is free, or given up."""
        if landing is None:
            self.flights[key] = self._moved_flights[key] = flight
            for call in flight.asked:
                self._questions.append(of_fields(Question, (key, flight, call)))
            flight.asked = []
            return False
        self.flights.pop(key, None)
        self._crews.append(flight.crew)
        self.halted = self.halted or flight.halted
        if landing.held is None:
            if flight.saved:
                self._parking.pop(key)
            return True
        if flight.saved:
            self._parking.hold(key, landing.held)
        else:
            self._parking.put_first(key, landing.held)
        return landing.held.until == NEVER and self.halted is None

    def _ground(self, key: bytes) -> None:
        """A flight is begun anew, from what was saved of it."""
        flight = self.flights.pop(key, None)
        if flight is not None:
            flight.close()
            self._crews.append(flight.crew)
