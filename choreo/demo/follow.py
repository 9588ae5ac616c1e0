"""Follows a run from outside, by what stands on the log: how every order ended, and how long it took."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from choreo.clock import to_micros
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.log.interface import Log
from choreo.record import TopicPartition

UNDONE = "compensated"
"""The state of a step whose compensation was answered."""


class Followed(NamedTuple):
    """One saga as last heard of. Times in microseconds; `ended_at` is None while it goes on."""

    status: str
    steps: Mapping[str, str]
    started_at: int
    ended_at: int | None


class Follower:
    """Reads the lifecycle of the sagas, and counts events of some other types, as far as `read` has got."""

    def __init__(self, log: Log, codec: Codec, lifecycle: type[Event], counted: Iterable[type[Event]]) -> None:
        self.sagas: dict[str, Followed] = {}
        self.counts: Counter[type[Event]] = Counter()
        self.last_at = 0
        """When the last of what was read happened, microseconds."""
        self._log, self._codec, self._lifecycle = log, codec, lifecycle
        self._counted = tuple(counted)
        topics = log.topics()
        names = dict.fromkeys(event.contract.topic for event in (lifecycle, *self._counted))
        self._partitions = [TopicPartition(name, number) for name in names for number in range(topics[name].partitions)]
        self._reader = log.reader(dict.fromkeys(self._partitions, 0))

    @property
    def statuses(self) -> Counter[str]:
        """Sagas by status."""
        return Counter(saga.status for saga in self.sagas.values())

    def read(self) -> None:
        """Take what is at hand, without waiting."""
        while self._take(0.0):
            pass

    def read_to_end(self, patience_s: float = 2.0) -> None:
        """Take everything up to the end as it is now; gives up when nothing moves for `patience_s`."""
        ends = self._log.ends(self._partitions)
        places: list[int] = []
        while any(self._reader.position(partition) < end for partition, end in ends.items()):
            self._take(patience_s)
            before, places = places, [self._reader.position(partition) for partition in self._partitions]
            if places == before:
                break

    def close(self) -> None:
        """Release the reader."""
        self._reader.close()

    def _take(self, timeout_s: float) -> int:
        records = self._reader.read(timeout_s)
        for record in records:
            event_class = self._codec.event_class(record)
            if event_class is self._lifecycle:
                self._hear(self._codec.event(record))
            elif event_class in self._counted and event_class is not None:
                self.counts[event_class] += 1
        return len(records)

    def _hear(self, changed: Any) -> None:
        self.sagas[changed.key] = Followed(
            status=changed.status,
            steps=changed.steps,
            started_at=to_micros(changed.started_at),
            ended_at=None if changed.ended_at is None else to_micros(changed.ended_at),
        )
        self.last_at = max(self.last_at, to_micros(changed.at))
