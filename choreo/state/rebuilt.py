"""What a task notes of itself when its entries were rebuilt and put in place of those that it had: two entries.

Both are on the changelog like any other; neither follows from the log, so a replay has neither.

`~rebuilt`: version byte 1, then the number of the last checkpoint that was redone and the last time that its handlers
were told (µs; 8 bytes each, big endian): up to there the entries are what the code of that day made of the log,
whatever was written and emitted when it happened. It is written last: what stands before it is of the past.

`~unfinished`: version byte 1, then a text that says who began to replace the entries. It comes before all that is
replaced and goes with the last of it: whoever opens the task meanwhile sees that it is neither old nor new.
"""

from typing import NamedTuple

from choreo.errors import StateError
from choreo.state.backend import Backend
from choreo.state.keys import key_codec

REBUILT = key_codec("~rebuilt", str).encode("last")
UNFINISHED = key_codec("~unfinished", str).encode("rebuild")
_VERSION = b"\x01"


class RebuiltTo(NamedTuple):
    """How far a task was rebuilt; zeros where it never was."""

    checkpoint: int
    now: int
    """The last time that handlers were told by then (microseconds)."""


NEVER_REBUILT = RebuiltTo(0, 0)


def rebuilt_entry(to: RebuiltTo) -> tuple[bytes, bytes]:
    """The entry that says up to where a task was rebuilt."""
    return REBUILT, _VERSION + to.checkpoint.to_bytes(8, "big") + to.now.to_bytes(8, "big")


def rebuilt_to(backend: Backend) -> RebuiltTo:
    """How far a task was rebuilt when that was last done. Raises StateError for another version."""
    said = _said(backend, REBUILT)
    return NEVER_REBUILT if said is None else RebuiltTo(*(int.from_bytes(said[n : n + 8], "big") for n in (0, 8)))


def unfinished_entry(who: str) -> tuple[bytes, bytes]:
    """The entry that marks a task whose entries are being replaced."""
    return UNFINISHED, _VERSION + who.encode()


def who_began(backend: Backend) -> str | None:
    """Who began to replace the entries of a task and did not end it; None where nobody did. Raises StateError for
    another version.
    """
    said = _said(backend, UNFINISHED)
    return None if said is None else said.decode(errors="replace")


def _said(backend: Backend, key: bytes) -> bytes | None:
    data = backend.get(key)
    if data is not None and data[:1] != _VERSION:
        raise StateError(
            f"a rebuild is noted in version {data[:1].hex()}", hint="it was written by a newer release: run that one"
        )
    return None if data is None else data[1:]
