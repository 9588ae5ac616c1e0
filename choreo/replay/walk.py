"""What a task did, in the order of its journal: the records that it took, and the timers that fired between them.

Nothing is run: `rebuild.py` does that. Whoever asks what happened, and when, walks.
"""

from collections.abc import Iterator
from typing import NamedTuple

from choreo.errors import DecodeError
from choreo.events.plain import mark_in
from choreo.log.interface import Log
from choreo.record import Record, TopicPartition
from choreo.replay.cursor import Cursor
from choreo.replay.pages import Journal, last_reading
from choreo.runtime.journal import Fired, Inputs, Page, Reading


class Took(NamedTuple):
    """A record that the task took, when its clock said `now` (microseconds)."""

    now: int
    record: Record


class Rang(NamedTuple):
    """A timer, or a parked key's waking, by its key bytes. Times in microseconds."""

    now: int
    timer: bytes
    due: int


Stride = Took | Rang


def walk(log: Log, scope: str, partition: int, since: int | None = None) -> Iterator[Stride]:
    """All that one task of the service with this scope did, in order; it holds no more than a page at a time. Copies
    that only let a key go on are left out: nobody handled them.

    From the first page, or from about `since` (microseconds) on. Raises DivergenceError where journal or inputs are not
    whole any more: then their order can't be told.
    """
    cursors: dict[str, Cursor] = {}
    try:
        for page in journal_pages(log, scope, partition, since):
            now = 0
            for step in page.steps:
                if isinstance(step, Reading):
                    now = step.now
                elif isinstance(step, Fired):
                    yield Rang(now, step.timer, step.due)
                elif isinstance(step, Inputs):
                    topic = page.topics[step.topic]
                    if topic not in cursors:
                        cursors[topic] = Cursor(log, TopicPartition(topic, partition), step.first)
                    taken = cursors[topic].run(step.first, step.last, step.taken)
                    yield from (Took(now, record) for record in taken if not _only_moves(record))
    finally:
        for cursor in cursors.values():
            cursor.close()


def _only_moves(record: Record) -> bool:
    try:
        mark = mark_in(record.headers)
    except DecodeError:
        return False
    return mark is not None and mark.only_moves


def journal_pages(log: Log, scope: str, partition: int, since: int | None = None) -> Iterator[Page]:
    """The pages of one task, from the first, or from the one in which its clock came to `since` (microseconds).

    Raises DivergenceError where one is missing.
    """
    journal = Journal(log, scope, partition)
    if since is None:
        return journal.pages()
    first = journal.first(lambda page: last_reading(page) >= since)
    return journal.pages(journal.last() if first is None else first - 1)
