"""What a rebuild would emit, held against what the log has: nothing of it is sent, and how much is other is said.

Kept in a scratch store by event, so that a rebuild of any length takes no memory and can be interrupted.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from choreo.errors import DecodeError
from choreo.events.envelope import event_id_in, header_in
from choreo.log.interface import Log
from choreo.log.up_to import read_whole
from choreo.record import Headers, NewRecord
from choreo.state.backend import Backend
from choreo.told import Told

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

    def others(self, log: Log, told: Told) -> Others:
        """How many of them are not on the log as they would be emitted now."""
        topics = {key.partition(b"\x00")[0].decode() for key, _ in self._scratch.scan()}
        for records in read_whole(log, sorted(topics), told):
            found: dict[bytes, bytes | None] = {}
            for record in records:
                entry, digest = _entry(record.topic, record.headers), _digest(record.key, record.value)
                kept = self._scratch.get(entry) if entry is not None else None
                if entry is not None and kept is not None and kept[_TASK_BYTES:] == digest:
                    found[entry] = kept + _FOUND
            self._scratch.write(found)
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
    packed = header_in(headers)
    try:
        return None if packed is None else topic.encode() + b"\x00" + event_id_in(packed)
    except DecodeError:
        return None


def _digest(key: bytes | None, value: bytes | None) -> bytes:
    return blake2b(repr((key, value)).encode(), digest_size=_DIGEST_BYTES).digest()
