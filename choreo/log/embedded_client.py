"""An embedded log that another process owns: reads here, appends and commits records there; no groups."""

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from threading import Condition, RLock
from time import monotonic

from choreo.errors import StateInUseError
from choreo.log.embedded import StoredPartition
from choreo.log.embedded_socket import ask, fields_of
from choreo.log.embedded_store import LogStore, StoredTopic
from choreo.log.embedded_writer import ClientWriter
from choreo.log.feed import Feed
from choreo.log.interface import Listener, Log, Member, Membership, Reader, Restorer, Topic, TopicSpec, Writer
from choreo.log.local import unknown_topic
from choreo.record import NewRecord, Position, Record, TopicPartition

_LOOK_AGAIN_S = 0.02


class EmbeddedClient(Log):
    """Sees what the owner has committed, and appends through it. It goes on reading when the owner ends."""

    def __init__(self, directory: str | Path) -> None:
        self.url = f"embedded:{directory}"
        self.changed = Condition(RLock())
        self._directory = Path(directory)
        self._scratch = Path(tempfile.mkdtemp(prefix="choreo-follow-"))
        self._closed = False
        try:
            self._store = LogStore(self._directory, scratch=self._scratch)
        except BaseException:
            shutil.rmtree(self._scratch, ignore_errors=True)
            raise
        self._known: dict[str, StoredTopic] = {}

    def cluster_id(self) -> str:
        return self._store.cluster_id()

    def topics(self) -> Mapping[str, Topic]:
        return {name: stored.topic for name, stored in self._topics().items()}

    def config(self, topic: str) -> Mapping[str, str]:
        stored = self._topics().get(topic)
        if stored is None:
            raise unknown_topic(topic)
        return dict(stored.config)

    def restorer(self, cluster_id: str) -> Restorer:
        raise self._refusal("restore")

    def create_topics(self, specs: Iterable[TopicSpec]) -> None:
        ask(self._directory, "create_topics", topics=[[s.name, s.partitions, dict(s.config)] for s in specs])

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        if not records:
            return []
        answer = ask(self._directory, "append", records=[fields_of(record) for record in records])
        return [Position(*position) for position in answer["positions"]]

    def writer(self, transactional_id: str) -> Writer:
        return ClientWriter(self._directory, transactional_id)

    def join(self, membership: Membership, listener: Listener) -> Member:
        raise self._refusal(f"members of {membership.group}")

    def reader(self, start: Mapping[TopicPartition, int]) -> Reader:
        return FollowingReader(self, {self.partition(name): offset for name, offset in start.items()})

    def starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {name: self.partition(name).start for name in partitions}

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        with self.changed:
            self._store.catch_up()
            return {name: self.partition(name).end for name in partitions}

    def offsets_at(self, partitions: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        with self.changed:
            self._store.catch_up()
            return {name: self.partition(name).offset_at(timestamp_ms) for name in partitions}

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        with self.changed:
            self._store.catch_up()
            stored = self._store.committed().get(group, {})
        return {name: stored.get(name) for name in partitions}

    def close(self) -> None:
        with self.changed:
            if not self._closed:
                self._closed = True
                self._store.close()
                shutil.rmtree(self._scratch, ignore_errors=True)

    def partition(self, name: TopicPartition) -> StoredPartition:
        """The partition of this name as it is now. Raises UnknownTopicError."""
        with self.changed:
            stored = self._known.get(name.topic) or self._topics().get(name.topic)
            if stored is None or not 0 <= name.partition < stored.topic.partitions:
                raise unknown_topic(str(name))
            return StoredPartition(self._store, name.topic, stored.number, name.partition)

    def grow(self, partitions: Iterable[StoredPartition]) -> None:
        """Look how far the owner has come, and wake those who read what has grown."""
        with self.changed:
            self._store.catch_up()
            for partition in partitions:
                end, _ = self._store.end(partition.topic_number, partition.number)
                if end > partition.end:
                    partition.end = end
                    partition.wake()

    def _topics(self) -> dict[str, StoredTopic]:
        with self.changed:
            self._store.catch_up()
            self._known = self._store.topics()
            return self._known

    def _refusal(self, what: str) -> StateInUseError:
        return StateInUseError(
            f"another process owns {self._directory}: no {what} here",
            why="the embedded log has one process that runs services; others read, append and commit records",
            hint="stop that process first; for several processes use kafka://",
        )


class FollowingReader(Reader):
    """Reads what the owner writes. Nobody tells this process, so it looks again every 20 ms while it waits."""

    def __init__(self, log: EmbeddedClient, start: Mapping[StoredPartition, int]) -> None:
        self._log = log
        self._partitions = tuple(start)
        self._feed = Feed(log.changed)
        for partition, offset in start.items():
            self._feed.watch(partition, offset)

    def read(self, timeout_s: float, limit: int = 5000) -> list[Record]:
        until = monotonic() + timeout_s
        while not self._feed.ready:
            self._log.grow(self._partitions)
            left = until - monotonic()
            if self._feed.ready or left <= 0:
                break
            with self._log.changed:
                self._log.changed.wait(min(left, _LOOK_AGAIN_S))
        return self._feed.take(limit)

    def position(self, partition: TopicPartition) -> int:
        return self._feed.cursor(partition).position

    def close(self) -> None:
        self._feed.drop()
