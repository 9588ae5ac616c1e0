"""The inputs of one task: records at hand, and which of them is next."""

from collections import deque
from collections.abc import Sequence

from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.record import Record, TopicPartition
from choreo.runtime.frontier import Frontier, Positions


class Inputs:
    """One queue a partition; hands out the record that was emitted first, so that a cause comes before what it
    caused.
    """

    def __init__(self, partitions: Sequence[TopicPartition], codec: Codec, polled: Positions) -> None:
        self.partitions = tuple(partitions)
        self._codec = codec
        self._polled = polled
        self._queues: dict[TopicPartition, deque[Record]] = {tp: deque() for tp in self.partitions}
        self._heads: dict[TopicPartition, int] = {}
        self._fed_at = -1
        self.count = 0

    def feed(self, record: Record, now: int) -> None:
        """A record was polled at `now`."""
        self._queues[record[0], record[1]].append(record)  # type: ignore[index]  # a tuple equals its named tuple
        self._fed_at = now
        self.count += 1

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to hand out, at hand or yet to be polled."""
        queue = self._queues[partition]
        return queue[0].offset if queue else self._polled.position(partition)

    def oldest_ms(self) -> int | None:
        """When the oldest record at hand was written (milliseconds), None where there is none.

        Raises IndexError where another thread takes the last one meanwhile.
        """
        return min((queue[0].timestamp_ms for queue in self._queues.values() if queue), default=None)

    def unsure(self, frontier: Frontier) -> list[TopicPartition]:
        """Inputs that may still hold a cause of what is at hand: empty ones, not known to be read up to now."""
        if not self.count or len(self.partitions) == 1:
            return []
        return [tp for tp, queue in self._queues.items() if not queue and frontier.read_until(tp) < self._fed_at]

    def pop(self) -> Record:
        """The record that was emitted first among those at hand."""
        chosen, first = None, None
        for tp, queue in self._queues.items():
            if queue:
                at = self._heads.get(tp)
                if at is None:
                    at = self._heads[tp] = self._emitted_at(queue[0])
                if first is None or at < first:
                    chosen, first = tp, at
        assert chosen is not None, "pop needs a record at hand"  # guarded by `count`
        self._heads.pop(chosen, None)
        self.count -= 1
        return self._queues[chosen].popleft()

    def clear(self) -> None:
        """Drop what is at hand: it will be polled again."""
        for queue in self._queues.values():
            queue.clear()
        self._heads.clear()
        self.count = 0

    def _emitted_at(self, record: Record) -> int:
        try:
            return self._codec.ids(record).at
        except DecodeError:
            return record.timestamp_ms * 1000
