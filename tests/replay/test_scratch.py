"""Scratch: entries in order, in memory or on disk, and nothing left behind."""

from pathlib import Path

import pytest

from choreo.replay.scratch import Scratch


@pytest.mark.parametrize("most_bytes", [1 << 20, 200])
def test_entries_come_in_the_order_of_their_keys(tmp_path: Path, most_bytes: int) -> None:
    """However many there are; the last value of a key counts, and other prefixes are not seen."""
    with Scratch(tmp_path / "state", most_bytes) as scratch:
        for number in reversed(range(100)):
            scratch.put(b"n %03d" % number, b"old")
            scratch.put(b"n %03d" % number, b"%d" % number)
        scratch.put(b"o", b"other")
        assert list(scratch.scan(b"n ")) == [(b"n %03d" % number, b"%d" % number) for number in range(100)]
        assert (scratch.get(b"n 007"), scratch.get(b"n 100"), scratch.get(b"o")) == (b"7", None, b"other")
        assert (tmp_path / "state").exists() is (most_bytes == 200)
    assert list(tmp_path.glob("state/*")) == []
