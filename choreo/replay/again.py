"""Emitting again: records of the log once more, to the topic where they lie or to another, marked as no news.

How far it has come is written in the same transaction as the records, so whoever goes on with an emission that was
interrupted repeats nothing. Its end is fixed when it begins: what it writes is never read as its own input.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple
from uuid import UUID

from choreo.errors import ConfigError, DecodeError, FencedError
from choreo.events.envelope import Again, Ids
from choreo.events.plain import headers_again
from choreo.log.interface import Log
from choreo.log.up_to import places_on, read_up_to
from choreo.record import NewRecord, Record, TopicPartition
from choreo.replay.operations import Operations
from choreo.resilience.operations import TOPIC, RecordsEmitted
from choreo.told import Told, untold

FORMAT = 1
BATCH_RECORDS = 500
"""Records that are looked at before the next transaction is committed."""


@dataclass(frozen=True)
class Span:
    """What is read: from an offset of each partition up to one before which nothing changes any more."""

    start: Mapping[TopicPartition, int]
    end: Mapping[TopicPartition, int]

    @property
    def records(self) -> int:
        """Offsets from start to end."""
        return sum(max(self.end[place] - start, 0) for place, start in self.start.items())

    def dump(self) -> str:
        """As the event of its operation keeps it: JSON, `format` 1; earlier the rows alone."""
        rows = [[*place, start, self.end[place]] for place, start in self.start.items()]
        return json.dumps({"format": FORMAT, "rows": rows})

    @staticmethod
    def load(text: str) -> "Span":
        """As it was dumped. Raises ConfigError for another format."""
        said = json.loads(text)
        said = said if isinstance(said, dict) else {"format": FORMAT, "rows": said}
        if said["format"] != FORMAT:
            raise ConfigError(
                f"what was to be emitted is kept in format {said['format']}",
                why=f"this release reads format {FORMAT}",
                hint="go on with it by the release that began it",
            )
        rows = [(TopicPartition(topic, number), start, end) for topic, number, start, end in said["rows"]]
        return Span({place: start for place, start, _ in rows}, {place: end for place, _, end in rows})

    def behind(self, last: RecordsEmitted | None) -> "Span":
        """What is left of it after that was written down."""
        reached = last.reached if last else {}
        return replace(self, start={place: reached.get(str(place), start) for place, start in self.start.items()})


class Chosen(NamedTuple):
    """A record that is put on the log again, and its ids."""

    record: Record
    ids: Ids


class Selection:
    """Reads a span and answers which records of it are meant.

    Records that were put on the log again themselves are not: they are copies of what lies there, too. `most` records
    are looked at before the next transaction.
    """

    def __init__(
        self,
        log: Log,
        ids: Callable[[Record], Ids],
        wanted: Callable[[Record, Ids], bool],
        limit: int | None = None,
        most: int = BATCH_RECORDS,
    ) -> None:
        self._log, self._read_ids, self._wanted, self._limit, self._most = log, ids, wanted, limit, most
        self.read = 0
        """Records that were looked at."""
        self.copies = 0
        """Those that had been put on the log again themselves."""
        self.unread = 0
        """Those whose ids can't be read."""

    def batches(self, span: Span, chosen: int = 0) -> Iterator[tuple[list[Chosen], dict[TopicPartition, int]]]:
        """Those that are meant, each time with the offsets from which it goes on. `chosen`: of the limit, so many are
        used up. A batch may be empty.
        """
        for records, reached in read_up_to(self._log, span.start, span.end, self._most):
            found: list[Chosen] = []
            for record in records:
                self.read += 1
                ids = self._ids(record)
                if ids is None or not self._wanted(record, ids):
                    continue
                found.append(Chosen(record, ids))
                if self._limit is not None and chosen + len(found) == self._limit:
                    yield found, dict(span.end)
                    return
            chosen += len(found)
            yield found, {place: min(offset, span.end[place]) for place, offset in reached.items()}

    def _ids(self, record: Record) -> Ids | None:
        try:
            ids = self._read_ids(record)
        except DecodeError:
            self.unread += 1
            return None
        if ids.again is not None:
            self.copies += 1
            return None
        return ids


class Emission:
    """One operation that puts records on the log again. `paced` waits until so many may go."""

    def __init__(
        self, log: Log, operations: Operations, operation: UUID, to: str | None, paced: Callable[[int], None]
    ) -> None:
        self._log, self._operations, self._operation, self._to, self._paced = log, operations, operation, to, paced

    def run(self, selection: Selection, span: Span, told: Told = untold) -> int:
        """Put on the log what is still to be put there; answers how many records that were, in all since it began.

        1. Take over from whoever else is at this operation: from here on nobody writes for it but us.
        2. Read how far it has come.
        3. Go on: records and how far that is, in one transaction each.

        Raises FencedError where somebody else took over meanwhile.
        """
        writer = self._log.writer(f"choreo.operations.{self._operation}")
        try:
            last = self._operations.told(str(self._operation)).last
            emitted, read = (last.emitted, last.read) if last else (0, 0)
            left = span.behind(last)
            reached = dict(left.start)
            for batch, moved in selection.batches(left, emitted):
                reached |= moved
                self._paced(len(batch))
                emitted += len(batch)
                transaction = writer.begin()
                transaction.append([self._again(one) for one in batch])
                transaction.append([self._operations.emitted(self._operation, reached, read + selection.read, emitted)])
                transaction.commit()
                told(span.records - Span(reached, span.end).records, span.records)
        except FencedError as error:
            hint = "it goes on with what is left; see choreo replay emit --resume"
            message = f"somebody else goes on with the operation {self._operation} now"
            raise FencedError(message, at=TOPIC, hint=hint) from error
        finally:
            writer.close()
        return emitted

    def _again(self, one: Chosen) -> NewRecord:
        topic, partition, _, _, key, value, headers = one.record
        ids = one.ids._replace(again=Again(self._operation.bytes))
        elsewhere = self._to is not None and self._to != topic
        return NewRecord(self._to or topic, key, value, headers_again(headers, ids), None if elsewhere else partition)


@dataclass(frozen=True)
class Window:
    """Which part of the topics is read: from an offset on, and by when the records were written (milliseconds)."""

    offset: int | None = None
    since_ms: int | None = None
    until_ms: int | None = None


def span_of(log: Log, topics: Iterable[str], window: Window) -> Span:
    """What these topics hold as of now within a window."""
    places = places_on(log, topics)
    starts, ends = log.starts(places), log.settled(places)
    if window.since_ms is not None:
        later = log.offsets_at(places, window.since_ms)
        starts = {place: max(start, later[place]) for place, start in starts.items()}
    if window.offset is not None:
        starts = {place: max(start, window.offset) for place, start in starts.items()}
    if window.until_ms is not None:
        sooner = log.offsets_at(places, window.until_ms)
        ends = {place: min(end, sooner[place]) for place, end in ends.items()}
    return Span({place: min(start, ends[place]) for place, start in starts.items()}, ends)
