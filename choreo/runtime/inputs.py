"""The inputs of one task: records at hand, and which of them is next."""

from collections import deque
from collections.abc import Callable, Sequence

from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.record import Record, TopicPartition
from choreo.runtime.frontier import Frontier, Positions


class Inputs:
    """One queue a partition; hands out the record that was emitted first, so that a cause comes before what it
    caused.
    """

    def __init__(
        self,
        partitions: Sequence[TopicPartition],
        codec: Codec,
        polled: Positions,
        answered: Callable[[Record], bool],
    ) -> None:
        self.partitions = tuple(partitions)
        self._codec = codec
        self._polled = polled
        self._answered = answered
        self._queues: dict[TopicPartition, deque[tuple[Record, int]]] = {tp: deque() for tp in self.partitions}
        """Records, each with the number of the poll that brought it."""
        self._only = self._queues[self.partitions[0]] if len(self.partitions) == 1 else None
        self._heads: dict[TopicPartition, int] = {}
        self._next: TopicPartition | None = None
        """Where the record lies that is to be handed out next, once that was worked out."""
        self.count = 0

    def feed(self, record: Record, poll: int) -> None:
        """A record came with this poll, as the frontier counts them."""
        queue = self._queues[record[0], record[1]]  # type: ignore[index]  # a tuple equals its named tuple
        if not queue:
            self._next = None
        queue.append((record, poll))
        self.count += 1

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to hand out, at hand or yet to be polled."""
        queue = self._queues[partition]
        return queue[0][0].offset if queue else self._polled.position(partition)

    def oldest_ms(self) -> int | None:
        """When the oldest record at hand was written (milliseconds), None where there is none.

        Raises IndexError where another thread takes the last one meanwhile.
        """
        return min((queue[0][0].timestamp_ms for queue in self._queues.values() if queue), default=None)

    def unsure(self, frontier: Frontier) -> list[TopicPartition]:
        """Inputs that may still hold a cause of the record to hand out next: empty ones, not known to be read up to an
        end seen since that was polled. What nobody answers waits for no cause.
        """
        if not self.count or self._only is not None:
            return []
        record, poll = self._queues[self._first()][0]
        found = frontier.unread([tp for tp, queue in self._queues.items() if not queue], poll)
        return found if found and self._answered(record) else []

    def pop(self) -> Record:
        """The record that was emitted first among those at hand."""
        self.count -= 1
        if self._only is not None:
            return self._only.popleft()[0]
        chosen, self._next = self._first(), None
        self._heads.pop(chosen, None)
        return self._queues[chosen].popleft()[0]

    def clear(self) -> None:
        """Drop what is at hand: it will be polled again."""
        for queue in self._queues.values():
            queue.clear()
        self._heads.clear()
        self._next = None
        self.count = 0

    def _first(self) -> TopicPartition:
        if self._next is None:
            filled = [tp for tp, queue in self._queues.items() if queue]
            self._next = filled[0] if len(filled) == 1 else min(filled, key=self._head_at)
        return self._next

    def _head_at(self, partition: TopicPartition) -> int:
        """When the first record at hand of an input was emitted (microseconds)."""
        at = self._heads.get(partition)
        if at is None:
            record = self._queues[partition][0][0]
            try:
                at = self._codec.emitted_at(record)
            except DecodeError:
                at = record.timestamp_ms * 1000
            self._heads[partition] = at
        return at
