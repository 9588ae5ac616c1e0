"""How long read-committed readers are held back: one follows some topics and compares itself with their ends."""

from collections.abc import Mapping
from threading import Event, Thread
from time import monotonic
from typing import NamedTuple

from confluent_kafka import Consumer, TopicPartition

LOOK_EVERY_S = 0.05


class Held(NamedTuple):
    """One partition in which a reader stood still before the end. `since`, `seconds`: monotonic seconds."""

    topic: str
    partition: int
    offset: int
    since: float
    seconds: float


class Readers(Thread):
    """Follows from `start` to `stop`. The ends are those that the broker's answers name: open transactions count."""

    def __init__(self, bootstrap: str, topics: Mapping[str, int]) -> None:
        super().__init__(name="readers", daemon=True)
        self.held: list[Held] = []
        """Every standstill that has ended, and at the end those that have not."""
        self._partitions = [TopicPartition(topic, number, 0) for topic, n in topics.items() for number in range(n)]
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "readers",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "fetch.queue.backoff.ms": 20,
                "log_level": 0,
            }
        )
        self._consumer.assign(self._partitions)
        self._open: dict[tuple[str, int], Held] = {}
        self._stopping = Event()

    @property
    def worst(self) -> Held:
        """The longest of all."""
        return max(self.held, key=lambda held: held.seconds, default=Held("", 0, 0, 0.0, 0.0))

    def run(self) -> None:
        while not self._stopping.is_set():
            self._consumer.consume(5000, LOOK_EVERY_S)
            self._compare(monotonic())
        self.held += self._open.values()
        self._consumer.close()

    def stop(self) -> None:
        """Follow no more."""
        self._stopping.set()
        self.join(10)

    def _compare(self, now: float) -> None:
        for partition in self._consumer.position(self._partitions):
            name = (partition.topic, partition.partition)
            end = self._consumer.get_watermark_offsets(partition, cached=True)[1]
            before = self._open.get(name)
            if before is not None and before.offset == partition.offset < end:
                self._open[name] = before._replace(seconds=now - before.since)
                continue
            if before is not None:
                self.held.append(self._open.pop(name)._replace(seconds=now - before.since))
            if 0 <= partition.offset < end:
                self._open[name] = Held(*name, partition.offset, now, 0.0)
