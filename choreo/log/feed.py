"""How records reach readers and members inside one process: partitions that wake cursors, and feeds that read them."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from threading import Condition
from time import monotonic

from choreo.errors import LogError
from choreo.log.interface import Reader
from choreo.record import Record, TopicPartition


class Partition(ABC):
    """One ordered sequence of records, all of them committed. Its caller holds the log's lock."""

    __slots__ = ("end", "name", "number", "start", "topic", "watchers")

    def __init__(self, topic: str, number: int) -> None:
        self.topic = topic
        self.number = number
        self.name = TopicPartition(topic, number)
        self.start = self.end = 0
        self.watchers: list[Cursor] = []

    @abstractmethod
    def read(self, offset: int, limit: int) -> tuple[list[Record], int]:
        """Up to `limit` records from `offset` on, and the offset after all that this passed over."""

    @abstractmethod
    def offset_at(self, timestamp_ms: int) -> int:
        """The first offset whose timestamp is at or after this one, else the end."""

    def wake(self) -> None:
        """Tell whoever reads this partition that it has grown."""
        for cursor in self.watchers:
            if not cursor.paused:
                cursor.ready[cursor] = None


class Cursor:
    """A place in a partition. While there is something to read at it, it stands in the `ready` of its feed."""

    __slots__ = ("partition", "paused", "position", "ready")

    def __init__(self, partition: Partition, position: int, ready: "dict[Cursor, None]") -> None:
        self.partition = partition
        self.position = position
        self.paused = False
        self.ready = ready

    def settle(self) -> None:
        """Stand in `ready` if, and only if, there is something to hand out."""
        if self.position < self.partition.end and not self.paused:
            self.ready[self] = None
        else:
            self.ready.pop(self, None)


class Feed:
    """The cursors of one reader. Nothing is scanned: what has grown stands in `ready`, the longest unread first."""

    def __init__(self, changed: Condition) -> None:
        self._changed = changed
        self._cursors: dict[TopicPartition, Cursor] = {}
        self.ready: dict[Cursor, None] = {}

    def watch(self, partition: Partition, position: int) -> None:
        """Read this partition from `position` on (before the first record means the first)."""
        cursor = Cursor(partition, max(position, 0), self.ready)
        with self._changed:
            self._cursors[partition.name] = cursor
            partition.watchers.append(cursor)
            cursor.settle()

    def drop(self) -> None:
        """Read nothing any more."""
        with self._changed:
            for cursor in self._cursors.values():
                cursor.partition.watchers.remove(cursor)
            self._cursors.clear()
            self.ready.clear()

    def take(self, limit: int) -> list[Record]:
        """Up to `limit` records; a partition with more to give goes to the end of the queue."""
        taken: list[Record] = []
        if not self.ready:
            return taken
        with self._changed:
            while self.ready and limit > 0:
                cursor = next(iter(self.ready))
                del self.ready[cursor]
                records, cursor.position = cursor.partition.read(cursor.position, limit)
                if cursor.position < cursor.partition.end:
                    self.ready[cursor] = None
                limit -= len(records)
                taken = records if not taken else taken + records
        return taken

    def cursor(self, partition: TopicPartition) -> Cursor:
        cursor = self._cursors.get(partition)
        if cursor is None:
            raise LogError(
                f"{partition} is not read here", at=partition, hint="ask only for partitions that were assigned"
            )
        return cursor

    def seek(self, partition: TopicPartition, offset: int) -> None:
        with self._changed:
            cursor = self.cursor(partition)
            cursor.position = max(offset, 0)
            cursor.settle()

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        with self._changed:
            for cursor in map(self.cursor, partitions):
                cursor.paused = True
                cursor.settle()

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        with self._changed:
            for cursor in map(self.cursor, partitions):
                cursor.paused = False
                cursor.settle()


class FeedReader(Reader):
    """Reads partitions of an in-process log without a group."""

    def __init__(self, changed: Condition, start: Mapping[Partition, int]) -> None:
        self._changed = changed
        self._feed = Feed(changed)
        for partition, offset in start.items():
            self._feed.watch(partition, offset)

    def read(self, timeout_s: float, limit: int = 5000) -> list[Record]:
        if not self._feed.ready and timeout_s > 0:
            # A wait of the caller's thread: wall time whatever clock the log was given.
            until = monotonic() + timeout_s
            with self._changed:
                while not self._feed.ready and (left := until - monotonic()) > 0:
                    self._changed.wait(left)
        return self._feed.take(limit)

    def position(self, partition: TopicPartition) -> int:
        return self._feed.cursor(partition).position

    def close(self) -> None:
        self._feed.drop()
