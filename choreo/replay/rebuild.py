"""Rebuild a task's entries from the log: its inputs in the order of its journal, through the code that runs live."""

from collections.abc import Iterator
from contextlib import suppress

from choreo.errors import DecodeError, DivergenceError
from choreo.events.codec import Codec
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import NewRecord, TopicPartition
from choreo.replay.cursor import Cursor
from choreo.runtime.calls import Recorded
from choreo.runtime.entries import Entries
from choreo.runtime.journal import Answered, Fired, Inputs, Page, Reading, Refused, Step, last_page_entry, read_pages
from choreo.runtime.parking import RETRY
from choreo.runtime.plan import plan_of
from choreo.runtime.task import Task
from choreo.service.needs import Needs
from choreo.service.service import Service
from choreo.state.backend import Backend


class Rebuild:
    """One task of a service, from nothing, into `scratch`. Nothing is sent and nothing is called."""

    def __init__(
        self, service: Service, partition: int, log: Log, registry: Registry, scratch: Backend, settings: object = None
    ) -> None:
        self._plan = plan_of(service)
        self._log = log
        self._partition = partition
        self._needs = Needs(service, settings)
        self._codec = Codec(registry, self._plan.classes, log.cluster_id(), topics=self._plan.sources)
        self.task = Task(self._plan, partition, Entries(scratch), self._codec, self._needs)
        self._scratch = scratch
        self.checkpoints = 0
        """How many there are to redo, once it runs: the number of the last one."""
        self._cursors: dict[str, Cursor] = {}

    @property
    def erased(self) -> int:
        """Fields that were found erased so far."""
        return self._codec.erased

    def run(self) -> Iterator[tuple[Page, list[NewRecord]]]:
        """Redo one checkpoint after the other; yields each page of the journal and what it published."""
        journal = Cursor(self._log, TopicPartition(f"{self._plan.service.scope}.journal", self._partition))
        try:
            expected, records = 1, journal.rest()
            with suppress(DecodeError):  # said below, in its turn
                self.checkpoints = max((page.checkpoint for page in read_pages(records[-1:])), default=0)
            for page in read_pages(records):
                if page.checkpoint != expected:
                    raise DivergenceError(
                        f"the journal goes from checkpoint {expected - 1} to {page.checkpoint}",
                        at=f"{self._plan.service.scope}.journal[{self._partition}]",
                        why="a journal record is missing or stands twice",
                    )
                expected += 1
                yield page, self._redo(page)
        finally:
            journal.close()
            for cursor in self._cursors.values():
                cursor.close()
            self._needs.close()

    def _redo(self, page: Page) -> list[NewRecord]:
        self.task.specs = page.specs
        for step, calls in _with_calls(page.steps):
            self._step(page, step, calls)
        portion = self.task.portion()
        self._scratch.write({**portion.logged, **portion.local, **last_page_entry(page.checkpoint)})
        return portion.outputs

    def _step(self, page: Page, step: Step, calls: list[Recorded]) -> None:
        task = self.task
        if isinstance(step, Reading):
            task.read_clock(step.now)
        elif isinstance(step, Refused):
            task.refuse_next(step.error)
        elif isinstance(step, Inputs):
            records = self._cursor(page.topics[step.topic]).run(step.first, step.last, step.taken)
            for number, record in enumerate(records, 1):
                task.recorded = calls if number == len(records) else []
                task.take(record)
        elif isinstance(step, Answered):
            task.recorded = calls
            task.answer(step.key, step.recorded)
        elif isinstance(step, Fired):
            self._check_due(step)
            task.recorded = calls
            task.fire(step.timer, step.due)
        if calls:
            raise DivergenceError(
                f"the live run called {calls[0].name!r} here, the replay did not",
                at=step,
                hint="the handler has changed",
            )

    def _check_due(self, step: Fired) -> None:
        if step.timer.startswith(RETRY.start):
            return
        due = self.task.entries.timers.due_of(step.timer)
        if due != step.due:
            raise DivergenceError(
                f"a timer fired that was due at {step.due}, in the replay it is due at {due}", at=step.timer
            )

    def _cursor(self, topic: str) -> Cursor:
        if topic not in self._cursors:
            self._cursors[topic] = Cursor(self._log, TopicPartition(topic, self._partition))
        return self._cursors[topic]


def _with_calls(steps: list[Step]) -> Iterator[tuple[Step, list[Recorded]]]:
    """Each step with the recorded calls that it made: those that stand behind it."""
    step: Step | None = None
    calls: list[Recorded] = []
    for found in steps:
        if isinstance(found, Recorded):
            calls.append(found)
            continue
        if step is not None:
            yield step, calls
        step, calls = found, []
    if step is not None:
        yield step, calls
