"""Putting rebuilt entries in the place of a service's own, while nobody is at work on it.

The changelog decides what the state is; so the copies on disk go first, and a crash at any point leaves what the
changelog says: the old state, the new one, or, where that took several transactions, a mark that keeps every worker
from taking the task up until the same command has ended what it began.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from choreo.log.interface import Transaction, Writer
from choreo.record import NewRecord, TopicPartition
from choreo.replay.renewal import Renewal
from choreo.replay.standing import Standing
from choreo.runtime.options import FaultPoint, no_faults
from choreo.runtime.parking import PARKED
from choreo.state.backend import Backend
from choreo.state.changelog import changelog_records, logged
from choreo.state.rebuilt import REBUILT, UNFINISHED, unfinished_entry

AT_ONCE = 20_000
"""So many entries are replaced in one transaction; more of them take several, under a mark."""

Change = tuple[bytes, bytes | None]
"""An entry as it is to be; None where it is to go."""


class Replaced(NamedTuple):
    """How one task's entries differ from those that its changelog had."""

    partition: int
    put: int
    deleted: int
    let_go: int = 0
    """Inputs that wait behind a failure, and that this code handled in the replay: what follows from them was never
    emitted.
    """

    @property
    def changed(self) -> int:
        return self.put + self.deleted


class Story(NamedTuple):
    """The records that tell of it: that it began, and that it ended."""

    began: NewRecord
    ended: NewRecord


Told = Callable[[Sequence[Replaced]], Story]


class Exchange(NamedTuple):
    """One task: what its changelog says, and what it is to say."""

    renewal: Renewal
    old: Backend
    """What a restore of the changelog gives, up to `end`."""
    end: int

    def changes(self) -> Iterator[Change]:
        """Exactly the difference, in key order; last what says that it was rebuilt, and a mark that stands goes."""
        yield from difference(plain(logged(self.old)), plain(self.renewal.entries()))
        yield REBUILT, self.renewal.notes()[REBUILT]
        if self.old.get(UNFINISHED) is not None:
            yield UNFINISHED, None

    def counted(self) -> Replaced:
        """How many entries are put and deleted."""
        put = deleted = let_go = 0
        for key, value in self.changes():
            put, deleted = put + (value is not None), deleted + (value is None)
            let_go += value is None and key.startswith(PARKED.start)
        return Replaced(self.renewal.partition, put, deleted, let_go)


def plain(entries: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """All that is on the changelog, less what is noted of a rebuild."""
    return (entry for entry in entries if entry[0] not in (UNFINISHED, REBUILT))


def difference(old: Iterable[tuple[bytes, bytes]], new: Iterable[tuple[bytes, bytes]]) -> Iterator[Change]:
    """What makes `new` of `old`; both are in key order."""
    left, right = iter(old), iter(new)
    mine, theirs = next(left, None), next(right, None)
    while mine is not None or theirs is not None:
        if theirs is None or (mine is not None and mine[0] < theirs[0]):
            assert mine is not None
            yield mine[0], None
            mine = next(left, None)
        elif mine is None or theirs[0] < mine[0]:
            yield theirs
            theirs = next(right, None)
        else:
            if mine[1] != theirs[1]:
                yield theirs
            mine, theirs = next(left, None), next(right, None)


class Replacing:
    """Writes rebuilt entries to the changelog of a service that stands still."""

    def __init__(
        self, changelog: str, writer: Writer, standing: Standing, who: str, reach: FaultPoint = no_faults
    ) -> None:
        self._changelog, self._writer, self._standing = changelog, writer, standing
        self._who = who
        self._reach = reach
        self.at_once = AT_ONCE

    def replace(self, exchanges: Sequence[Exchange], forget: Callable[[int], None], told: Told) -> list[Replaced]:
        """Make the changelog say what was rebuilt; answers what that took.

        1. what is on disk of these tasks is deleted (`forget`): from here on the changelog alone says what they hold
        2. the difference, together with what tells of it (`told`) and under the group's own offsets: in one
           transaction; or, where it is more than `at_once`, under a mark on every task that goes with its last entry
        Raises FencedError, StaleMemberError or TransactionAbortedError where somebody else is at work after all: then
        the open transaction changed nothing.
        """
        found = [exchange.counted() for exchange in exchanges]
        for one in found:
            forget(one.partition)  # 1
        self._reach("replace.forgotten")
        story = told(found)
        if sum(one.changed for one in found) <= self.at_once:  # 2
            self._commit(((each.renewal.partition, list(each.changes())) for each in exchanges), story)
        else:
            self._in_parts(exchanges, story)
        self._reach("replace.committed")
        return found

    def _in_parts(self, exchanges: Sequence[Exchange], story: Story) -> None:
        mark = [unfinished_entry(self._who)]
        self._commit([(each.renewal.partition, mark) for each in exchanges], [story.began])
        self._reach("replace.marked")
        for each in exchanges:
            changes = (change for change in each.changes() if change[0] != UNFINISHED)
            while part := list(islice(changes, self.at_once)):
                self._commit([(each.renewal.partition, part)], [])
                self._reach("replace.partly")
        self._commit([(each.renewal.partition, [(UNFINISHED, None)]) for each in exchanges], [story.ended])

    def _commit(self, parts: Iterable[tuple[int, Iterable[Change]]], news: Sequence[NewRecord]) -> None:
        self._standing.beat()
        identity = self._standing.identity()
        transaction = self._writer.begin()
        try:
            self._reach("replace.begun")
            for partition, changes in parts:
                self._append(transaction, changelog_records(self._changelog, partition, dict(changes)))
            self._append(transaction, news)
            transaction.send_offsets(self._standing.member, identity, self._offsets())
            self._reach("replace.appended")
            transaction.commit()
        except Exception:
            transaction.abort()
            raise

    def _append(self, transaction: Transaction, records: Sequence[NewRecord]) -> None:
        if records:
            transaction.append(records)

    def _offsets(self) -> Mapping[TopicPartition, int]:
        """What the group has committed, once more: the log refuses that to whoever is no longer its member."""
        return {tp: offset for tp, offset in self._standing.committed.items() if offset is not None}
