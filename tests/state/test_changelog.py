"""The changelog: entries as records, and nothing on it that is local."""

import pytest

from choreo.errors import RecordTooLargeError
from choreo.log.interface import MAX_RECORD_BYTES
from choreo.record import NewRecord
from choreo.state.changelog import changelog_records, entries
from choreo.state.keys import key_codec
from choreo.state.memory import MemoryBackends
from choreo.state.meta import META_KEY
from choreo.state.timers import index_key, timer_entry


def test_one_record_an_entry() -> None:
    """Each entry is a record of its partition with the same bytes, in order; a deleted one has no value."""
    assert changelog_records("s.changelog", 3, {b"\x01b": b"1", b"\x01a": None}) == [
        NewRecord("s.changelog", b"\x01b", b"1", (), 3),
        NewRecord("s.changelog", b"\x01a", None, (), 3),
    ]


def test_the_largest_entry_is_taken() -> None:
    """Key and value of together MAX_RECORD_BYTES are taken."""
    assert len(changelog_records("t", 0, {b"\x01k": bytes(MAX_RECORD_BYTES - 2)})) == 1


@pytest.mark.parametrize(
    ("key", "named"),
    [
        (
            key_codec("stock", tuple[str, str]).encode(("vienna", "tea")),
            r"store 'stock': the entry of \('vienna', 'tea'\)",
        ),
        (key_codec("charges", str).encode("o1"), "store 'charges': the entry of 'o1'"),
        (b"\x01odd", "too large"),
    ],
)
def test_an_entry_too_large_is_named(key: bytes, named: str) -> None:
    """An entry beyond the limit is refused before it is produced, by the names of its store and key."""
    with pytest.raises(RecordTooLargeError, match=named) as caught:
        changelog_records("s.changelog", 3, {key: bytes(MAX_RECORD_BYTES)})
    assert "s.changelog[3]" in str(caught.value)


def test_local_entries_are_not_compared() -> None:
    """`entries` gives those on the changelog in key order: neither meta nor the index of timers."""
    backend = MemoryBackends().open("s-0")
    key, value = timer_entry(b"a", 5)
    backend.write({b"\x01b": b"2", META_KEY: b"x", key: value, index_key(b"a", 5): b"\x01", b"\x01a": b"1"})
    assert list(entries(backend)) == sorted([(b"\x01a", b"1"), (b"\x01b", b"2"), (key, value)])
