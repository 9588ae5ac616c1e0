"""Leeway: how a replay of other code goes on where the journal has something else, and notes it.

Timers that both set have their turn where the journal has it. One that only the code at hand sets fires behind the
inputs that were emitted by then; one that it does not set any more never does. A call that was recorded is answered
from the journal; another one by a stub, and where there is none as by a downstream that is away.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.record import Record
from choreo.replay.foresight import Foresight
from choreo.replay.latitude import Cause, Latitude, due_before, is_due
from choreo.runtime.calls import Recorded, error_from, failure, form_of, result
from choreo.runtime.journal import Answered, Fired, Page, Step
from choreo.runtime.task import Task
from choreo.service.calls import Asked
from choreo.state.values import ValueCodec

Stub = Callable[[Asked], Any]
"""Answers a call that was not recorded, or raises what the handler is to see."""
MOST_SHOWN = 20


class AwayError(ConnectionError):
    """Nothing is recorded of a call, and nobody stands in for its downstream."""


def away(asked: Asked) -> Any:
    """Nobody answers."""
    raise AwayError(f"call {asked.name!r} is not in the journal, and no answer was given for it")


Listener = Callable[[Asked, Recorded, Cause | None], None]
"""Told of each call that is answered from the journal, and upon what it was made."""


def unheard(asked: Asked, recorded: Recorded, cause: Cause | None) -> None:
    """Nobody listens."""


class NewCall(NamedTuple):
    """A call that the live run did not make, and what it was made upon."""

    name: str
    arguments: tuple[object, ...]
    cause: Cause
    answered: bool
    """Whether the stub did."""


class Seen:
    """What was noted in all tasks of one run."""

    def __init__(self) -> None:
        self.new_calls: Counter[str] = Counter()
        self.unanswered: Counter[str] = Counter()
        """Those of the new calls that failed as by a downstream that is away."""
        self.dropped_calls: Counter[str] = Counter()
        self.shown: list[NewCall] = []
        """The first of the new calls."""
        self.new_turns = 0
        """Timers and retries that had a turn which they did not have live."""
        self.lost_turns = 0
        """Those that had one live only."""

    def call(self, asked: Asked, cause: Cause, *, answered: bool) -> None:
        """The code at hand made a call that is not in the journal."""
        self.new_calls[asked.name] += 1
        if not answered:
            self.unanswered[asked.name] += 1
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(NewCall(asked.name, (*asked.args, *asked.kwargs.items()), cause, answered))


class Leeway(Latitude):
    """For one task. `chosen` says which inputs are handled, `stub` answers unrecorded calls."""

    def __init__(
        self, codec: Codec, foresight: Foresight, seen: Seen, stub: Stub, chosen: Callable[[Record], bool]
    ) -> None:
        self.first_spec: str | None = None
        """The digest of a saga spec that new instances are to follow, whatever was at work live."""
        self.listener: Listener = unheard
        self._codec, self._foresight, self._seen, self._stub, self._chosen = codec, foresight, seen, stub, chosen
        self._checkpoint = 0
        self._common: set[tuple[bytes, int]] = set()
        """What is due and has, or had, its turn in the journal."""
        self._calls: list[Recorded] = []
        self._asked: dict[tuple[bytes, str, int], Asked] = {}
        """Calls that an answer in the journal is waited for."""
        self._cause: Cause | None = None
        self._skipped = False

    def begins(self, page: Page) -> tuple[str, ...]:
        self._checkpoint = page.checkpoint
        self._common.clear()
        return page.specs if self.first_spec is None else (self.first_spec, *page.specs)

    def at_work(self, task: Task) -> None:
        """Make the calls of this task."""
        task.at_once = self._answer

    def inputs(self, task: Task, records: list[Record], calls: list[Recorded], now: int) -> Iterator[Cause]:
        for number, record in enumerate(records, 1):
            self._skipped = not self._chosen(record)
            if self._skipped:
                continue
            self._cause = record
            for fired in self.before(task, record, now):
                self.fire(task, fired)
                yield fired
            task.read_clock(now)
            self.reads_back(task, calls if number == len(records) else [])
            task.take(record)
            yield record

    def before(self, task: Task, cause: Cause, now: int) -> Iterable[Fired]:
        if task.flights:
            self._go_on(task)
        if task.next_due() >= now:
            self._cause = cause
            return ()
        return self._own(task, cause, now)

    def settled(self, task: Task, now: int) -> Iterator[Fired]:
        """What the code at hand has due by the end of the journal and the live run had not."""
        self._go_on(task)
        yield from self._due(task, now + 1)

    def reads_back(self, task: Task, calls: list[Recorded]) -> None:
        self._calls = calls

    def follows(self, task: Task, step: Fired | Answered) -> bool:
        self._skipped = False
        if isinstance(step, Answered):
            asked = self._asked.pop((step.key, step.name, step.use), None)
            if asked is None or step.key not in task.flights:
                self._seen.dropped_calls[step.name] += 1
                return False
            self.listener(asked, step.recorded, task.flights[step.key].given.waiting.record or step)
            return True
        if is_due(task, step.timer, step.due):
            return True
        self._seen.lost_turns += 1
        return False

    def ends(self, task: Task) -> None:
        self._go_on(task)

    def left(self, calls: list[Recorded], step: Step) -> None:
        if not self._skipped:
            self._seen.dropped_calls.update(call.name for call in calls)

    def _own(self, task: Task, cause: Cause, now: int) -> Iterator[Fired]:
        yield from self._due(task, self._moment(cause, now))
        self._cause = cause

    def _due(self, task: Task, moment: int) -> Iterator[Fired]:
        """What is due before then and the live run knew nothing of, one after the other."""
        while (fired := self._first(task, moment)) is not None:
            self._seen.new_turns += 1
            self._cause = fired
            yield fired
            self._go_on(task)

    def _first(self, task: Task, moment: int) -> Fired | None:
        for timer, due in due_before(task, moment):
            if (timer, due) in self._common:
                continue
            if self._foresight.fires(timer, due, self._checkpoint) or self._foresight.had(timer, due):
                self._common.add((timer, due))
                continue
            return Fired(timer, due)
        return None

    def _moment(self, cause: Cause, now: int) -> int:
        """When it came about, as the clock of whoever emitted it has it."""
        if isinstance(cause, Fired):
            return min(cause.due, now)
        if isinstance(cause, Answered):
            return now
        try:
            return min(self._codec.emitted_at(cause), now)
        except DecodeError:
            return now

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _answer(self, asked: Asked, make: Callable[[], Any]) -> Any:
        """A plain call: as the journal has it, else by the stub. It is never made."""
        found = next((n for n, call in enumerate(self._calls) if call.name == asked.name), None)
        if found is None:
            return self._stood_in(asked)
        recorded = self._calls.pop(found)
        self.listener(asked, recorded, self._cause)
        if recorded.failed:
            raise error_from(recorded.result)
        return _codec_of(asked).load(recorded.result)

    def _go_on(self, task: Task) -> None:
        """Answer what flights ask for and nobody answered live; the rest waits for its answer in the journal."""
        self._calls = []
        while questions := task.questions():
            for key, flight, call in questions:
                place = (key, call.asked.name, call.use)
                if self._foresight.answers(*place, self._checkpoint):
                    self._asked[place] = call.asked
                elif task.flights.get(key) is flight:
                    self._cause = flight.given.waiting.record or self._cause
                    task.answer(key, self._recorded(call.asked, call.use))

    def _recorded(self, asked: Asked, use: int) -> Recorded:
        try:
            value = self._stood_in(asked)
        except Exception as error:  # whatever it raises is what the handler sees
            return failure(asked.name, use, error)
        return result(asked.name, use, value, _codec_of(asked))

    def _stood_in(self, asked: Asked) -> Any:
        assert self._cause is not None, "calls are made upon something"
        try:
            value = self._stub(asked)
        except AwayError:
            self._seen.call(asked, self._cause, answered=False)
            raise
        self._seen.call(asked, self._cause, answered=True)
        return value


def _codec_of(asked: Asked) -> ValueCodec:
    return form_of(getattr(asked.fn, "__func__", asked.fn), asked.name)[0]
