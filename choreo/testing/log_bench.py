"""What the log's contract suite stands on: fresh topics and groups, members that keep a diary, one way to wait."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from uuid import uuid4

from choreo.errors import LogError
from choreo.log.interface import Identity, Log, Member, Membership, TopicSpec, Writer
from choreo.record import NewRecord, Record, TopicPartition

DEADLINE_S = 30.0
"""How long the suite waits for a slow log (a rebalance of a broker) before a test fails."""
POLL_S = 0.02

Diary = list[tuple[str, str, tuple[TopicPartition, ...]]]
"""What listeners were told, in order: (member, "assigned" | "revoked" | "lost", partitions)."""


def eventually(condition: Callable[[], object], *polls: Callable[[], object]) -> None:
    """Poll in turn until the condition holds. Raises AssertionError after DEADLINE_S."""
    until = monotonic() + DEADLINE_S
    while not condition():
        assert monotonic() < until, f"it did not come true within {DEADLINE_S:g} s"
        for poll in polls:
            poll()


def quiet(step: Callable[[], object]) -> Callable[[], None]:
    """The same step, for a member that may have been thrown out: its log may refuse to poll it."""

    def polled() -> None:
        with suppress(LogError):
            step()

    return polled


@dataclass
class Watched:
    """A member, its listener and all that both have seen."""

    name: str
    diary: Diary
    on_revoked: Callable[["Watched"], None] | None = None
    committed: dict[TopicPartition, int | None] = field(default_factory=dict)
    owned: set[TopicPartition] = field(default_factory=set)
    records: list[Record] = field(default_factory=list)
    _member: Member | None = None

    @property
    def member(self) -> Member:
        assert self._member is not None, f"{self.name} has not joined"
        return self._member

    @property
    def identity(self) -> Identity:
        identity = self.member.identity()
        assert identity is not None, f"{self.name} has no assignment"
        return identity

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.records]

    def joined(self, member: Member) -> None:
        self._member = member

    def poll(self, limit: int = 1000) -> list[Record]:
        records = self.member.poll(POLL_S, limit)
        self.records += records
        return records

    def numbers(self, topic: str) -> set[int]:
        """The partition numbers of `topic` that it owns."""
        return {partition.partition for partition in self.owned if partition.topic == topic}

    def next_offsets(self) -> dict[TopicPartition, int]:
        """The offset after what was handed out, of each partition that it owns."""
        return {partition: self.member.position(partition) for partition in self.owned}

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        self.diary.append((self.name, "assigned", tuple(committed)))
        self.committed.update(committed)
        self.owned |= set(committed)
        return {partition: offset or 0 for partition, offset in committed.items()}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        self.diary.append((self.name, "revoked", tuple(partitions)))
        if self.on_revoked is not None:
            self.on_revoked(self)
        self.owned -= set(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        self.diary.append((self.name, "lost", tuple(partitions)))
        self.owned -= set(partitions)


class Bench:
    """One test's corner of a log: names of its own, and everything that it opened closed at the end."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.name = f"contract-{uuid4().hex[:12]}"
        self.group = f"{self.name}.group"
        self.diary: Diary = []
        self._topics = 0
        self._open: list[Member | Writer] = []
        self._watched: list[Watched] = []

    def topic(self, partitions: int = 1) -> str:
        """A new, empty topic."""
        self._topics += 1
        name = f"{self.name}.topic-{self._topics}"
        self.log.create_topics([TopicSpec(name, partitions)])
        return name

    def writer(self, name: str = "writer") -> Writer:
        writer = self.log.writer(f"{self.name}.{name}")
        self._open.append(writer)
        return writer

    def join(self, name: str, *topics: str, log: Log | None = None, group: str | None = None) -> Watched:
        """A member whose instance is `name`; not polled yet."""
        watched = Watched(name, self.diary)
        self._watched.append(watched)
        membership = Membership(group or self.group, topics, f"{self.name}.{name}", session_timeout_s=6)
        watched.joined((log or self.log).join(membership, watched))
        self._open.append(watched.member)
        return watched

    def append(self, topic: str, *values: bytes, key: bytes | None = None, partition: int | None = None) -> None:
        self.log.append([NewRecord(topic, key, value, (), partition) for value in values])

    def read(self, *topics: str, log: Log | None = None) -> list[Record]:
        """All that is visible in these topics up to their ends."""
        log = log or self.log
        partitions = self.partitions(*topics, log=log)
        ends = log.ends(partitions)
        records: list[Record] = []
        with log.reader(dict.fromkeys(partitions, 0)) as reader:
            eventually(
                lambda: all(reader.position(partition) >= ends[partition] for partition in partitions),
                lambda: records.extend(reader.read(POLL_S)),
            )
        return records

    def values(self, *topics: str, log: Log | None = None) -> list[bytes | None]:
        return [record.value for record in self.read(*topics, log=log)]

    def partitions(self, *topics: str, log: Log | None = None) -> list[TopicPartition]:
        known = (log or self.log).topics()
        return [TopicPartition(topic, number) for topic in topics for number in range(known[topic].partitions)]

    def committed(self, topic: str) -> dict[TopicPartition, int | None]:
        return self.log.committed(self.group, self.partitions(topic))

    def close(self) -> None:
        for watched in self._watched:
            watched.on_revoked = None
        for opened in reversed(self._open):
            quiet(opened.close)()


def overlaps(diary: Iterable[tuple[str, str, tuple[TopicPartition, ...]]]) -> list[TopicPartition]:
    """Partitions that were given to one member while another still owned them."""
    owners: dict[TopicPartition, str] = {}
    found = []
    for name, word, partitions in diary:
        for partition in partitions:
            if word != "assigned":
                owners.pop(partition, None)
            elif owners.setdefault(partition, name) != name:
                found.append(partition)
    return found
