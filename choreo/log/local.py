"""What the logs that live in one process share: routing, transactions, fencing, groups and their members.

A backend says how partitions and group offsets are kept (`LocalLog._keep` and its neighbours); nothing of an open
transaction leaves this process, so what a partition holds is committed.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from threading import Condition, RLock

from choreo.clock import Clock, SystemClock
from choreo.errors import (
    FencedError,
    LogError,
    PartitionCountError,
    RecordTooLargeError,
    StaleMemberError,
    UnknownTopicError,
)
from choreo.log.feed import FeedReader, Partition
from choreo.log.groups import Group
from choreo.log.interface import (
    MAX_RECORD_BYTES,
    Identity,
    Listener,
    Log,
    Member,
    Membership,
    Reader,
    Receipt,
    Restorer,
    Topic,
    TopicSpec,
    Transaction,
    Writer,
)
from choreo.log.local_member import LocalMember
from choreo.log.partitioner import partition_of
from choreo.record import NewRecord, Position, Record, TopicPartition

Routed = list[tuple[Partition, NewRecord]]
GroupOffsets = Mapping[str, Mapping[TopicPartition, int]]
"""By group."""


class LocalLog(Log):
    """A log inside this process. Any number of threads may use it; one lock orders all commits.

    `clock` stamps the records and measures session timeouts: the wall clock, unless a test moves it.
    """

    def __init__(self, url: str, clock: Clock | None) -> None:
        self.url = url
        self.clock: Clock = clock or SystemClock()
        self.lock = RLock()
        """The one commit lock. Whoever does not wait takes it rather than `changed`, which is Python around it."""
        self.changed = Condition(self.lock)
        """Notified whenever there may be something new for somebody who waits."""
        self._topics: dict[str, Topic] = {}
        self._partitions: dict[str, Sequence[Partition]] = {}
        self._offsets: dict[str, dict[TopicPartition, int]] = {}
        """What each group has committed."""
        self._groups: dict[str, Group] = {}
        self._writers: dict[str, int] = {}
        self._turn = 0

    @abstractmethod
    def _keep(self, routed: Routed, offsets: GroupOffsets, transactional: bool) -> list[int]:
        """Keep records and group offsets, all or none; answers the offset of each record. The lock is held."""

    @abstractmethod
    def _make(self, spec: TopicSpec) -> tuple[Topic, Sequence[Partition]]:
        """Keep a new topic. The lock is held."""

    @abstractmethod
    def _make_again(
        self, topic: Topic, config: Mapping[str, str], starts: Mapping[int, int]
    ) -> tuple[Topic, Sequence[Partition]]:
        """Keep a topic that was on another log; an empty id stands for a new one. The lock is held."""

    @abstractmethod
    def _keep_where(self, records: Sequence[tuple[Partition, Record]], ends: Mapping[Partition, int]) -> None:
        """Keep records at their own offsets, and where their partitions end then, all or none. The lock is held."""

    @abstractmethod
    def _become(self, cluster_id: str) -> None:
        """Have this id from now on. The lock is held."""

    def topics(self) -> Mapping[str, Topic]:
        return dict(self._topics)

    def create_topics(self, specs: Iterable[TopicSpec]) -> None:
        with self.changed:
            for spec in specs:
                topic = self._topics.get(spec.name)
                if topic is None:
                    self._topics[spec.name], self._partitions[spec.name] = self._make(spec)
                else:
                    expect_count(topic, spec)

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        with self.changed:
            routed = self.route(records)
            offsets = self.commit(routed, {}, transactional=False)
        return [Position(*part.name, offset) for (part, _), offset in zip(routed, offsets, strict=True)]

    def writer(self, transactional_id: str) -> Writer:
        with self.changed:
            epoch = self._writers[transactional_id] = self._writers.get(transactional_id, 0) + 1
        return LocalWriter(self, transactional_id, epoch)

    def join(self, membership: Membership, listener: Listener) -> Member:
        with self.changed:
            for topic in membership.topics:
                self._topic(topic)
            group = self._groups.get(membership.group)
            if group is None:
                group = Group(membership.group, lambda name: self._topic(name).partitions)
                self._groups[membership.group] = group
            return self._admit(group, membership, listener)

    def _admit(self, group: Group, membership: Membership, listener: Listener) -> LocalMember:
        """A new member. The lock is held."""
        return LocalMember(self, group, membership, listener)

    def reader(self, start: Mapping[TopicPartition, int]) -> Reader:
        return FeedReader(self.changed, {self.partition(name): offset for name, offset in start.items()})

    def restorer(self, cluster_id: str) -> Restorer:
        if self.topics() and self.cluster_id() != cluster_id:
            raise another_log(self.url, cluster_id)
        return LocalRestorer(self, cluster_id)

    def become(self, cluster_id: str) -> None:
        """Be the log of this id. Raises LogError where it is another one that has topics already."""
        with self.changed:
            if self.cluster_id() != cluster_id:
                if self._topics:
                    raise another_log(self.url, cluster_id)
                self._become(cluster_id)

    def make_again(self, topic: Topic, config: Mapping[str, str], starts: Mapping[int, int]) -> None:
        """Make a topic that was on another log, if it is not there."""
        with self.changed:
            there = self._topics.get(topic.name)
            if there is None:
                self._topics[topic.name], self._partitions[topic.name] = self._make_again(topic, config, starts)
            else:
                expect_count(there, TopicSpec(topic.name, topic.partitions))

    def keep_where(self, records: Sequence[Record], ends: Mapping[TopicPartition, int]) -> None:
        """Keep records at their own offsets, and wake whoever reads their partitions."""
        with self.changed:
            placed = [(self.partition(record.topic_partition), record) for record in records]
            self._keep_where(placed, {self.partition(name): end for name, end in ends.items()})
            for name in ends:
                self.partition(name).wake()
            self.changed.notify_all()

    def give_back(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        """Keep these as what a group has committed. Raises StaleMemberError where it has members."""
        with self.changed:
            at_work = self._groups.get(group)
            if at_work is not None and not at_work.empty:
                raise StaleMemberError(f"group {group} is at work: only its members commit", at=self.url)
            for name in offsets:
                self.partition(name)
            self.commit([], {group: offsets}, transactional=False)

    def starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {name: self.partition(name).start for name in partitions}

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        with self.lock:
            return {name: self.partition(name).end for name in partitions}

    def offsets_at(self, partitions: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        with self.changed:
            return {name: self.partition(name).offset_at(timestamp_ms) for name in partitions}

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        with self.changed:
            known = self._offsets.get(group, {})
            return {name: known.get(name) for name in partitions}

    def _have_committed(self, offsets: GroupOffsets) -> None:
        """Groups have committed these, and they are kept."""
        for group, its in offsets.items():
            self._offsets.setdefault(group, {}).update(its)

    def partition(self, name: TopicPartition) -> Partition:
        """The partition of this name. Raises UnknownTopicError."""
        partitions = self._partitions.get(name.topic)
        if partitions is None:
            raise unknown_topic(name.topic)
        if not 0 <= name.partition < len(partitions):
            raise UnknownTopicError(f"{name.topic} has no partition {name.partition}", at=name)
        return partitions[name.partition]

    def route(self, records: Sequence[NewRecord]) -> Routed:
        """Each record with its partition. Raises UnknownTopicError or RecordTooLargeError, and then keeps none."""
        routed: Routed = []
        for record in records:
            topic, key, value, headers, number = record
            partitions = self._partitions.get(topic)
            if partitions is None:
                raise unknown_topic(topic)
            size = len(key or b"") + len(value or b"")
            for name, mark in headers:
                size += len(name) + len(mark)
            if size > MAX_RECORD_BYTES:
                raise too_large(topic, size)
            if number is None:
                if key is None:
                    self._turn += 1
                number = partition_of(key, len(partitions), self._turn)
            elif not 0 <= number < len(partitions):
                raise UnknownTopicError(f"{topic} has no partition {number}", at=TopicPartition(topic, number))
            routed.append((partitions[number], record))
        return routed

    def commit(self, routed: Routed, offsets: GroupOffsets, transactional: bool) -> list[int]:
        """Keep records and group offsets, all or none, and wake whoever reads them."""
        with self.lock:
            stored = self._keep(routed, offsets, transactional)
            for partition in dict.fromkeys([part for part, _ in routed]):
                partition.wake()
            self.changed.notify_all()
        return stored

    def epoch(self, transactional_id: str) -> int:
        """Which writer of this id is the living one."""
        return self._writers[transactional_id]

    def _topic(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            raise unknown_topic(name)
        return topic


class LocalRestorer(Restorer):
    """Puts records where they lay."""

    keeps_offsets = True

    def __init__(self, log: LocalLog, cluster_id: str) -> None:
        self._log, self._cluster_id = log, cluster_id

    def make(self, topic: Topic, config: Mapping[str, str], starts: Mapping[int, int]) -> None:
        self._log.become(self._cluster_id)
        self._log.make_again(topic, config, starts)

    def write(self, records: Sequence[Record], ends: Mapping[TopicPartition, int]) -> None:
        self._log.keep_where(records, ends)

    def give_back(self, group: str, offsets: Mapping[TopicPartition, int]) -> None:
        self._log.give_back(group, offsets)


class LocalWriter(Writer):
    """Writes one transaction at a time, until a later writer of the same id fences it."""

    def __init__(self, log: LocalLog, transactional_id: str, epoch: int) -> None:
        self.log = log
        self._id = transactional_id
        self._epoch = epoch
        self._open: LocalTransaction | None = None

    def begin(self) -> Transaction:
        self.check()
        if self._open is not None and self._open.open:
            raise LogError(f"{self._id} has a transaction open already", hint="commit or abort it first")
        self._open = LocalTransaction(self)
        return self._open

    def check(self) -> None:
        """Raises FencedError when a later writer took over this id."""
        if self.log.epoch(self._id) != self._epoch:
            raise FencedError(
                f"another writer took over the transactional id {self._id}",
                why="a newer process of this worker has started",
                hint="stop this one, or make a new writer",
            )

    def close(self) -> None:
        if self._open is not None:
            self._open.abort()


class LocalTransaction(Transaction):
    """Buffered here until `commit`; the log never knows of an open one."""

    def __init__(self, writer: LocalWriter) -> None:
        self.open = True
        self._writer = writer
        self._log = writer.log
        self._routed: Routed = []
        self._receipts: list[tuple[int, Receipt]] = []
        self._offsets: dict[str, dict[TopicPartition, int]] = {}
        self._rights: list[tuple[LocalMember, Identity]] = []

    def append(self, records: Sequence[NewRecord]) -> Receipt:
        self._check()
        receipt = Receipt()
        self._routed += self._log.route(records)
        if records:
            self._receipts.append((len(self._routed) - 1, receipt))
        return receipt

    def send_offsets(self, member: Member, identity: Identity, offsets: Mapping[TopicPartition, int]) -> None:
        self._check()
        if not isinstance(member, LocalMember):
            raise StaleMemberError("a member of another log can't commit here")
        member.check(identity)
        self._rights.append((member, identity))
        self._offsets.setdefault(member.group, {}).update(offsets)

    def commit(self) -> None:
        with self._log.lock:
            self._check()
            for member, identity in self._rights:
                member.check(identity)
            stored = self._log.commit(self._routed, self._offsets, transactional=True)
            self.open = False
        for index, receipt in self._receipts:
            receipt.offset = stored[index]

    def abort(self) -> None:
        self.open = False

    def _check(self) -> None:
        if not self.open:
            raise LogError("this transaction has ended", hint="begin another")
        self._writer.check()


def unknown_topic(name: str) -> UnknownTopicError:
    """The error for a topic that nobody has made."""
    return UnknownTopicError(f"there is no topic {name}", hint="make it with `choreo topics apply`")


def too_large(topic: str, size: int) -> RecordTooLargeError:
    """The error for a record beyond MAX_RECORD_BYTES."""
    return RecordTooLargeError(
        f"a record of {size:,} bytes is too large",
        at=topic,
        why=f"key, value and headers may have {MAX_RECORD_BYTES:,} bytes together",
        hint="keep large contents elsewhere and send their address",
    )


def another_log(url: str, cluster_id: str) -> LogError:
    """The error for a restore into a log that is not empty."""
    return LogError(
        "this log has topics of its own",
        at=url,
        why=f"what was archived from log {cluster_id} keeps its offsets and its id, which needs a log of its own",
        hint="restore into an empty one: --log embedded:NEW_DIR",
    )


def expect_count(topic: Topic, spec: TopicSpec) -> None:
    """Raises PartitionCountError where a topic is not as it should be."""
    if topic.partitions != spec.partitions:
        raise PartitionCountError(
            f"{topic.name} has {topic.partitions} partitions, not {spec.partitions}",
            why="keys would move to other partitions, away from their state",
            hint=f"set partitions = {topic.partitions}, or name another topic",
        )
