"""The embedded log: durable, on one machine, kept in a directory. Its layout is in `embedded_store.py`.

One process owns the directory. It serves appends on a local socket (`embedded_socket.py`); other processes append
there and read through a RocksDB secondary (`embedded_client.py`). Everything is kept for ever: there is no retention;
a partition that was restored may begin later than at 0.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from choreo.clock import Clock
from choreo.errors import ChoreoError
from choreo.log.embedded_socket import AppendServer
from choreo.log.embedded_store import LogStore, committed_entry, end_key, end_value, pack, record_key
from choreo.log.feed import Partition
from choreo.log.interface import Topic, TopicSpec
from choreo.log.local import GroupOffsets, LocalLog, Routed
from choreo.record import NewRecord, Record


class StoredPartition(Partition):
    """One partition on disk. `end` is what its log knows, so that nothing beyond it is read."""

    __slots__ = ("_store", "topic_number")

    def __init__(self, store: LogStore, topic: str, topic_number: int, number: int) -> None:
        super().__init__(topic, number)
        self.topic_number = topic_number
        self._store = store
        self.start = store.start(topic_number, number)
        self.end, _ = store.end(topic_number, number)
        self.end = max(self.start, self.end)

    def read(self, offset: int, limit: int) -> tuple[list[Record], int]:
        if offset >= self.end:
            return [], offset
        limit = min(limit, self.end - offset)
        records = self._store.read(self.name, self.topic_number, offset, limit)
        return records, records[-1].offset + 1 if records else self.end

    def offset_at(self, timestamp_ms: int) -> int:
        # Timestamps never fall within a log (`EmbeddedLog` sees to it), so the place can be found by halving.
        first, last = self.start, self.end
        while first < last:
            middle = (first + last) // 2
            found = self._store.first_from(self.topic_number, self.number, middle)
            if found is None or found[1] >= timestamp_ms:
                last = middle
            else:
                first = found[0] + 1
        found = self._store.first_from(self.topic_number, self.number, first)
        return self.end if found is None else found[0]  # a restored partition has gaps


class EmbeddedLog(LocalLog):
    """The log in a directory, owned by this process. Raises StateInUseError while another process owns it.

    A commit is one atomic RocksDB write of records, ends and group offsets: no open transaction is ever visible, and a
    kill -9 at any instruction leaves whole transactions. A power loss does so with `sync` only. With a full disk it
    raises DiskFullError, nothing of that transaction is kept, and it goes on once there is room.
    """

    def __init__(self, directory: str | Path, sync: bool = False, clock: Clock | None = None) -> None:
        super().__init__(f"embedded:{directory}", clock)
        self._store = LogStore(Path(directory), sync=sync)
        self._cluster = self._store.cluster_id()
        self._numbers = 0
        self._last_ms = 0
        self._stale = True
        self._closed = False
        self._load()
        self._server = AppendServer(self, Path(directory))

    def cluster_id(self) -> str:
        return self._cluster

    def config(self, topic: str) -> Mapping[str, str]:
        with self.changed:
            return dict(self._store.topics()[self._topic(topic).name].config)

    def close(self) -> None:
        with self.changed:
            if self._closed:
                return
            self._closed = True
        self._server.close()
        with self.changed:
            self._store.close()
            self.changed.notify_all()

    def _make(self, spec: TopicSpec) -> tuple[Topic, Sequence[Partition]]:
        self._load()
        self._numbers += 1
        stored = self._store.make_topic(spec, self._numbers)
        partitions = [StoredPartition(self._store, spec.name, stored.number, n) for n in range(spec.partitions)]
        return stored.topic, partitions

    def _make_again(
        self, topic: Topic, config: Mapping[str, str], starts: Mapping[int, int]
    ) -> tuple[Topic, Sequence[Partition]]:
        self._load()
        self._numbers += 1
        stored = self._store.make_again(topic, config, self._numbers, starts)
        partitions = [StoredPartition(self._store, topic.name, stored.number, n) for n in range(topic.partitions)]
        return stored.topic, partitions

    def _keep_where(self, records: Sequence[tuple[Partition, Record]], ends: Mapping[Partition, int]) -> None:
        entries: dict[bytes, bytes] = {}
        stamp = max([self._last_ms, *(record.timestamp_ms for _, record in records)])
        for partition, (_, number, offset, timestamp_ms, key, value, headers) in records:
            assert isinstance(partition, StoredPartition)
            # Kafka tells a header without a value from one of no bytes, this layout does not.
            marks = [(name, mark or b"") for name, mark in headers]
            entries[record_key(partition.topic_number, number, offset)] = pack(
                NewRecord(partition.topic, key, value, marks), timestamp_ms
            )
        for partition, end in ends.items():
            assert isinstance(partition, StoredPartition)
            entries[end_key(partition.topic_number, partition.number)] = end_value(end, stamp)
        try:
            self._store.write(entries)
        except ChoreoError:
            self._stale = True
            raise
        self._last_ms = stamp
        for partition, end in ends.items():
            partition.end = end

    def _become(self, cluster_id: str) -> None:
        self._store.become(cluster_id)
        self._cluster = cluster_id

    def _keep(self, routed: Routed, offsets: GroupOffsets, transactional: bool) -> list[int]:
        self._load()
        stamp = max(self._last_ms, self.clock.now() // 1000)
        entries: dict[bytes, bytes] = {}
        ends: dict[Partition, int] = {}
        stored = []
        for partition, record in routed:
            assert isinstance(partition, StoredPartition)
            offset = ends.get(partition, partition.end)
            ends[partition] = offset + 1
            stored.append(offset)
            entries[record_key(partition.topic_number, partition.number, offset)] = pack(record, stamp)
        for partition, end in ends.items():
            assert isinstance(partition, StoredPartition)
            entries[end_key(partition.topic_number, partition.number)] = end_value(end, stamp)
        for group, its in offsets.items():
            known = self._offsets.get(group, {})
            entries.update(committed_entry(group, name, at) for name, at in its.items() if known.get(name) != at)
        if not entries:
            return stored
        try:
            self._store.write(entries)
        except ChoreoError:
            self._stale = True  # what is on disk is known only when it could be opened again
            raise
        self._last_ms = stamp
        self._have_committed(offsets)
        for partition, end in ends.items():
            partition.end = end
        return stored

    def _load(self) -> None:
        """Know what is on disk: when opened, and after a write of unknown outcome."""
        if not self._stale:
            return
        for name, stored in self._store.topics().items():
            self._numbers = max(self._numbers, stored.number)
            if name not in self._topics:
                self._topics[name] = stored.topic
                self._partitions[name] = [
                    StoredPartition(self._store, name, stored.number, n) for n in range(stored.topic.partitions)
                ]
            for partition in self._partitions[name]:
                partition.end, last_ms = self._store.end(stored.number, partition.number)
                partition.wake()
                self._last_ms = max(self._last_ms, last_ms)
        self._offsets = self._store.committed()
        self._stale = False
