"""In step: what a task published stands on the log in the order in which its replay publishes it again. So most of it
is found by reading the log along with the replay, and need not be kept to be looked for.

Whether it is found so is a matter of speed alone: what is not is left to `emissions.py`, on both sides.
"""

from collections import OrderedDict
from collections.abc import Sequence
from struct import Struct
from typing import NamedTuple

from choreo.log.interface import Log
from choreo.record import NewRecord, Record, TopicPartition, of_fields
from choreo.replay.cursor import Cursor

MOST_AHEAD = 2_000
"""So many records are read ahead of what the replay has published."""
MOST_RUNS = 10_000
"""In so many pieces, at most, the records of one partition are found."""
_RUN = Struct(">qq")


class Run(NamedTuple):
    """Every record from offset `start` up to `end` was found."""

    start: int
    end: int


class InStep:
    """One partition of a topic, from offset `start` on, beside the replay of a task that may have published there."""

    def __init__(self, log: Log, place: TopicPartition, start: int) -> None:
        self._cursor = Cursor(log, place, start)
        self._ahead: OrderedDict[object, Record] = OrderedDict()
        """What was read and not published yet, in the order of the log, by its headers: they hold the event's id."""
        self._runs: list[Run] = []
        self._start = self._end = start
        """Of the run at hand."""

    def meets(self, record: NewRecord) -> bool:
        """Whether it stands on the log as it was published, behind all that was found before."""
        _, key, value, headers, _ = record
        ahead = self._ahead
        known = ahead.get(tuple(headers)) if ahead else None
        if known is not None:
            passed = 0
            while ahead.popitem(last=False)[1] is not known:
                passed += 1
            if known.key != key or known.value != value:
                self._end_run(known.offset + 1)
                return False
            self._take(known, broken=passed > 0)
            return True
        while len(ahead) < MOST_AHEAD and len(self._runs) < MOST_RUNS:
            its = self._cursor.next()
            if its is None:
                break
            marks = its.headers
            if its.value == value and its.key == key and (marks == headers or tuple(marks) == tuple(headers)):
                self._take(its, broken=bool(ahead))
                ahead.clear()
                return True
            name: object = tuple(marks)
            ahead[name if name not in ahead else its.offset] = its  # the second of two is none that is looked for
        return False

    def close(self) -> list[Run]:
        """The task has published all that it did. Answers what was found, in order."""
        self._cursor.close()
        self._end_run(self._end)
        return self._runs

    def _take(self, record: Record, *, broken: bool) -> None:
        if broken:
            self._end_run(record.offset)
        self._end = record.offset + 1

    def _end_run(self, start: int) -> None:
        """The next one starts there, or behind it."""
        if self._end > self._start:
            self._runs.append(of_fields(Run, (self._start, self._end)))
        self._start = self._end = start


def pack_runs(runs: Sequence[Run]) -> bytes:
    """As they are kept: 16 bytes each."""
    return b"".join([_RUN.pack(*run) for run in runs])


def unpack_runs(packed: bytes) -> list[Run]:
    """The same, back."""
    return [Run(*run) for run in _RUN.iter_unpack(packed)]
