"""Restore: a store becomes what its changelog says, in steps, however often it is interrupted."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from choreo.errors import StateError
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, TopicPartition
from choreo.state.backend import Backend
from choreo.state.changelog import changelog_records, entries
from choreo.state.memory import MemoryBackends
from choreo.state.meta import TaskMeta, meta_entry, read_meta
from choreo.state.restore import Restore
from choreo.state.rocks import RocksBackends
from choreo.state.timers import INDEX_PREFIX, DueIndex, timer_entry
from tests.log.held_back import HeldBack

CHANGELOG = TopicPartition("s.changelog", 1)
META = TaskMeta("s", "c1", "t1", 4, changelog_offset=0, checkpoint=3, last_now=4, written_at=5, build="b1")


def new_log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics([TopicSpec(CHANGELOG.topic, 2)])
    return log


def commit(log: MemoryLog, batch: Mapping[bytes, bytes | None]) -> None:
    """One checkpoint's changelog records, as a transaction (which leaves a marker)."""
    transaction = log.writer("w").begin()
    transaction.append(changelog_records(*CHANGELOG, batch))
    transaction.commit()


def restored(log: MemoryLog, backend: Backend, limit: int = 2) -> None:
    restore = Restore(log, backend, CHANGELOG, read_meta(backend) or META)
    steps = 0
    while not restore.step(limit):
        steps += 1
        assert steps < 10_000
    assert restore.progress[0] == restore.progress[1]


def test_an_empty_changelog_is_done_at_once() -> None:
    """Nothing to read is the first step's True, and writes nothing."""
    backend = MemoryBackends().open("s-1")
    restore = Restore(new_log(), backend, CHANGELOG, META)
    assert restore.progress == (0, 0)
    assert restore.step(10)
    assert read_meta(backend) is None


def test_the_last_value_of_each_key_is_restored() -> None:
    """Overwritten and deleted keys end as the changelog ends; the stored offset passes the trailing marker too."""
    log, backend = new_log(), MemoryBackends().open("s-1")
    commit(log, {b"\x01a": b"1", b"\x01b": b"1"})
    commit(log, {b"\x01a": b"2", b"\x01b": None, b"\x01c": b"3"})
    restored(log, backend)
    assert list(entries(backend)) == [(b"\x01a", b"2"), (b"\x01c", b"3")]
    assert read_meta(backend) == META._replace(changelog_offset=log.ends([CHANGELOG])[CHANGELOG])


def test_only_the_tail_is_read_where_the_store_is_there() -> None:
    """A crash between commit and store write is mended from the stored offset on; nothing before it is read again."""
    log, backend = new_log(), MemoryBackends().open("s-1")
    commit(log, {b"\x01a": b"1"})
    tail = log.ends([CHANGELOG])[CHANGELOG]
    key, value = meta_entry(META._replace(changelog_offset=tail))
    backend.write({key: value, b"\x01a": b"kept"})
    commit(log, {b"\x01b": b"2"})
    restored(log, backend)
    assert list(entries(backend)) == [(b"\x01a", b"kept"), (b"\x01b", b"2")]


def test_other_partitions_are_other_tasks() -> None:
    """Records of another partition of the changelog are not read."""
    log, backend = new_log(), MemoryBackends().open("s-1")
    log.append([NewRecord(CHANGELOG.topic, b"\x01a", b"other", (), 0)])
    commit(log, {b"\x01b": b"mine"})
    restored(log, backend)
    assert list(entries(backend)) == [(b"\x01b", b"mine")]


def test_progress_grows_to_the_total() -> None:
    """`progress` begins at nothing and ends at everything, in changelog offsets."""
    log, backend = new_log(), MemoryBackends().open("s-1")
    commit(log, {b"\x01%d" % number: b"" for number in range(10)})
    restore = Restore(log, backend, CHANGELOG, META)
    seen = [restore.progress]
    while not restore.step(4):
        seen.append(restore.progress)
    assert seen == [(0, 11), (4, 11), (8, 11)]
    assert restore.progress == (11, 11)
    assert restore.step(4)


