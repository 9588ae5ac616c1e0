"""The pages of a journal: found by bisection, without reading much of it."""

from collections.abc import Mapping

import pytest

from choreo.log.interface import Reader, TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, Record, TopicPartition
from choreo.replay.cursor import Cursor
from choreo.replay.pages import Journal
from choreo.runtime.journal import Page, Reading

PLACE = TopicPartition("choreo.clerk.journal", 0)
PAGES = 20_000


class Counted(Reader):
    """Says how many records were handed out."""

    def __init__(self, reader: Reader, log: "CountingLog") -> None:
        self._reader, self._log = reader, log

    def read(self, timeout_s: float, limit: int = 5000) -> list[Record]:
        records = self._reader.read(timeout_s, limit)
        self._log.handed_out += len(records)
        self._log.reads += 1
        return records

    def position(self, partition: TopicPartition) -> int:
        return self._reader.position(partition)

    def close(self) -> None:
        self._reader.close()


class CountingLog(MemoryLog):
    """A log that counts what is read from it."""

    handed_out = reads = 0

    def reader(self, start: Mapping[TopicPartition, int]) -> Reader:
        return Counted(super().reader(start), self)


@pytest.fixture(scope="module")
def log() -> CountingLog:
    log = CountingLog()
    log.create_topics([TopicSpec(PLACE.topic, 1)])
    records: list[NewRecord] = []
    for number in range(1, PAGES + 1):
        records += Page("b", (), 1, number, (), [Reading(number * 10)]).records(PLACE.topic, 0)
    log.append(records)
    return log


def test_a_page_is_found_without_reading_what_lies_around_it(log: CountingLog) -> None:
    """A bisection reads a few records at each of its steps, however long the journal is."""
    log.handed_out = 0
    journal = Journal(log, "choreo.clerk", 0)
    assert journal.first(lambda page: page.checkpoint >= 12_345) == 12_345
    assert next(journal.pages(4_321)).checkpoint == 4_322
    assert log.handed_out < 1_000


def test_a_cursor_that_goes_on_reads_more_and_more_at_once(log: CountingLog) -> None:
    """All of a long journal takes few reads, and comes whole and in order."""
    log.handed_out = log.reads = 0
    cursor = Cursor(log, PLACE)
    assert [record.offset for record in cursor.rest()] == list(range(PAGES))
    assert log.handed_out == PAGES
    assert log.reads < 12
