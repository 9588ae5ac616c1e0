"""The inputs of one task: records at hand, and which of them is next."""

from collections import deque
from collections.abc import Callable, Sequence

from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.record import Record, TopicPartition
from choreo.runtime.frontier import Frontier, Positions

NOBODY = Ids(b"", "")
"""The ids of a record whose ids can't be read."""
IN_TIME = b""
"""In place of the id of a record that is not late."""


class _Line:
    """The records of one partition at hand, in the order of their offsets, each with the number of the poll that
    brought it, when it was emitted (microseconds; 0 where nobody asks) and, where it is late, its id.
    """

    def __init__(self) -> None:
        self.waiting: deque[tuple[Record, int, int, bytes]] = deque()
        self.newest = 0
        """When the last of them was emitted (microseconds)."""
        self.late: set[bytes] = set()
        """Ids of those that stand behind one emitted after them: several write to a partition, each by its own clock
        and with a transaction of its own.
        """


class Inputs:
    """One line a partition; hands out the record that was emitted first, so that a cause comes before what it caused.

    A cause at hand goes before what it caused even where it stands behind something emitted later.
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
        self._lines: dict[TopicPartition, _Line] = {tp: _Line() for tp in self.partitions}
        self._only = self._lines[self.partitions[0]].waiting if len(self.partitions) == 1 else None
        self._filled: list[_Line] = []
        """Those with anything at hand."""
        self._next: _Line | None = None
        """Where the record stands that is to be handed out next, once that was worked out."""
        self._sure_until = -1
        """The poll up to which every empty line is known to be read to an end seen after it."""
        self.count = 0

    def feed(self, record: Record, poll: int) -> None:
        """A record came with this poll, as the frontier counts them."""
        self.count += 1
        if self._only is not None:
            self._only.append((record, poll, 0, IN_TIME))
            return
        line = self._lines[record[0], record[1]]  # type: ignore[index]  # a tuple equals its named tuple
        at = self._emitted_at(record)
        late = IN_TIME
        if not line.waiting or at >= line.newest:
            line.newest = at
        elif late := self._ids(record).event_id:
            line.late.add(late)
            self._next = None
        line.waiting.append((record, poll, at, late))
        if len(line.waiting) == 1:
            self._note_filled()

    def position(self, partition: TopicPartition) -> int:
        """The offset of the next record to hand out, at hand or yet to be polled."""
        waiting = self._lines[partition].waiting
        return waiting[0][0].offset if waiting else self._polled.position(partition)

    def at_hand(self) -> list[tuple[TopicPartition, int]]:
        """How many records of each partition."""
        return [(tp, len(line.waiting)) for tp, line in self._lines.items()]

    def oldest_ms(self) -> int | None:
        """When the oldest record at hand was written (milliseconds), None where there is none.

        Raises IndexError where another thread takes the last one meanwhile.
        """
        return min((line.waiting[0][0].timestamp_ms for line in self._lines.values() if line.waiting), default=None)

    def unsure(self, frontier: Frontier) -> list[TopicPartition]:
        """Inputs that may still hold a cause of the record to hand out next: empty ones, not known to be read up to an
        end seen since that was polled. What nobody answers waits for no cause.
        """
        if not self.count or self._only is not None:
            return []
        record, poll, _, _ = self._first().waiting[0]
        if poll <= self._sure_until:
            return []
        found = frontier.unread([tp for tp, line in self._lines.items() if not line.waiting], poll)
        if not found:
            self._sure_until = poll
        return found if found and self._answered(record) else []

    def pop(self) -> Record:
        """The record to take next, of those at hand."""
        self.count -= 1
        if self._only is not None:
            return self._only.popleft()[0]
        line = self._first()
        record, _, _, late = line.waiting.popleft()
        if late:
            line.late.discard(late)
        if not line.waiting:
            self._note_filled()
            self._sure_until = -1
        elif len(self._filled) > 1:
            self._next = None
        return record

    def clear(self) -> None:
        """Drop what is at hand: it will be polled again."""
        for line in self._lines.values():
            line.waiting.clear()
            line.late.clear()
        self._note_filled()
        self._sure_until = -1
        self.count = 0

    def _note_filled(self) -> None:
        """A line has come to have records, or to have none."""
        self._filled = [line for line in self._lines.values() if line.waiting]
        self._next = None

    def _first(self) -> _Line:
        if self._next is None:
            filled = self._filled
            first = min(filled, key=_head_at)
            self._next = first if len(filled) == 1 or not any(line.late for line in filled) else self._unheld(first)
        return self._next

    def _unheld(self, first: _Line) -> _Line:
        """The line whose first record was emitted first of those whose cause is not at hand: `first`, or a later one.

        What is in time stands behind a head that was emitted before it, so it is no cause of what is the first of the
        lines looked at; in a line that is held up itself it may be.
        """
        chosen, others, held = first, [line for line in self._filled if line is not first], list[_Line]()
        while True:
            record, _, at, _ = chosen.waiting[0]
            cause = self._ids(record).causation_id
            if cause is None or not (
                any(cause in line.late for line in others) or any(self._has(line, cause, at) for line in held)
            ):
                return chosen
            if not others:  # ids that nobody emits so: each is said to be the cause of the other
                return first
            held.append(chosen)
            chosen = min(others, key=_head_at)
            others.remove(chosen)

    def _has(self, line: _Line, event_id: bytes, before: int) -> bool:
        """Whether an event that was emitted `before` stands in this line."""
        return any(at < before and self._ids(record).event_id == event_id for record, _, at, _ in line.waiting)

    def _emitted_at(self, record: Record) -> int:
        try:
            return self._codec.emitted_at(record)
        except DecodeError:
            return record.timestamp_ms * 1000

    def _ids(self, record: Record) -> Ids:
        try:
            return self._codec.ids(record)
        except DecodeError:
            return NOBODY


def _head_at(line: _Line) -> int:
    """When the first record of a line was emitted (microseconds)."""
    return line.waiting[0][2]
