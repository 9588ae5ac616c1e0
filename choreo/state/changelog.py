"""The changelog: what a task's entries look like as records, and which entries are on it at all."""

from collections.abc import Iterator, Mapping

from choreo.errors import RecordTooLargeError
from choreo.log.interface import MAX_RECORD_BYTES
from choreo.record import NewRecord, of_fields
from choreo.state.backend import Backend
from choreo.state.keys import KEY_VERSION, split_key
from choreo.state.rebuilt import REBUILT
from choreo.state.shapes import SHAPES

_RUNTIMES = b"~"
"""Begins the names of the stores that are the runtime's."""


def changelog_records(topic: str, partition: int, entries: Mapping[bytes, bytes | None]) -> list[NewRecord]:
    """One record an entry, key and value as in the store; a deleted one is a tombstone.

    Raises RecordTooLargeError, naming store and key, for an entry that the log would not take.
    """
    records = []
    for key, value in entries.items():
        if len(key) + len(value or b"") > MAX_RECORD_BYTES:
            raise _too_large(topic, partition, key, len(value or b""))
        records.append(of_fields(NewRecord, (topic, key, value, (), partition)))
    return records


def entries(backend: Backend) -> Iterator[tuple[bytes, bytes]]:
    """The entries that follow from the log, in key order: equal in two stores of one task, however they came about.

    All that is on the changelog, less what is noted of the code that wrote it.
    """
    return (entry for entry in logged(backend) if entry[0][1:2] != _RUNTIMES or not is_note(entry[0]))


def logged(backend: Backend) -> Iterator[tuple[bytes, bytes]]:
    """All entries that are on the changelog, in key order: what a restore of it gives."""
    return backend.scan(start=KEY_VERSION)


def is_note(key: bytes) -> bool:
    """Whether an entry on the changelog does not follow from the log: which code wrote the others, and when anew.

    The mark of a rebuild that did not come to its end is none: it is to be seen.
    """
    return key.startswith(SHAPES.start) or key == REBUILT


def _too_large(topic: str, partition: int, key: bytes, value_bytes: int) -> RecordTooLargeError:
    try:
        store, parts = split_key(key)
    except ValueError:
        store, parts = "?", (key,)
    shown = repr(parts if len(parts) > 1 else parts[0] if parts else key)
    return RecordTooLargeError(
        f"store {store!r}: the entry of {shown[:200]} is too large for the changelog",
        at=f"{topic}[{partition}]",
        why=f"key and value are {len(key):,} and {value_bytes:,} bytes, a record takes {MAX_RECORD_BYTES:,}",
        hint="keep less in one entry: give the key another part, one entry a part",
    )
