"""Records: bytes at a position. The words that the log and the events share, and nothing else."""

from collections.abc import Sequence
from typing import Final, NamedTuple

Headers = Sequence[tuple[str, bytes]]

of_fields: Final = tuple.__new__
"""A NamedTuple of all its fields, `of_fields(Record, (...))`, in about half the time of the class itself, which calls a
Python function first: for what is made for every event. Defaults are not filled in.
"""


class TopicPartition(NamedTuple):
    """One ordered sequence of records."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]"


class Position(NamedTuple):
    """Where one record lies; prints as `shop.orders[3]@8812`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


class Record(NamedTuple):
    """A record as read from a log. `timestamp_ms` is the wall clock of its writer; business time is in the envelope."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @property
    def position(self) -> Position:
        return Position(self.topic, self.partition, self.offset)

    @property
    def topic_partition(self) -> TopicPartition:
        return TopicPartition(self.topic, self.partition)


class NewRecord(NamedTuple):
    """A record to append. Without a partition, the key decides (murmur2, as Java's client does)."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
