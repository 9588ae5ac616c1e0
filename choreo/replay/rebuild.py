"""Rebuild a task's entries from the log: its inputs in the order of its journal, through the code that runs live."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from choreo.events.codec import Codec
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import NewRecord, Record, TopicPartition
from choreo.replay.cursor import Cursor
from choreo.replay.latitude import Cause as Cause
from choreo.replay.latitude import Latitude
from choreo.replay.pages import Journal
from choreo.replay.unread import Unread
from choreo.runtime.calls import Recorded
from choreo.runtime.entries import Entries
from choreo.runtime.journal import Answered, Fired, Inputs, Page, Reading, Refused, Step, last_page, last_page_entry
from choreo.runtime.outputs import Outputs
from choreo.runtime.plan import plan_of
from choreo.runtime.task import Portion, Task
from choreo.service.needs import Needs
from choreo.service.service import Service
from choreo.state.backend import Backend
from choreo.state.meta import read_meta


class Change(NamedTuple):
    """One entry before and after; None stands for no entry."""

    before: bytes | None
    after: bytes | None


class Act(NamedTuple):
    """What a task did in one turn, and upon what."""

    checkpoint: int
    now: int
    """What its handlers were told (microseconds)."""
    cause: Cause
    changes: Mapping[bytes, Change]
    """Entries that are on the changelog, by their keys."""
    outputs: Iterable[NewRecord]

    def takes(self, place: object) -> bool:
        """Whether it takes the input that lies at this position."""
        return isinstance(self.cause, Record) and self.cause.position == place


class Redone(NamedTuple):
    """A checkpoint that was redone: its page, what it wrote to the changelog, what it published."""

    page: Page
    logged: Mapping[bytes, bytes | None]
    outputs: Outputs


class Rebuild:
    """One task of a service, from what `scratch` holds on: nothing, or a snapshot. Nothing is sent, nothing called.

    `settings` are the service's own, where it has any.
    """

    def __init__(
        self, service: Service, partition: int, log: Log, registry: Registry, scratch: Backend, settings: object = None
    ) -> None:
        self._plan = plan_of(service)
        self._log = log
        self._partition = partition
        self.needs = Needs(service, settings)
        self.codec = Codec(registry, self._plan.classes, log.cluster_id(), topics=self._plan.sources)
        """Counts the fields that it met erased."""
        self.task = Task(self._plan, partition, Entries(scratch), self.codec, self.needs)
        self.journal = Journal(log, service.scope, partition)
        self.checkpoint = last_page(scratch)
        """The last one that is redone."""
        meta = read_meta(scratch)
        if meta is not None:
            self.task.read_clock(meta.last_now)
        self.build = ""
        """Which code made the checkpoint at hand."""
        self.builds: set[str] = set()
        """Which code made those of which anything was redone."""
        self.latitude = Latitude()
        """What is made of a step that the code at hand does not follow."""
        self._scratch, self._unread = scratch, Unread(log, service.name)
        self._cursors: dict[str, Cursor] = {}

    def run(self, until: int | None = None) -> Iterator[Redone]:
        """Redo one checkpoint after the other, up to that one (None: all). Raises DivergenceError."""
        for page in self._pages(until):
            for _ in self._turns(page):
                pass
            yield self._written(page)

    def acts(self, until: int | None = None, latest: int | None = None) -> Iterator[Act]:
        """The same turn by turn, up to the moment `latest` (microseconds), it included: what each came to is in
        `scratch` when it is yielded. To be gone on with only where a checkpoint ended. Raises DivergenceError.
        """
        for page in self._pages(until):
            part = page if latest is None else _up_to(page, latest)
            for now, cause in self._turns(part):
                portion = self._portion()
                get = self._scratch.get
                changes = {key: Change(get(key), after) for key, after in portion.logged.items()}
                self._scratch.write({**portion.logged, **portion.local})
                self.builds.add(page.build)
                yield Act(page.checkpoint, now, cause, changes, portion.outputs)
            if len(part.steps) < len(page.steps):
                return
            self._written(page)

    def settle(self) -> Outputs:
        """Behind the last page: what comes then by the code at hand alone. Answers what it published."""
        for fired in self.latitude.settled(self.task, self.task.now):
            self.latitude.fire(self.task, fired)
        self.latitude.ends(self.task)
        portion = self.task.portion()
        self._scratch.write({**portion.logged, **portion.local})
        return portion.outputs

    def look_again(self) -> None:
        """See what has come to the log since."""
        self.journal = Journal(self._log, self._plan.service.scope, self._partition)
        for cursor in self._cursors.values():
            cursor.close()
        self._cursors.clear()

    def close(self) -> None:
        """Release what it reads and what its handlers need."""
        for cursor in self._cursors.values():
            cursor.close()
        self._cursors.clear()
        self.needs.close()

    def _pages(self, until: int | None) -> Iterator[Page]:
        if until is not None and until <= self.checkpoint:
            return
        for page in self.journal.pages(self.checkpoint):
            self.task.specs, self.build = self.latitude.begins(page), page.build
            yield page
            if page.checkpoint == until:
                return

    def _written(self, page: Page) -> Redone:
        """The page is redone: put into `scratch` what it came to."""
        self.latitude.ends(self.task)
        portion = self._portion()
        logged = {**portion.logged, **last_page_entry(page.checkpoint)}
        self._scratch.write({**logged, **portion.local})
        self.checkpoint = page.checkpoint
        self.builds.add(page.build)
        return Redone(page, logged, portion.outputs)

    def _portion(self) -> Portion:
        """What the task came to. Raises ConfigError where it lacks schemas that the live run had."""
        portion = self.task.portion()
        if self.codec.lacks_schemas:
            self._unread.refuse(portion.outputs)
        return portion

    def _turns(self, page: Page) -> Iterator[tuple[int, Cause]]:
        """Redo a page; yields behind each turn what it was told and acted upon."""
        task, latitude, now = self.task, self.latitude, self.task.now
        for step, calls in _with_calls(page.steps):
            if isinstance(step, Reading):
                now = step.now
            elif isinstance(step, Refused):
                task.refuse_next(step.error)
            elif isinstance(step, Inputs):
                records = self._records(page.topics[step.topic], step)
                for cause in latitude.inputs(task, records, calls, now):
                    yield task.now, cause
            elif isinstance(step, Answered | Fired):
                for fired in latitude.before(task, step, now):
                    latitude.fire(task, fired)
                    yield task.now, fired
                task.read_clock(now)
                if latitude.follows(task, step):
                    latitude.reads_back(task, calls)
                    if isinstance(step, Answered):
                        task.answer(step.key, step.recorded)
                    else:
                        task.fire(step.timer, step.due)
                    yield task.now, step
            if calls:
                latitude.left(calls, step)
        task.read_clock(now)

    def _records(self, topic: str, run: Inputs) -> list[Record]:
        cursor = self._cursors.get(topic)
        if cursor is None:
            place = TopicPartition(topic, self._partition)
            cursor = self._cursors[topic] = Cursor(self._log, place, run.first)
        return cursor.run(run.first, run.last, run.taken)


def _up_to(page: Page, latest: int) -> Page:
    """The part of a page in which the clock had not gone beyond `latest`."""
    behind = (n for n, step in enumerate(page.steps) if isinstance(step, Reading) and step.now > latest)
    return page._replace(steps=page.steps[: next(behind, len(page.steps))])


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
