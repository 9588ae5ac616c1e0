"""A log on which somebody's transaction stays open."""

from collections.abc import Iterable, Mapping

from choreo.log.interface import Reader
from choreo.log.memory import MemoryLog
from choreo.record import Record, TopicPartition


class HeldBack(MemoryLog):
    """Readers of one partition see nothing from offset `stable` on: a transaction is open there; `mute`: nothing."""

    stable = 2
    mute = False

    def settled(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: min(end, self.stable) for place, end in self.ends(partitions).items()}

    def reader(self, start: Mapping[TopicPartition, int]) -> Reader:
        (place,) = start
        return _HeldBackReader(self, super().reader(start), place)


class _HeldBackReader(Reader):
    def __init__(self, log: HeldBack, inner: Reader, place: TopicPartition) -> None:
        self.log, self.inner, self.place = log, inner, place

    def read(self, timeout_s: float, limit: int = 5000) -> list[Record]:
        room = self.log.stable - self.inner.position(self.place)
        return self.inner.read(0, min(limit, room)) if room > 0 and not self.log.mute else []

    def position(self, partition: TopicPartition) -> int:
        return min(self.inner.position(partition), self.log.stable)

    def close(self) -> None:
        self.inner.close()
