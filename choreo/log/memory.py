"""The log in memory: for simulation and unit tests. Gone when its object is."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from uuid import NAMESPACE_URL, uuid4, uuid5

from choreo.clock import Clock
from choreo.log.feed import Partition
from choreo.log.interface import Topic, TopicSpec
from choreo.log.local import GroupOffsets, LocalLog, Routed
from choreo.record import Record, of_fields


class MemoryPartition(Partition):
    """Records in a list, their offsets beside them: there are gaps."""

    __slots__ = ("offsets", "records")

    def __init__(self, topic: str, number: int) -> None:
        super().__init__(topic, number)
        self.records: list[Record] = []
        self.offsets: list[int] = []

    def read(self, offset: int, limit: int) -> tuple[list[Record], int]:
        first = bisect_left(self.offsets, offset)
        records = self.records[first : first + limit]
        if first + limit >= len(self.records):
            return records, max(self.end, offset)
        return records, records[-1].offset + 1

    def offset_at(self, timestamp_ms: int) -> int:
        first = bisect_left(self.records, timestamp_ms, key=lambda record: record.timestamp_ms)
        return self.offsets[first] if first < len(self.records) else self.end


class MemoryLog(LocalLog):
    """The log in memory.

    Each transaction leaves a gap of one offset in every partition that it touched, as Kafka's markers do.
    `cluster` is what `cluster_id` says: made anew for each log unless it is given.
    """

    def __init__(self, clock: Clock | None = None, cluster: str | None = None) -> None:
        super().__init__("memory:", clock)
        self._cluster = cluster or f"memory-{uuid4()}"
        self._configs: dict[str, Mapping[str, str]] = {}

    def cluster_id(self) -> str:
        return self._cluster

    def close(self) -> None:
        """Nothing to release: the records stay as long as the object does."""

    def config(self, topic: str) -> Mapping[str, str]:
        return dict(self._configs[self._topic(topic).name])

    def _become(self, cluster_id: str) -> None:
        self._cluster = cluster_id

    def _make(self, spec: TopicSpec) -> tuple[Topic, Sequence[Partition]]:
        topic_id = uuid5(NAMESPACE_URL, f"{self._cluster}/{spec.name}")
        topic = Topic(spec.name, spec.partitions, str(topic_id))
        self._configs[spec.name] = dict(spec.config)
        return topic, [MemoryPartition(spec.name, number) for number in range(spec.partitions)]

    def _make_again(
        self, topic: Topic, config: Mapping[str, str], starts: Mapping[int, int]
    ) -> tuple[Topic, Sequence[Partition]]:
        made, partitions = self._make(TopicSpec(topic.name, topic.partitions, config))
        for partition in partitions:
            partition.start = partition.end = starts.get(partition.number, 0)
        return (topic if topic.topic_id else made._replace(topic_id=str(uuid4()))), partitions

    def _keep_where(self, records: Sequence[tuple[Partition, Record]], ends: Mapping[Partition, int]) -> None:
        for partition, record in records:
            assert isinstance(partition, MemoryPartition)
            partition.offsets.append(record.offset)
            partition.records.append(record)
        for partition, end in ends.items():
            partition.end = end

    def _keep(self, routed: Routed, offsets: GroupOffsets, transactional: bool) -> list[int]:
        stamp = self.clock.now() // 1000
        stored = []
        for partition, (topic, key, value, headers, _) in routed:
            assert isinstance(partition, MemoryPartition)
            offset = partition.end
            stored.append(offset)
            partition.offsets.append(offset)
            record = (topic, partition.number, offset, stamp, key, value, tuple(headers))
            partition.records.append(of_fields(Record, record))
            partition.end = offset + 1
        if transactional:
            for partition in dict.fromkeys([part for part, _ in routed]):
                partition.end += 1
        self._have_committed(offsets)
        return stored
