"""Foresight: what the live run did later with a timer or a call, looked up while a replay stands before it.

Read once from journal and changelog, when it is first asked, into a scratch store.
"""

from contextlib import closing, suppress

from choreo.errors import StateError
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.replay.cursor import Cursor
from choreo.replay.pages import Journal
from choreo.runtime.journal import Answered, Fired
from choreo.runtime.parking import PARKED, RETRY, load
from choreo.state.backend import Backend
from choreo.state.timers import TIMER_PREFIX, due_from

BATCH = 5_000
_FIRED, _ANSWERED, _HAD = b"f", b"a", b"h"


class Foresight:
    """Of one task; `scratch` is empty."""

    def __init__(self, log: Log, scope: str, partition: int, scratch: Backend) -> None:
        self._log, self._scope, self._partition, self._scratch = log, scope, partition, scratch
        self._batch: dict[bytes, bytes | None] = {}
        self._read: set[bytes] = set()

    def fires(self, timer: bytes, due: int, checkpoint: int) -> bool:
        """Whether this timer had its turn with this due time in that checkpoint or behind it."""
        return self._last(_timer(_FIRED, timer, due)) >= checkpoint

    def answers(self, key: bytes, name: str, use: int, checkpoint: int) -> bool:
        """Whether such a call of an input with this key was answered in that checkpoint or behind it."""
        return self._last(_call(key, name, use)) >= checkpoint

    def had(self, timer: bytes, due: int) -> bool:
        """Whether a checkpoint of the live run left this timer, or this parked line, due then."""
        if _HAD not in self._read:
            self._read.add(_HAD)
            self._read_changelog()
        return self._scratch.get(_timer(_HAD, timer, due)) is not None

    def _last(self, key: bytes) -> int:
        """The last checkpoint in which it was, -1 where it was in none."""
        if _FIRED not in self._read:
            self._read.add(_FIRED)
            self._read_journal()
        kept = self._scratch.get(key)
        return -1 if kept is None else int.from_bytes(kept, "big")

    def _read_journal(self) -> None:
        for page in Journal(self._log, self._scope, self._partition).pages():
            number = page.checkpoint.to_bytes(8, "big")
            for step in page.steps:
                if isinstance(step, Fired):
                    self._note(_timer(_FIRED, step.timer, step.due), number)
                elif isinstance(step, Answered):
                    self._note(_call(step.key, step.name, step.use), number)
        self._flush()

    def _read_changelog(self) -> None:
        place = TopicPartition(f"{self._scope}.changelog", self._partition)
        start = self._log.starts([place])[place]
        with closing(Cursor(self._log, place, start)) as cursor:
            for record in cursor.rest():
                key, value = record.key or b"", record.value
                if value is None:
                    continue
                if key.startswith(TIMER_PREFIX):
                    self._note(_timer(_HAD, key[len(TIMER_PREFIX) :], due_from(value)), b"")
                elif key.startswith(PARKED.start):
                    with suppress(StateError):
                        its, _ = PARKED.decode(key)
                        self._note(_timer(_HAD, RETRY.encode(its), load(value).until), b"")
        self._flush()

    def _note(self, key: bytes, value: bytes) -> None:
        self._batch[key] = value
        if len(self._batch) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        self._scratch.write(self._batch)
        self._batch = {}


def _timer(kind: bytes, timer: bytes, due: int) -> bytes:
    return kind + due.to_bytes(9, "big", signed=True) + timer


def _call(key: bytes, name: str, use: int) -> bytes:
    return _ANSWERED + repr((key, name, use)).encode()
