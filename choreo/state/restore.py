"""Restore: brings a task's store up to the end of its changelog, in steps that can be interrupted."""

from choreo.errors import StateError
from choreo.log.interface import Log, Reader
from choreo.record import Record, TopicPartition
from choreo.state.backend import Backend
from choreo.state.keys import KEY_VERSION
from choreo.state.meta import TaskMeta, meta_entry
from choreo.state.timers import Changes, index_changes


class Restore:
    """From `meta.changelog_offset` (the first record where `meta` is None) to the end as of now.

    The end counts open transactions: what they commit is part of the store. Each step is one write, with the place
    reached and the index of timers in the same batch, so an interrupted restore goes on where it stopped.
    """

    def __init__(self, log: Log, backend: Backend, changelog: TopicPartition, meta: TaskMeta | None) -> None:
        self._log, self._backend, self._changelog, self._meta = log, backend, changelog, meta
        stored = meta.changelog_offset if meta is not None else 0
        self._start = max(stored, log.starts([changelog])[changelog])
        self._target = max(self._start, log.ends([changelog])[changelog])
        self._position = self._start
        self._reader: Reader | None = None

    @property
    def progress(self) -> tuple[int, int]:
        """(done, total) in changelog offsets."""
        return min(self._position, self._target) - self._start, self._target - self._start

    @property
    def position(self) -> int:
        """The next changelog offset to read."""
        return self._position

    def step(self, limit: int, timeout_s: float = 0.0) -> bool:
        """Apply up to `limit` records, waiting at most `timeout_s` for the first; True once the end is reached."""
        if self._position >= self._target:
            self.close()
            return True
        if self._reader is None:
            self._reader = self._log.reader({self._changelog: self._start})
        records = self._reader.read(timeout_s, limit)
        # The last record may be followed by markers that nobody is handed: only the reader's position passes them.
        position = self._reader.position(self._changelog)
        if position > self._position or records:
            self._apply(records, position)
            self._position = position
        if self._position < self._target:
            return False
        self.close()
        return True

    def close(self) -> None:
        """Stop reading; safe to call twice."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _apply(self, records: list[Record], position: int) -> None:
        """The last value per key, the index of timers and the place reached, as one batch."""
        batch: Changes = {}
        for record in records:
            key = record.key
            if key is None or not key.startswith(KEY_VERSION):
                raise self._foreign(record)
            batch[key] = record.value
        batch.update(index_changes(self._backend, batch))
        if self._meta is not None:
            self._meta = self._meta._replace(changelog_offset=position)
            key, batch[key] = meta_entry(self._meta)
        self._backend.write(batch)

    def _foreign(self, record: Record) -> StateError:
        return StateError(
            "a record on the changelog is no entry of a store",
            at=record.position,
            why=f"its key is {(record.key or b'')[:40]!r}",
            hint="it was written by a newer release: run that one; nothing else may write to a changelog",
        )
