"""What the runtime promises whatever the services are, held against the log once a trial has come to rest."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import NamedTuple

from choreo.errors import DecodeError
from choreo.record import Record, TopicPartition
from choreo.runtime.journal import Fired, Inputs
from choreo.runtime.live import LiveTask
from choreo.runtime.parking import RETRY
from choreo.state.changelog import logged
from choreo.testing.annals import Annals

ONCE, CAUSES, TIMERS, STORES = (
    "every input is taken once",
    "a cause is handled before what it caused",
    "a timer fires after the inputs of before",
    "stores equal the log",
)
RETRIES = RETRY.prefix(())


class Kept(NamedTuple):
    """One promise that was not kept, and how."""

    promise: str
    said: str


def broken_promise(annals: Annals, live: LiveTask, number: int) -> Kept | None:
    """The first promise that a task has not kept."""
    past = TaskPast(annals, live, number)
    checks = () if live.closed else ((ONCE, past.taken_amiss), (CAUSES, past.too_soon), (TIMERS, past.fired_early))
    for promise, check in checks:
        said = check()
        if said is not None:
            return Kept(promise, said)
    if dict(logged(live.task.entries.backend)) != annals.entries(live.task.plan.service, number):
        return Kept(STORES, "its store is not what its changelog says")
    return None


class TaskPast:
    """What a task took and fired, in order, by its journal, and what its inputs hold."""

    def __init__(self, annals: Annals, live: LiveTask, number: int) -> None:
        plan = live.task.plan
        self._annals, self._answers = annals, live.task.answers
        self._inputs = {topic: annals.records(TopicPartition(topic, number)) for topic in plan.topics}
        self._number = number
        self._steps = [
            (page.topics[step.topic] if isinstance(step, Inputs) else "", step)
            for page in annals.pages(plan.service.scope, number)
            for step in page.steps
            if isinstance(step, (Inputs, Fired))
        ]

    def taken_amiss(self) -> str | None:
        """What of its inputs it took twice, or never."""
        for topic, records in self._inputs.items():
            there = TopicPartition(topic, self._number)
            taken = [step for name, step in self._steps if name == topic and isinstance(step, Inputs)]
            for before, after in pairwise(taken):
                if after.first <= before.last:
                    return f"{there} {after.first} was taken twice"
            count = sum(run.taken for run in taken)
            if count != len(records):
                return f"of {len(records)} records in {there} {count} were taken"
        return None

    def too_soon(self) -> str | None:
        """What it took before an input of its own that caused it. What no handler answers waits for nothing."""
        causes = self._annals.causes()
        yet = {self._id(one) for records in self._inputs.values() for one in records if self._answers(one)}
        for record in self._taken():
            if isinstance(record, Fired) or not self._answers(record):
                continue
            own = self._id(record)
            yet.discard(own)
            cause = causes.get(own)
            while cause is not None:
                if cause in yet:
                    return f"{record.position} was taken before what caused it"
                cause = causes.get(cause)
        return None

    def fired_early(self) -> str | None:
        """A timer that fired though an input lay there, unread, from before the time for which it was set."""
        left = {topic: iter(records) for topic, records in self._inputs.items()}
        heads = {topic: next(records, None) for topic, records in left.items()}
        for step in self._taken():
            if isinstance(step, Record):
                heads[step.topic] = next(left[step.topic], None)
            elif not step.timer.startswith(RETRIES):
                for head in heads.values():
                    if head is not None and (head.timestamp_ms + 1) * 1000 <= step.due:
                        return f"a timer fired before {head.position} was taken, which was there when it was due"
        return None

    def _taken(self) -> Iterator[Record | Fired]:
        left = {topic: iter(records) for topic, records in self._inputs.items()}
        for topic, step in self._steps:
            if isinstance(step, Inputs):
                for _ in range(step.taken):
                    yield next(left[topic])
            else:
                yield step

    def _id(self, record: Record) -> bytes:
        with suppress(DecodeError):
            return self._annals.ids(record).event_id
        return b""
