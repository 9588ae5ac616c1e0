"""Where groups stood, kept in an archive: they go on behind just those inputs that the archived journal has."""

from pathlib import Path

import pytest

from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, TopicPartition
from choreo.replay.archive import Archive
from choreo.replay.archive_groups import Stood, keep, kept, on_new_log, standpoint_of
from choreo.replay.archive_restore import Restore
from choreo.runtime.journal import Inputs, Page, last_page_entry
from tests.replay.archived import forget, write

GROUP, JOURNAL, CHANGELOG = "choreo.cook", "choreo.cook.journal", "choreo.cook.changelog"
ORDERS, PLATES = TopicPartition("orders", 0), TopicPartition("plates", 0)
TOPICS = ("orders", "plates", JOURNAL)


class Kitchen:
    """A log with the topics of a service, and what its checkpoints would leave there, written by hand."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.log.create_topics([TopicSpec(name, 1) for name in (*TOPICS, CHANGELOG)])
        self.log.append([NewRecord(name, b"k", b"%d" % n) for name in ("orders", "plates") for n in range(10)])
        self.pages = 0

    def checkpoint(self, first: int, last: int, *, committed: bool = True, changed: bool = True) -> None:
        """A page that took these orders; what goes with it may be seen, or not yet."""
        self.pages += 1
        steps = [Inputs(0, first, last, last - first + 1)]
        page = Page("build", (), 0, self.pages, ("orders",), [*steps])
        self.log.append(page.records(JOURNAL, 0))
        if changed:
            entries = last_page_entry(self.pages).items()
            self.log.append([NewRecord(CHANGELOG, key, value, (), 0) for key, value in entries])
        if committed:
            self.log.give_back(GROUP, {ORDERS: last + 1})

    def archive(self, place: Path, *topics: str) -> Archive:
        write(self.log, place, topics or TOPICS)
        return Archive(place)


@pytest.fixture
def kitchen() -> Kitchen:
    return Kitchen()


def test_what_was_committed_is_kept_with_the_journal(kitchen: Kitchen, tmp_path: Path) -> None:
    """Also of topics from which nothing was taken yet; not where the journal is not among what is written."""
    kitchen.checkpoint(0, 3)
    kitchen.log.give_back(GROUP, {PLATES: 10})
    archive = kitchen.archive(tmp_path / "a", "orders", "plates")
    assert kept(archive, GROUP) == Stood(GROUP, {}, ())
    archive = kitchen.archive(tmp_path / "a")
    assert kept(archive, GROUP) == Stood(GROUP, {ORDERS: 4, PLATES: 10}, [1])
    assert standpoint_of(archive, GROUP).offsets == {ORDERS: 4, PLATES: 10}


def test_a_group_goes_on_behind_what_its_journal_took(kitchen: Kitchen, tmp_path: Path) -> None:
    """A page that came while the archive was written counts, whatever had been committed when that was asked for."""
    kitchen.checkpoint(0, 3)
    kitchen.checkpoint(4, 6, committed=False)
    archive = kitchen.archive(tmp_path / "a")
    assert kept(archive, GROUP).offsets == {ORDERS: 4}
    assert standpoint_of(archive, GROUP).offsets == {ORDERS: 7}
    keep(archive.directory, Stood(GROUP, {ORDERS: 4, PLATES: 2}, [1]))
    assert standpoint_of(archive, GROUP).offsets == {ORDERS: 7, PLATES: 2}


def test_a_journal_that_was_cut_off_takes_its_offsets_with_it(kitchen: Kitchen, tmp_path: Path) -> None:
    """With --until the archived journal ends before what was committed: what it has not is handled again, not lost."""
    kitchen.checkpoint(0, 3)
    archive = kitchen.archive(tmp_path / "a")
    kitchen.checkpoint(4, 6)
    write(kitchen.log, tmp_path / "a", TOPICS, until_ms=0)
    assert standpoint_of(archive, GROUP).offsets == {ORDERS: 4}
    first = kitchen.archive(tmp_path / "b")
    (tmp_path / "b" / "groups" / f"{GROUP}.json").unlink()
    assert standpoint_of(first, GROUP).offsets == {ORDERS: 7}


def test_offsets_are_those_of_the_new_log(kitchen: Kitchen, tmp_path: Path) -> None:
    """Kept, or counted anew where a log numbers records from 0; never beyond what was archived."""
    forget(kitchen.log, ORDERS, 2)
    archive = kitchen.archive(tmp_path / "a")
    places = {ORDERS: 5, PLATES: 99}
    assert on_new_log(archive, places, keeps=True) == {ORDERS: 5, PLATES: 10}
    assert on_new_log(archive, places, keeps=False) == {ORDERS: 3, PLATES: 10}


def test_what_was_lost_before_it_was_handled_is_not_passed_over(kitchen: Kitchen, tmp_path: Path) -> None:
    """A group that had not come to what retention took is told so: its service is refused, as on the old log."""
    kitchen.checkpoint(0, 3)
    forget(kitchen.log, ORDERS, 6)
    archive = kitchen.archive(tmp_path / "a")
    assert on_new_log(archive, {ORDERS: 4}, keeps=True) == {ORDERS: 4}
    assert on_new_log(archive, {ORDERS: 4}, keeps=False) == {}
    (due,) = Restore(MemoryLog(), archive, TOPICS).groups
    assert due.lost == {ORDERS: 2}


def test_groups_are_given_back_once_and_never_over_what_they_have(kitchen: Kitchen, tmp_path: Path) -> None:
    """Another restore leaves a group that went on where it is;."""
    kitchen.checkpoint(0, 3)
    archive, log = kitchen.archive(tmp_path / "a", *TOPICS, CHANGELOG), MemoryLog()
    restore = Restore(log, archive, list(archive.topics))
    assert not restore.complete
    restore.make_topics()
    restore.run(lambda done, total: None)
    assert not Restore(log, archive, list(archive.topics)).complete
    restore.give_back()
    assert log.committed(GROUP, [ORDERS]) == {ORDERS: 4}
    assert Restore(log, archive, list(archive.topics)).complete
    log.give_back(GROUP, {ORDERS: 9})
    again = Restore(log, archive, list(archive.topics))
    assert again.complete
    again.give_back()
    assert log.committed(GROUP, [ORDERS]) == {ORDERS: 9}


def test_a_changelog_that_does_not_fit_its_journal_is_seen(kitchen: Kitchen, tmp_path: Path) -> None:
    """Archived while the service was at work: no offsets are given back. Without any changelog they are."""
    kitchen.checkpoint(0, 3)
    kitchen.checkpoint(4, 6, changed=False)
    torn = kitchen.archive(tmp_path / "a", *TOPICS, CHANGELOG)
    (due,) = Restore(MemoryLog(), torn, list(torn.topics)).groups
    assert (due.offsets, list(due.torn), list(due.without)) == ({}, [0], [])
    without = kitchen.archive(tmp_path / "b")
    (due,) = Restore(MemoryLog(), without, list(without.topics)).groups
    assert (due.offsets, list(due.torn), list(due.without)) == ({ORDERS: 7}, [], [0])
