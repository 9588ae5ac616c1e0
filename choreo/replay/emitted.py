"""What a rebuild would emit, held against what the log has: nothing of it is sent, and how much is other is said.

Kept in a scratch store by event, so that a rebuild of any length takes no memory and can be interrupted.
"""

from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import NamedTuple

from choreo.errors import ChoreoError
from choreo.events.envelope import HEADER, unpack
from choreo.log.interface import Log
from choreo.log.up_to import read_up_to
from choreo.record import Headers, NewRecord, TopicPartition
from choreo.state.backend import Backend

Progress = Callable[[int, int], None]
LETTERS = b".dead-letters"
_TASK_BYTES, _DIGEST_BYTES = 4, 12
_FOUND = b"="
"""Behind the digest of what was found on the log."""


class Others(NamedTuple):
    """How a rebuild differs from the past in what it would emit."""

    events: int
    """So many would be emitted."""
    others: int
    """So many of them are not on the log as they would be."""
    letters: int
    """So many inputs would be dead letters that are none on the log."""


class Emitted:
    """The events that the checkpoints of a service would emit, by topic and event_id."""

    def __init__(self, scratch: Backend) -> None:
        self._scratch = scratch

    def forget(self, partition: int) -> None:
        """This task begins anew."""
        mine = partition.to_bytes(_TASK_BYTES, "big")
        gone: dict[bytes, bytes | None] = {key: None for key, value in self._scratch.scan() if value.startswith(mine)}
        self._scratch.write(gone)

    def add(self, partition: int, outputs: Iterable[NewRecord]) -> None:
        """A task would emit these. One that is added again, as after an interruption, is the same one."""
        mine = partition.to_bytes(_TASK_BYTES, "big")
        found: dict[bytes, bytes | None] = {}
        for topic, key, value, headers, _ in outputs:
            entry = _entry(topic, headers)
            if entry is not None:
                found[entry] = mine + _digest(key, value)
        if found:
            self._scratch.write(found)

    def others(self, log: Log, told: Progress) -> Others:
        """How many of them are not on the log as they would be emitted now."""
        topics = {key.partition(b"\x00")[0].decode() for key, _ in self._scratch.scan()}
        known = {name: topic for name, topic in log.topics().items() if name in topics}
        places = [TopicPartition(name, n) for name, topic in sorted(known.items()) for n in range(topic.partitions)]
        starts, ends = log.starts(places), log.ends(places)
        total, left = sum(ends.values()) - sum(starts.values()), {tp: ends[tp] - starts[tp] for tp in places}
        for records, reached in read_up_to(log, starts, ends):
            found: dict[bytes, bytes | None] = {}
            for record in records:
                entry, digest = _entry(record.topic, record.headers), _digest(record.key, record.value)
                kept = self._scratch.get(entry) if entry is not None else None
                if entry is not None and kept is not None and kept[_TASK_BYTES:] == digest:
                    found[entry] = kept + _FOUND
            self._scratch.write(found)
            left |= {tp: max(ends[tp] - offset, 0) for tp, offset in reached.items()}
            told(total - sum(left.values()), total)
        events = others = letters = 0
        for key, value in self._scratch.scan():
            other = not value.endswith(_FOUND, _TASK_BYTES + _DIGEST_BYTES)
            if key.partition(b"\x00")[0].endswith(LETTERS):
                letters += other
            else:
                events, others = events + 1, others + other
        return Others(events, others, letters)


def _entry(topic: str, headers: Headers) -> bytes | None:
    """Topic, 0, event_id; None for what has no ids in its header."""
    for name, value in headers:
        if name == HEADER:
            try:
                return topic.encode() + b"\x00" + unpack(value).event_id
            except ChoreoError:
                return None
    return None


def _digest(key: bytes | None, value: bytes | None) -> bytes:
    return blake2b(repr((key, value)).encode(), digest_size=_DIGEST_BYTES).digest()
