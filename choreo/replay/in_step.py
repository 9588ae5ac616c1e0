"""In step: what a task published stands on the log in the order in which its replay publishes it again. So most of it
is found by reading the log along with the replay, and need not be kept to be looked for.

Whether it is found so is a matter of speed alone: what is not is left to `emissions.py`, on both sides.
"""

from array import array
from bisect import bisect_right
from collections import OrderedDict
from struct import Struct

from choreo.events.envelope import header_in
from choreo.log.interface import Log
from choreo.record import NewRecord, Record, TopicPartition
from choreo.replay.cursor import Cursor

MOST_AHEAD = 2_000
"""So many records are read ahead of what the replay has published."""
MOST_RUNS = 10_000
"""In so many pieces, at most, the records of one partition are found."""
_RUN = Struct(">qq")


class Runs:
    """Pieces of one partition of which every record was found, in order; `packed` as they are kept, 16 bytes each."""

    def __init__(self, packed: bytes = b"") -> None:
        self._starts, self._ends = array("q"), array("q")
        for start, end in _RUN.iter_unpack(packed):
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """One more: from offset `start` up to `end`."""
        self._starts.append(start)
        self._ends.append(end)

    def has(self, offset: int) -> bool:
        """Whether this lies in one of them."""
        number = bisect_right(self._starts, offset) - 1
        return number >= 0 and offset < self._ends[number]

    def behind(self, offset: int) -> int:
        """Where to read on from there: behind a first one that begins before it."""
        return self._ends[0] if self._starts and self._starts[0] <= offset < self._ends[0] else offset

    def packed(self) -> bytes:
        """As they are kept."""
        return b"".join([_RUN.pack(start, end) for start, end in zip(self._starts, self._ends, strict=True)])

    def __len__(self) -> int:
        return len(self._starts)


class InStep:
    """One partition of a topic, from offset `start` on, beside the replay of a task that may have published there."""

    def __init__(self, log: Log, place: TopicPartition, start: int) -> None:
        self._cursor = Cursor(log, place, start)
        self._ahead: OrderedDict[object, Record] = OrderedDict()
        """What was read and not published yet, in the order of the log, by its event's id."""
        self._runs = Runs()
        self._start = self._end = start
        """Of the run at hand."""

    def meets(self, event_id: bytes, record: NewRecord) -> bool:
        """Whether it stands on the log as it was published, behind all that was found before."""
        ahead = self._ahead
        known = ahead.get(event_id) if ahead else None
        if known is not None:
            passed = 0
            while ahead.popitem(last=False)[1] is not known:
                passed += 1
            return self._met(known, record, behind=passed)
        while len(ahead) < MOST_AHEAD and len(self._runs) < MOST_RUNS:
            its = self._cursor.next()
            if its is None:
                break
            packed = header_in(its.headers)
            # The event_id of a packed header. One of a later version is not read for it: no id of ours is there, and
            # what is not found here is looked for by `emissions.py`.
            name: object = None if packed is None else packed[2:18]
            if name == event_id:
                passed = len(ahead)
                ahead.clear()
                return self._met(its, record, behind=passed)
            ahead[its.offset if name is None or name in ahead else name] = its  # where nobody looks for it
        return False

    def close(self) -> Runs:
        """The task has published all that it did. Answers what was found, in order."""
        self._cursor.close()
        self._end_run(self._end)
        return self._runs

    def _met(self, its: Record, record: NewRecord, behind: int) -> bool:
        """Whether they are the same, `behind` so many that were passed over."""
        _, key, value, headers, _ = record
        _, _, offset, _, its_key, its_value, its_headers = its
        same = its_key == key and its_value == value and list(its_headers) == list(headers)
        if behind or not same:
            self._end_run(offset)
        if same:
            self._end = offset + 1
        else:
            self._start = self._end = offset + 1
        return same

    def _end_run(self, start: int) -> None:
        """The next one starts there, or behind it."""
        if self._end > self._start:
            self._runs.add(self._start, self._end)
        self._start = self._end = start
