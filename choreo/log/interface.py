"""The log as everybody above sees it: topics of partitions of records, groups, transactions. Bytes only.

Three backends keep it (memory, embedded, kafka); `choreo.testing.contracts` holds what each must pass.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self

from choreo.record import NewRecord, Position, Record, TopicPartition

MAX_RECORD_BYTES = 1_000_000
"""Largest key + value + headers of one record (bytes): Kafka's default for a batch, less its own overhead."""


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it should be. `config` holds Kafka's own topic keys, e.g. {"cleanup.policy": "compact"}."""

    name: str
    partitions: int = 4
    config: Mapping[str, str] = field(default_factory=dict)


class Topic(NamedTuple):
    """A topic as it is. `topic_id` changes when a topic is deleted and made again."""

    name: str
    partitions: int
    topic_id: str


class Listener(Protocol):
    """Told about the partitions of a member. Called inside `Member.poll`; must not raise."""

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        """These partitions are ours from now on; answers the offset from which to read each."""
        ...

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These go to somebody else after this call: the last chance to commit for them."""
        ...

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These are somebody else's already: drop everything about them, commit nothing."""
        ...


@dataclass(frozen=True)
class Membership:
    """Who joins which group for which topics. `instance` is stable over restarts (static membership)."""

    group: str
    topics: tuple[str, ...]
    instance: str
    session_timeout_s: float = 45.0


class Identity(NamedTuple):
    """Member id and generation: under which right a member commits."""

    member_id: str
    generation: int


class Member(ABC):
    """One consumer in a group. Partition n of every topic of the group goes to the same member (range)."""

    @abstractmethod
    def poll(self, timeout_s: float, limit: int = 1000) -> list[Record]:
        """Up to `limit` committed records, in order within a partition. Waits at most `timeout_s` for the first."""

    @abstractmethod
    def identity(self) -> Identity | None:
        """None before the first assignment and after the membership was lost."""

    @abstractmethod
    def position(self, partition: TopicPartition) -> int:
        """The offset after all that `poll` has handed out or passed over (aborted records, markers)."""

    @abstractmethod
    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on reading an assigned partition from `offset`."""

    @abstractmethod
    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Hand out nothing of these until `resume`. What was prefetched is not lost."""

    @abstractmethod
    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Undo `pause`."""

    @abstractmethod
    def close(self) -> None:
        """Leave the group and stop; revokes first. Safe to call twice."""


class Reader(ABC):
    """Reads partitions without a group: restore, replay, listings. Read committed."""

    @abstractmethod
    def read(self, timeout_s: float, limit: int = 5000) -> list[Record]:
        """Up to `limit` records, in order within a partition; waits at most `timeout_s` for the first."""

    @abstractmethod
    def position(self, partition: TopicPartition) -> int:
        """The offset after all that `read` has handed out or passed over."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Receipt:
    """Filled by the commit: the offset of the last record of one `append`."""

    __slots__ = ("offset",)

    def __init__(self) -> None:
        self.offset: int | None = None


class Transaction(ABC):
    """Records and offsets that become visible together, or not at all."""

    @abstractmethod
    def append(self, records: Sequence[NewRecord]) -> Receipt:
        """Add records, in order."""

    @abstractmethod
    def send_offsets(self, member: Member, identity: Identity, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit these offsets for the member's group, under `identity`: the right under which the work was done.

        Raises StaleMemberError when the group has moved on, or where `identity` is no longer the member's.
        """

    @abstractmethod
    def commit(self) -> None:
        """Make it visible; fills the receipts. An unknown outcome is asked again until it is known.

        Raises TransactionAbortedError (nothing was committed) or FencedError.
        """

    @abstractmethod
    def abort(self) -> None:
        """Forget it. Never raises TransactionAbortedError."""


class Writer(ABC):
    """Writes transactions under one transactional id. Making one fences its predecessor with the same id."""

    @abstractmethod
    def begin(self) -> Transaction: ...

    @abstractmethod
    def close(self) -> None: ...


class Restorer(ABC):
    """Fills topics that nobody else writes with records that lay on another log: same bytes, same timestamps."""

    keeps_offsets: bool
    """Whether records come to lie where they lay. Where not, those of a partition are numbered anew, from 0 on."""

    @abstractmethod
    def make(self, topic: Topic, config: Mapping[str, str], starts: Mapping[int, int]) -> None:
        """Make a topic; one that is there is left as it is. Where offsets are kept, partition n begins at starts[n],
        and an id that is not empty is kept too. Raises PartitionCountError.
        """

    @abstractmethod
    def write(self, records: Sequence[Record], ends: Mapping[TopicPartition, int]) -> None:
        """Add records at the ends of their partitions, in order; durable and visible on return.

        Where offsets are kept, these partitions end at `ends` then. A crash leaves a beginning of it, or nothing.
        """

    @abstractmethod
    def give_back(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Have a group go on at these offsets of this log. Raises StaleMemberError where it has members."""


class Log(ABC):
    """The durable, ordered, partitioned truth."""

    url: str

    @abstractmethod
    def cluster_id(self) -> str:
        """Which log this is: another id means that no stored offset holds."""

    @abstractmethod
    def topics(self) -> Mapping[str, Topic]:
        """All topics, by name."""

    @abstractmethod
    def config(self, topic: str) -> Mapping[str, str]:
        """Kafka's own topic keys that were set for this topic. Raises UnknownTopicError."""

    @abstractmethod
    def create_topics(self, specs: Iterable[TopicSpec]) -> None:
        """Make the topics that are missing. Raises PartitionCountError where one exists with another count."""

    @abstractmethod
    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        """Write outside of any group's transaction; durable and visible on return, each key in order."""

    @abstractmethod
    def writer(self, transactional_id: str) -> Writer: ...

    @abstractmethod
    def join(self, membership: Membership, listener: Listener) -> Member: ...

    @abstractmethod
    def reader(self, start: Mapping[TopicPartition, int]) -> Reader:
        """Read these partitions from these offsets (an offset before the first record means the first)."""

    @abstractmethod
    def starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of the first record that is still there."""

    @abstractmethod
    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset after the last record as of now, those of open transactions counted."""

    def settled(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset before which nothing changes any more as of now: `ends`, less what open transactions hold back.

        What a commit that has just returned wrote may still be held back for a moment.
        """
        return self.ends(partitions)

    @abstractmethod
    def offsets_at(self, partitions: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        """The first offset whose timestamp is at or after `timestamp_ms`; the end where there is none."""

    @abstractmethod
    def restorer(self, cluster_id: str) -> Restorer:
        """Takes back what was archived from the log `cluster_id`.

        A log that keeps offsets is that log from the first topic on, by its id too: ids that were made from positions
        stay what they were. Raises LogError where it is another one that has topics already.
        """

    @abstractmethod
    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        """What a group has committed; None where it has not."""

    @abstractmethod
    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
