"""The frontier: how far each input is known to be read.

Two promises rest on it. A cause is handled before what it caused: of two inputs, one may go ahead only when the
other is known to be handled up to an end seen after the first was polled; polls are counted for that, as much may
happen in one instant of a clock, and clocks are set back. And a timer due at T fires only when every input has been
handled up to an end seen at or after T: after an outage, inputs first, then timers.

The first needs clocks that differ by less than an event takes to come back as its effect. Where they differ by more,
a cause at hand still goes first (inputs.py); one that is yet to be polled, behind a record of a clock that is ahead,
does not, nor one whose effect comes by way of an event that the task does not read.
"""

from collections.abc import Collection, Iterable
from typing import Protocol

from choreo.record import TopicPartition


class Ends(Protocol):
    """Where the log ends now, open transactions counted."""

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]: ...


class Positions(Protocol):
    """How far an input has been handled: the offset of the next record, at hand or yet to be polled."""

    def position(self, partition: TopicPartition) -> int: ...


class Frontier:
    """For each input, the instant and the poll up to which all that was committed by then was handled or is at hand."""

    def __init__(self, ends: Ends, positions: Positions) -> None:
        self._ends = ends
        self._positions = positions
        self._read_until: dict[TopicPartition, int] = {}
        self._read_in: dict[TopicPartition, int] = {}
        self._seen: dict[TopicPartition, tuple[int, int, int]] = {}
        self.polls = 0
        """How often the log was polled so far; whoever polls counts on."""

    def read_until(self, partition: TopicPartition) -> int:
        """Microseconds; -1 when nothing is known."""
        return self._read_until.get(partition, -1)

    def behind(self, partitions: Iterable[TopicPartition], instant: int) -> list[TopicPartition]:
        """Those of these that are not known to be read up to an end seen at or after `instant` (microseconds)."""
        read_until = self._read_until
        return [tp for tp in partitions if read_until.get(tp, -1) < instant]

    def unread(self, partitions: Iterable[TopicPartition], poll: int) -> list[TopicPartition]:
        """Those of these that are not known to be read up to an end seen after a poll, by its number."""
        read_in = self._read_in
        return [tp for tp in partitions if read_in.get(tp, -1) < poll]

    def look(self, partitions: Collection[TopicPartition], now: int) -> None:
        """Ask for the ends of these, once, and note which of them are read up to there."""
        self._note(tp for tp in partitions if tp in self._seen)
        asked = [tp for tp in partitions if tp not in self._seen]
        if asked:
            self._seen.update({tp: (end, now, self.polls) for tp, end in self._ends.ends(asked).items()})
            self._note(asked)

    def _note(self, partitions: Iterable[TopicPartition]) -> None:
        """Those of these that are handled up to the end that was seen of them."""
        for tp in list(partitions):
            end, seen_at, poll = self._seen[tp]
            if self._positions.position(tp) >= end:
                self._read_until[tp] = max(seen_at, self._read_until.get(tp, -1))
                self._read_in[tp] = poll
                del self._seen[tp]

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """These were revoked or rewound: nothing is known of them."""
        for tp in partitions:
            self._read_until.pop(tp, None)
            self._read_in.pop(tp, None)
            self._seen.pop(tp, None)
