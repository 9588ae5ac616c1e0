"""What a task notes of itself when its entries were rebuilt and put in place of those that it had: two entries.

Both are on the changelog like any other; neither follows from the log, so a replay has neither. `~rebuilt`: version
byte 1, then the number (8 bytes, big endian) of the last checkpoint that was redone: up to there the entries are what
the code of that day made of the log, whatever was written and emitted when it happened. `~unfinished`: version byte 1,
then a text that says who began to replace the entries; it comes before all that is replaced and goes with the last of
it, so whoever opens the task meanwhile sees that what stands there is neither old nor new.
"""

from choreo.errors import StateError
from choreo.state.backend import Backend
from choreo.state.keys import key_codec

REBUILT = key_codec("~rebuilt", str).encode("last")
UNFINISHED = key_codec("~unfinished", str).encode("rebuild")
_VERSION = b"\x01"


def rebuilt_entry(checkpoint: int) -> tuple[bytes, bytes]:
    """The entry that says up to which checkpoint a task was rebuilt."""
    return REBUILT, _VERSION + checkpoint.to_bytes(8, "big")


def rebuilt_up_to(backend: Backend) -> int:
    """The last checkpoint that was redone when a task was rebuilt; 0 where it never was. Raises StateError."""
    data = backend.get(REBUILT)
    if data is None:
        return 0
    if data[:1] != _VERSION:
        raise StateError(
            f"a rebuild is noted in version {data[:1].hex()}", hint="it was written by a newer release: run that one"
        )
    return int.from_bytes(data[1:], "big")


def unfinished_entry(who: str) -> tuple[bytes, bytes]:
    """The entry that marks a task whose entries are being replaced."""
    return UNFINISHED, _VERSION + who.encode()


def who_began(backend: Backend) -> str | None:
    """Who began to replace the entries of a task and did not end it; None where nobody did."""
    data = backend.get(UNFINISHED)
    return None if data is None else data[1:].decode(errors="replace")
