"""The entries of a task as its changelog has them behind a checkpoint, put into a scratch store."""

from contextlib import closing
from typing import NamedTuple

from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.replay.cursor import Cursor
from choreo.runtime.journal import LAST_PAGE, page_number
from choreo.state.backend import Backend
from choreo.state.timers import Changes, index_changes

BATCH = 5_000


class Reached(NamedTuple):
    """How far the changelog could be followed."""

    checkpoint: int
    whole: bool
    """Whether every checkpoint on the way is there; else newer values have replaced older ones."""


def entries_behind(log: Log, changelog: TopicPartition, checkpoint: int, scratch: Backend) -> Reached:
    """Write them into `scratch`, which is empty, with the index of timers."""
    start = log.starts([changelog])[changelog]
    last, whole, pending = 0, True, Changes()
    with closing(Cursor(log, changelog, start)) as cursor:
        found = Changes()
        for record in cursor.rest():
            found[record.key or b""] = record.value
            if record.key != LAST_PAGE or record.value is None:
                continue
            number = page_number(record.value)
            if number > checkpoint:
                break
            whole, last = whole and number == last + 1, number
            pending |= found
            found = {}
            if len(pending) >= BATCH:
                pending = _written(scratch, pending)
    _written(scratch, pending)
    return Reached(last, whole and last == checkpoint)


def _written(scratch: Backend, batch: Changes) -> Changes:
    scratch.write({**batch, **index_changes(scratch, batch)})
    return {}
