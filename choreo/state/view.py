"""Views: a task's entries as of now, for somebody who only looks: a store, and the changelog's tail over it."""

from collections.abc import Callable, Iterator, Mapping

from choreo.errors import StateError
from choreo.log.interface import Log
from choreo.log.up_to import Silence
from choreo.record import TopicPartition
from choreo.state.backend import Backend
from choreo.state.memory import MemoryBackends
from choreo.state.meta import Facts, fresh_meta, read_meta, wipe_reason
from choreo.state.restore import Restore

STEP = 20_000
MOST_IN_MEMORY = 50_000
PUT, DELETED = b"+", b"-"


class Layered(Backend):
    """Entries over those of another backend, which is never written; `over` holds them, None: in memory."""

    def __init__(self, below: Backend, over: Backend | None = None) -> None:
        self._below = below
        self._over = MemoryBackends().open("over") if over is None else over
        """What was written: PUT and the value, or DELETED."""

    def get(self, key: bytes) -> bytes | None:
        over = self._over.get(key)
        if over is None:
            return self._below.get(key)
        return None if over == DELETED else over[1:]

    def scan(self, prefix: bytes = b"", start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        below, over = self._below.scan(prefix, start), self._over.scan(prefix, start)
        written = next(over, None)
        for key, value in below:
            while written is not None and written[0] < key:
                yield from _put(written)
                written = next(over, None)
            if written is None or written[0] != key:
                yield key, value
        while written is not None:
            yield from _put(written)
            written = next(over, None)

    def write(self, batch: Mapping[bytes, bytes | None]) -> None:
        self._over.write({key: DELETED if value is None else PUT + value for key, value in batch.items()})

    def wipe(self) -> None:
        raise StateError("a view can't wipe what it looks at")

    def close(self) -> None:
        self._below.close()


def _put(written: tuple[bytes, bytes]) -> Iterator[tuple[bytes, bytes]]:
    key, value = written
    if value != DELETED:
        yield key, value[1:]


def in_memory() -> Backend:
    """Room for what a view reads from the changelog."""
    return MemoryBackends().open("over")


def view(
    log: Log,
    changelog: TopicPartition,
    store: Backend | None,
    facts: Facts,
    room: Callable[[], Backend] = in_memory,
) -> Backend:
    """The entries of one task up to the end of its changelog as of now.

    `store` is a copy that may be behind, None where there is none; it is left as it is. One that can't be trusted
    (`wipe_reason`) is not looked at: then the whole changelog is read. What an open transaction holds back is not true
    yet: it is waited for for a second. More than MOST_IN_MEMORY records of the changelog go to a `room` that is made
    for them. Raises LogUnavailableError.
    """
    meta = read_meta(store) if store is not None else None
    if meta is None or store is None or wipe_reason(meta, facts) is not None:
        store, meta = MemoryBackends().open("view"), fresh_meta(facts, build="")
    much = facts.changelog_end - meta.changelog_offset > MOST_IN_MEMORY
    layered = Layered(store, room() if much else None)
    restore = Restore(log, layered, changelog, meta)
    before, silence = restore.position, Silence(log)
    try:
        while not restore.step(STEP, silence.wait_s):
            if restore.position != before:
                before, silence = restore.position, Silence(log)
            elif silence.heard({changelog: before}):
                break
    finally:
        restore.close()
    return layered
