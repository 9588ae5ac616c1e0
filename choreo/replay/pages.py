"""The journal of one task as pages in order, read from any checkpoint on, and where in it something happened."""

from collections.abc import Callable, Iterator
from contextlib import closing

from choreo.errors import DivergenceError
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.replay.cursor import Cursor
from choreo.runtime.journal import Page, Reading, read_pages

Sought = Callable[[Page], bool | None]
"""Whether a page lies behind what is sought; None where it does not say. Once true it is true for all later pages."""


class Journal:
    """The pages of one task of a service, up to the end that its journal had when this was made."""

    def __init__(self, log: Log, scope: str, partition: int) -> None:
        self.place = TopicPartition(f"{scope}.journal", partition)
        self._log = log
        self._start = log.starts([self.place])[self.place]
        self._end = log.ends([self.place])[self.place]

    def pages(self, after: int = 0) -> Iterator[Page]:
        """Every page behind checkpoint `after`, in order. Raises DivergenceError where one is missing."""
        expected = after + 1
        start = self._offset_of(lambda page: page.checkpoint >= expected) if after else 0
        for page in self._read(start):
            if page.checkpoint != expected:
                raise DivergenceError(
                    f"the journal goes from checkpoint {expected - 1} to {page.checkpoint}",
                    at=self.place,
                    why="a journal record is missing or stands twice",
                    hint=None
                    if expected > 1 and not self._start
                    else "older ones were deleted: restore an archive, or keep snapshots",
                )
            expected += 1
            yield page

    def last(self) -> int:
        """The number of the last page, 0 where there is none."""
        offset, last = self._end, 0
        while offset > self._start and not last:
            offset = max(offset - 64, self._start)  # markers and parts lie between
            last = max((page.checkpoint for page in self._read(offset)), default=0)
        return last

    def first(self, sought: Sought) -> int | None:
        """The checkpoint of the first page for which `sought` holds, None where it holds for none."""
        page = next(self._told(self._offset_of(sought), sought), None)
        return None if page is None else page.checkpoint

    def _offset_of(self, sought: Sought) -> int:
        """An offset from which on the first page that says anything is the first for which `sought` holds."""
        low, high = self._start, self._end
        while low < high:
            middle = (low + high) // 2
            page = next(self._told(middle, sought), None)
            if page is None or sought(page):
                high = middle
            else:
                low = middle + 1
        return low

    def _told(self, offset: int, sought: Sought) -> Iterator[Page]:
        return (page for page in self._read(offset) if sought(page) is not None)

    def _read(self, offset: int) -> Iterator[Page]:
        with closing(Cursor(self._log, self.place, offset)) as cursor:
            yield from read_pages(cursor.rest())


def last_reading(page: Page) -> int:
    """What its task's clock said last (microseconds)."""
    return max((step.now for step in page.steps if isinstance(step, Reading)), default=0)
