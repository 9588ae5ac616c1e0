"""Views: what a store and its changelog say together, without touching either."""

from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.errors import StateError
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import TopicPartition
from choreo.state.backend import Backend
from choreo.state.changelog import changelog_records, entries
from choreo.state.memory import MemoryBackends
from choreo.state.meta import Facts, TaskMeta, meta_entry
from choreo.state.rocks import RocksBackends, glimpse
from choreo.state.view import Layered, view
from tests.log.held_back import HeldBack

CHANGELOG = TopicPartition("s.changelog", 0)
KEYS = st.sampled_from([b"\x01" + bytes([number]) for number in range(97, 105)])


def log_of(*batches: dict[bytes, bytes | None], log: MemoryLog | None = None) -> MemoryLog:
    """A changelog with one transaction a batch, which leaves a marker each."""
    log = MemoryLog() if log is None else log
    log.create_topics([TopicSpec(CHANGELOG.topic, 1)])
    for batch in batches:
        transaction = log.writer("w").begin()
        transaction.append(changelog_records(*CHANGELOG, batch))
        transaction.commit()
    return log


def facts(log: MemoryLog, now: int = 5) -> Facts:
    return Facts("s", "c1", "t1", 1, log.ends([CHANGELOG])[CHANGELOG], now, 86_400)


def put(backend: Backend, entries: dict[bytes, bytes | None], offset: int) -> Backend:
    """A store with these entries of the changelog up to `offset`."""
    meta = TaskMeta("s", "c1", "t1", 1, changelog_offset=offset, checkpoint=3, last_now=4, written_at=5, build="b1")
    backend.write(dict([*entries.items(), meta_entry(meta)]))
    return backend


BATCHES: list[dict[bytes, bytes | None]] = [{b"\x01a": b"1", b"\x01b": b"1"}, {b"\x01a": None, b"\x01c": b"2"}]


def test_a_store_that_is_behind_is_seen_as_of_now(tmp_path: Path) -> None:
    """The tail of the changelog lies over it, deletions too; its own files are as they were, and its owner goes on."""
    log = log_of(*BATCHES)
    with closing(RocksBackends(tmp_path)) as owner:
        at_work = put(owner.open("s-0"), BATCHES[0], 3)
        before = list(at_work.scan())
        with closing(view(log, CHANGELOG, glimpse(tmp_path / "s-0"), facts(log))) as seen:
            assert list(entries(seen)) == [(b"\x01b", b"1"), (b"\x01c", b"2")]
            assert (seen.get(b"\x01a"), seen.get(b"\x01b"), seen.get(b"\x01c")) == (None, b"1", b"2")
        assert list(at_work.scan()) == before
        at_work.write({b"\x01z": b"9"})


def test_only_the_tail_is_read() -> None:
    """What the store has is taken from there, not from the changelog."""
    log = log_of(*BATCHES)
    store = put(MemoryBackends().open("s-0"), {b"\x01b": b"only here"}, 3)
    assert list(entries(view(log, CHANGELOG, store, facts(log)))) == [(b"\x01b", b"only here"), (b"\x01c", b"2")]


def test_without_a_store_the_changelog_says_all() -> None:
    """Another machine has the same view."""
    log = log_of(*BATCHES)
    assert list(entries(view(log, CHANGELOG, None, facts(log)))) == [(b"\x01b", b"1"), (b"\x01c", b"2")]


def test_much_that_must_be_read_goes_to_a_room_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A changelog of any length takes no memory where whoever looks has room elsewhere; a short tail needs none."""
    log, room = log_of(*BATCHES), MemoryBackends().open("elsewhere")
    store = put(MemoryBackends().open("s-0"), BATCHES[0], 3)
    monkeypatch.setattr("choreo.state.view.MOST_IN_MEMORY", 4)
    view(log, CHANGELOG, store, facts(log), lambda: room)
    assert list(room.scan()) == []
    seen = view(log, CHANGELOG, None, facts(log), lambda: room)
    assert list(entries(seen)) == [(b"\x01b", b"1"), (b"\x01c", b"2")]
    assert {b"\x01b", b"\x01c"} <= {key for key, _ in room.scan()}


def test_a_store_that_can_not_be_trusted_is_left_out() -> None:
    """One that was away for longer than tombstones are kept may have what is long deleted."""
    log = log_of(*BATCHES)
    store = put(MemoryBackends().open("s-0"), {b"\x01y": b"old"}, 3)
    late = facts(log, now=100_000_000_000)
    assert list(entries(view(log, CHANGELOG, store, late))) == [(b"\x01b", b"1"), (b"\x01c", b"2")]


def test_an_open_transaction_is_not_true_yet() -> None:
    """What a dead worker left open does not keep the view from what is committed."""
    log = log_of(*BATCHES, log=HeldBack())
    assert list(entries(view(log, CHANGELOG, None, facts(log)))) == list(BATCHES[0].items())


def test_what_is_not_there_can_not_be_glimpsed(tmp_path: Path) -> None:
    """A missing store is an error, and none is made."""
    with pytest.raises(StateError):
        glimpse(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@given(
    below=st.dictionaries(KEYS, st.binary(max_size=1)),
    over=st.dictionaries(KEYS, st.none() | st.binary(max_size=1)),
    start=st.none() | KEYS,
    prefix=st.sampled_from([b"", b"\x01", b"\x01c"]),
)
def test_layers_read_as_one(
    below: dict[bytes, bytes], over: dict[bytes, bytes | None], start: bytes | None, prefix: bytes
) -> None:
    """A scan of two layers gives what a scan of their sum gives."""
    one, two = MemoryBackends().open("s-0"), MemoryBackends().open("s-0")
    one.write(below)
    two.write({**below, **over})
    layered = Layered(one)
    layered.write(over)
    assert list(layered.scan(prefix, start)) == list(two.scan(prefix, start))
    assert dict(one.scan()) == below
