"""A cursor over one partition: the records that a journal names, in order."""

from collections import deque
from collections.abc import Iterator

from choreo.errors import DivergenceError
from choreo.log.interface import Log
from choreo.record import Record, TopicPartition

STALL_S = 10.0
"""So long a reader may bring nothing before its end is taken for a gap."""
FIRST_READ, GROWTH, MOST_READ = 16, 4, 5_000
"""Whoever looks for a place wants a record or two, a replay all: reads begin small and grow."""


class Cursor:
    """Hands out records of one partition, from an offset up to the end that it had when the cursor was made."""

    def __init__(self, log: Log, partition: TopicPartition, start: int = 0) -> None:
        self._partition = partition
        self._end = log.ends([partition])[partition]
        self._reader = log.reader({partition: start})
        self._ahead: deque[Record] = deque()
        self._limit = FIRST_READ

    def next(self) -> Record | None:
        """The next record, None at the end."""
        while not self._ahead:
            before = self._reader.position(self._partition)
            if before >= self._end:
                return None
            self._ahead.extend(self._reader.read(STALL_S, self._limit))
            self._limit = min(self._limit * GROWTH, MOST_READ)
            if not self._ahead and self._reader.position(self._partition) == before:
                return None
        return self._ahead.popleft()

    def run(self, first: int, last: int, taken: int) -> list[Record]:
        """The records of one run of the journal. Raises DivergenceError where the log no longer has them all."""
        found: list[Record] = []
        ahead = self._ahead
        while not found or found[-1].offset < last:
            record = ahead.popleft() if ahead else self.next()
            if record is None or record.offset > last:
                break
            if record.offset >= first:
                found.append(record)
        if len(found) != taken or found[0].offset != first or found[-1].offset != last:
            raise DivergenceError(
                f"the journal names {taken} records at offsets {first} to {last}, the log has {len(found)} of them",
                at=self._partition,
                hint="they were deleted, or the topic is another one: restore an archive",
            )
        return found

    def rest(self) -> Iterator[Record]:
        """All records up to the end."""
        while (record := self.next()) is not None:
            yield record

    def close(self) -> None:
        self._reader.close()
