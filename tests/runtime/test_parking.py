"""Parked inputs as bytes: what is written is read back, also what earlier versions wrote."""

import pytest

from choreo.errors import StateError
from choreo.record import Record
from choreo.runtime.entries import Entries
from choreo.runtime.parking import FLYING, Parking, Waiting, head_of, load
from choreo.state.memory import MemoryBackends

RECORD = Record("topic", 0, 17, 123456, b"key", b"\xff\xfbvalue", [("choreo", b"\x01\xff")])
FIRST = (
    b'\x01{"record": ["topic", 0, 17, 123456, "a2V5", "//t2YWx1ZQ==", [["choreo", "Af8="]]], "timer": "", "due": 0, '
    b'"attempts": 2, "error": "E: x", "kept": [["charge:1", "NTAw"]], "until": 9223372036854775806}'
)
FIRST_TIMER = b'\x01{"record": null, "timer": "//t0", "due": 5, "attempts": 0, "error": "", "kept": [], "until": 0}'


@pytest.mark.parametrize(
    "waiting",
    [
        Waiting(RECORD, attempts=2, error="E: x", kept=(("charge:1", b"\xfe\xff"), ("größe:2", b"")), until=FLYING),
        Waiting(RECORD._replace(key=None, value=None, headers=[])),
        Waiting(timer=b"\xff\xfbt", due=5),
    ],
)
def test_what_waits_is_read_back(waiting: Waiting) -> None:
    """A record or a timer, with attempts and results."""
    assert load(waiting.dump()) == waiting


def test_the_first_version_is_read() -> None:
    """Bytes that version 1 wrote."""
    assert load(FIRST) == Waiting(RECORD, attempts=2, error="E: x", kept=(("charge:1", b"500"),), until=FLYING)
    assert load(FIRST_TIMER) == Waiting(timer=b"\xff\xfbt", due=5)


def test_a_later_version_is_refused() -> None:
    """With what to do."""
    with pytest.raises(StateError, match="version 9"):
        load(b"\x09[]")


def test_who_only_looks_finds_the_first_of_a_line() -> None:
    """The entries tell what is at the head of a key's line: of this key, also where it was put in front of others."""
    backend = MemoryBackends().open("s-0")
    entries = Entries(backend)
    parking = Parking(entries)
    for key, error in ((b"k", "first"), (b"k", "second"), (b"k\x00l", "another's")):
        parking.append(key, Waiting(RECORD, error=error))
    parking.put_first(b"k", Waiting(RECORD, error="overtook"))
    changed, index = entries.take()
    backend.write(changed | index)
    assert [
        waiting and waiting.error for waiting in (head_of(backend, key) for key in (b"k", b"k\x00l", b"k\x00"))
    ] == [
        "overtook",
        "another's",
        None,
    ]
