"""Notes: what a verification has come to, task by task, so that one that was interrupted goes on where it was.

Only tasks that came out clean are noted: what differs is looked at again. Layout of the entry of a task, its number as
four bytes: JSON; of what the notes rest on, key `now`: its text.
"""

import json
from collections.abc import Sequence
from typing import NamedTuple

from choreo.state.backend import Backend

_NOW = b"now"


class Note(NamedTuple):
    """A task that was redone, all of it as the log says."""

    checkpoints: int
    inputs: int
    entries: int
    erased: int
    published: int
    builds: Sequence[str]
    topics: Sequence[str]
    """Where it published."""
    stores: str
    """A digest of its live stores as they were then."""


class Notes:
    """The notes in one store. `now`: all that they rest on; what was noted under anything else is forgotten."""

    def __init__(self, backend: Backend, now: str) -> None:
        self._backend = backend
        self.fresh = backend.get(_NOW) != now.encode()
        """Whether nothing that was done before is of use."""
        if self.fresh:
            backend.wipe()
            backend.write({_NOW: now.encode()})

    def of(self, partition: int) -> Note | None:
        """What is noted of a task."""
        found = self._backend.get(partition.to_bytes(4, "big"))
        return None if found is None else Note(*json.loads(found))

    def add(self, partition: int, note: Note) -> None:
        """A task came out clean."""
        self._backend.write({partition.to_bytes(4, "big"): json.dumps(note).encode()})