def test_timers_are_due_again() -> None:
    """The index of timers is restored with them: moved ones at their last time, cancelled ones not at all."""
    log, backend = new_log(), MemoryBackends().open("s-1")
    commit(log, dict([timer_entry(b"a", 5), timer_entry(b"b", 6), timer_entry(b"c", 7)]))
    commit(log, {**dict([timer_entry(b"a", 9)]), timer_entry(b"b", 0)[0]: None})
    restored(log, backend, limit=2)
    due = DueIndex(backend)
    assert [due.pop(100) for _ in range(3)] == [(7, b"c"), (9, b"a"), None]


ENTRY = st.tuples(
    st.one_of(
        st.binary(max_size=1).map(lambda tail: b"\x01s\x00" + tail),
        st.binary(max_size=1).map(lambda t: timer_entry(t, 0)[0]),
    ),
    st.one_of(st.none(), st.integers(0, 50).map(lambda due: timer_entry(b"", due)[1])),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(ENTRY, max_size=6).map(dict), max_size=6), st.lists(st.integers(1, 4), max_size=8))
def test_interrupted_restores_end_where_one_restore_ends(
    batches: list[dict[bytes, bytes | None]], limits: list[int]
) -> None:
    """Begun anew after any step, from what that left, a restore ends with the entries and the index of one run."""
    log, whole, broken = new_log(), MemoryBackends().open("s-1"), MemoryBackends().open("s-1")
    expected: dict[bytes, bytes | None] = {}
    for batch in batches:
        commit(log, batch)
        expected |= batch
    restored(log, whole, limit=100)
    for limit in limits:
        Restore(log, broken, CHANGELOG, read_meta(broken) or META).step(limit)
    restored(log, broken, limit=3)
    assert dict(entries(whole)) == {key: value for key, value in expected.items() if value is not None}
    assert list(broken.scan()) == list(whole.scan())
    before = list(whole.scan(INDEX_PREFIX))
    DueIndex(whole).rebuild()
    assert list(whole.scan(INDEX_PREFIX)) == before


def test_an_open_transaction_is_waited_for() -> None:
    """The end counts open transactions: a restore is not done while somebody's commit may still add to the store."""
    log, backend = HeldBack(), MemoryBackends().open("s-1")
    log.create_topics([TopicSpec(CHANGELOG.topic, 2)])
    commit(log, {b"\x01a": b"1", b"\x01b": b"2"})
    commit(log, {b"\x01c": b"3"})
    restore = Restore(log, backend, CHANGELOG, META)
    assert not restore.step(10)
    assert not restore.step(10)
    assert [key for key, _ in entries(backend)] == [b"\x01a", b"\x01b"]
    log.stable = log.ends([CHANGELOG])[CHANGELOG]
    assert restore.step(10)
    assert [key for key, _ in entries(backend)] == [b"\x01a", b"\x01b", b"\x01c"]


@pytest.mark.parametrize("key", [None, b"", b"\x00meta", b"\x02new"])
def test_a_foreign_record_stops_the_restore(key: bytes | None) -> None:
    """A record that is no entry is a StateError with its position, not an entry."""
    log, backend = new_log(), MemoryBackends().open("s-1")
    log.append([NewRecord(CHANGELOG.topic, key, b"x", (), CHANGELOG.partition)])
    with pytest.raises(StateError, match=r"s\.changelog\[1\]@0"):
        Restore(log, backend, CHANGELOG, META).step(10)
    assert list(backend.scan()) == []


def test_restores_into_rocks(tmp_path: Path) -> None:
    """The same with a store on disk, closed and opened in between."""
    log = new_log()
    for start in range(0, 3000, 500):
        commit(log, {b"\x01%05d" % number: b"%d" % number for number in range(start, start + 500)})
    backends = RocksBackends(tmp_path)
    backend = backends.open("s-1")
    assert not Restore(log, backend, CHANGELOG, META).step(1000)
    backend.close()
    backend = backends.open("s-1")
    restored(log, backend, limit=1000)
    assert list(entries(backend)) == [(b"\x01%05d" % number, b"%d" % number) for number in range(3000)]
    backends.close()
