"""Changes: the changelog beside a replay, whole or compacted."""

import pytest

from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, TopicPartition
from choreo.replay import changes
from choreo.replay.changes import Changes, Rewritten
from choreo.runtime.journal import LAST_PAGE, last_page_entry

PLACE = TopicPartition("choreo.s.changelog", 0)
A, B, C = b"\x01a", b"\x01b", b"\x01c"
Entries = dict[bytes, bytes | None]


def beside(live: list[Entries], replayed: list[Entries]) -> list[Rewritten]:
    """What differs where the changelog holds these batches and the replay writes those, checkpoint by checkpoint."""
    log = MemoryLog()
    log.create_topics([TopicSpec(PLACE.topic, 1)])
    log.append([NewRecord(PLACE.topic, key, value, (), 0) for batch in live for key, value in batch.items()])
    kept = Changes(log, PLACE)
    numbered = [(n, batch | last_page_entry(n)) for n, batch in enumerate(replayed, 1)]
    found = [one for n, batch in numbered for one in kept.redone(n, batch)]
    kept.close()
    return found


def page(number: int, batch: Entries) -> Entries:
    return {**batch, **last_page_entry(number)}


def test_what_is_written_alike_is_no_difference() -> None:
    """Checkpoint by checkpoint the same entries, deletions too."""
    batches: list[Entries] = [{A: b"1", B: b"1"}, {A: None}, {}]
    assert beside([page(n, batch) for n, batch in enumerate(batches, 1)], batches) == []


def test_each_difference_is_told_with_its_checkpoint() -> None:
    """Another value, one that only the live run wrote, one that only the replay writes."""
    found = beside([page(1, {A: b"1"}), page(2, {A: b"2", B: b"1"})], [{A: b"1"}, {A: b"3", C: b"1"}])
    assert sorted(found) == [
        Rewritten(2, A, b"2", b"3", True),
        Rewritten(2, B, b"1", None, True),
        Rewritten(2, C, None, b"1", False),
    ]


def test_what_compaction_left_must_have_been_written_by_the_replay() -> None:
    """Entries of several checkpoints that lie together: each must be one that the replay wrote; what is gone is not
    asked for.
    """
    replayed: list[Entries] = [{A: b"1", B: b"1"}, {A: b"2"}, {C: b"1"}, {C: b"2"}]
    left: list[Entries] = [{B: b"1", A: b"2"}, page(3, {C: b"1"}), page(4, {C: b"2"})]
    assert beside(left, replayed) == []
    wrong: list[Entries] = [{B: b"9", A: b"2"}, page(3, {C: b"1"}), page(4, {C: b"2"})]
    assert beside(wrong, replayed) == [Rewritten(3, B, b"9", b"1", True)]


def test_memory_stays_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of very many entries that lie together those that came before are left out, those behind are compared."""
    monkeypatch.setattr(changes, "MOST_KEPT", 3)
    many: Entries = {b"\x01%d" % n: b"1" for n in range(5)}
    replayed: list[Entries] = [dict(many), {A: b"1"}, {B: b"1"}]
    assert beside([many, page(2, {A: b"9"}), page(3, {B: b"9"})], replayed) == [
        Rewritten(2, A, b"9", b"1", True),
        Rewritten(3, B, b"9", b"1", True),
    ]


def test_no_changelog_is_no_difference() -> None:
    """Where there is none, or nothing on it, nothing is compared."""
    log = MemoryLog()
    assert list(Changes(log, PLACE).redone(1, {A: b"1", LAST_PAGE: b"\x01"})) == []
