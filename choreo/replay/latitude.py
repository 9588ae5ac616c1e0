"""Latitude: what a replay makes of a step of the journal that the code at hand does not follow."""

from collections.abc import Iterable, Iterator

from choreo.errors import DivergenceError
from choreo.record import Record
from choreo.runtime.calls import Recorded
from choreo.runtime.journal import Answered, Fired, Page, Step
from choreo.runtime.parking import RETRY
from choreo.runtime.task import Task

Cause = Record | Fired | Answered
"""What a task acted upon: an input, a timer's turn, or the outcome of a call that an input waited for."""


class Latitude:
    """None at all: what the code at hand does otherwise than the journal says is a divergence.

    A `Rebuild` asks in the order of the journal.
    """

    def begins(self, page: Page) -> tuple[str, ...]:
        """A page is redone from here on; answers the digests of the saga specs that are at work in it."""
        return page.specs

    def ends(self, task: Task) -> None:
        """The page at hand is redone."""
        task.questions()  # nobody makes these calls: their outcomes are in the journal

    def inputs(self, task: Task, records: list[Record], calls: list[Recorded], now: int) -> Iterator[Cause]:
        """Have the inputs of one run of the journal handled, which were told `now`; the last of them made these calls.

        Yields behind each turn what had it.
        """
        task.read_clock(now)
        return task.redo(records, calls)

    def fire(self, task: Task, fired: Fired) -> None:
        """Have a turn that is not in the journal."""
        task.read_clock(fired.due)
        self.reads_back(task, [])
        task.fire(fired.timer, fired.due)

    def before(self, task: Task, cause: Cause, now: int) -> Iterable[Fired]:
        """What is to have its turn before `cause`, which is told `now`, though the journal does not have it."""
        return ()

    def settled(self, task: Task, now: int) -> Iterable[Fired]:
        """What is to have its turn behind the last page, though the journal does not have it."""
        return ()

    def reads_back(self, task: Task, calls: list[Recorded]) -> None:
        """These are the results of the calls that the next turn makes; those that it takes leave the list."""
        task.recorded = calls

    def follows(self, task: Task, step: Fired | Answered) -> bool:
        """Whether this step has its turn."""
        if isinstance(step, Answered) or step.timer.startswith(RETRY.start) or is_due(task, step.timer, step.due):
            return True
        due = task.entries.timers.due_of(step.timer)
        raise DivergenceError(
            f"a timer fired that was due at {step.due}, in the replay it is due at {due}", at=step.timer
        )

    def left(self, calls: list[Recorded], step: Step) -> None:
        """These recorded calls of a step were not made."""
        raise DivergenceError(
            f"the live run called {calls[0].name!r} here, the replay did not",
            at=step,
            hint="the handler has changed",
        )


def is_due(task: Task, timer: bytes, due: int) -> bool:
    """Whether this stands to be fired then; of a parked key, whether its line may be woken."""
    if not timer.startswith(RETRY.start):
        return task.entries.timers.due_of(timer) == due
    key = RETRY.decode(timer)
    return key in task.flights or task.lines.until(key) == due


def due_before(task: Task, moment: int) -> list[tuple[bytes, int]]:
    """What is due before then (microseconds) and was so at the last portion already, as `fire` takes it, in order."""
    timers = [(due, timer) for due, timer in task.entries.timers.due_before(moment)]
    retries = [(until, RETRY.encode(key)) for until, key in task.lines.due_before(moment)]
    return [(timer, due) for due, timer in sorted(timers + retries)]
