"""A member of a group on a log that lives in this process."""

from collections.abc import Iterable
from threading import Condition
from time import monotonic
from typing import Protocol

from choreo.clock import Clock
from choreo.errors import FencedError, LogError, StaleMemberError
from choreo.log.feed import Feed, Partition
from choreo.log.groups import Duty, Group, Standing
from choreo.log.interface import Identity, Listener, Member, Membership
from choreo.record import Record, TopicPartition

_WAIT_SLICE_S = 0.2


class Host(Protocol):
    """What a member needs of its log."""

    clock: Clock
    changed: Condition

    def partition(self, name: TopicPartition) -> Partition: ...

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]: ...


class LocalMember(Member):
    """Reads what its group grants it. A poll with nothing new costs about a microsecond."""

    def __init__(self, log: Host, group: Group, membership: Membership, listener: Listener) -> None:
        self.group = group.name
        self._log = log
        self._group = group
        self._membership = membership
        self._listener = listener
        self._now = log.clock.now
        self._feed = Feed(log.changed)
        self._ready = self._feed.ready
        self._seat = group.join(membership, self._now())
        self._closed = False
        log.changed.notify_all()

    def poll(self, timeout_s: float, limit: int = 1000) -> list[Record]:
        if not self.has_records():
            if timeout_s <= 0:
                return []
            self._wait(timeout_s)
        if self._seat.attention:
            self._attend()
        return self._feed.take(limit)

    def has_records(self) -> bool:
        """Whether `poll` has something to do: records, or a change of the group. As good a sign of life as a poll."""
        seat, group = self._seat, self._group
        seat.seen = now = self._now()
        if now >= group.deadline:
            self._expire(now)
        return bool(self._ready) or seat.attention

    def identity(self) -> Identity | None:
        return self._seat.identity

    def check(self, identity: Identity) -> None:
        """Raises StaleMemberError unless `identity` is this member's, and the group still knows it."""
        if not self._group.holds(self._seat, identity):
            raise StaleMemberError(
                f"the group {self.group} has moved on without {identity.member_id or 'a member that never joined'}",
                why=f"it asked under generation {identity.generation}, the group is at {self._group.generation}",
                hint="drop the work and poll again",
            )

    def position(self, partition: TopicPartition) -> int:
        return self._feed.cursor(partition).position

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self._feed.seek(partition, offset)

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        self._feed.pause(partitions)

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        self._feed.resume(partitions)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._seat.standing is not Standing.MEMBER:
            self._lose()
        elif self._seat.owned:
            self._listener.revoked(self._seat.owned)
        self._feed.drop()
        with self._log.changed:
            self._group.leave(self._seat)
            self._log.changed.notify_all()

    def _wait(self, timeout_s: float) -> None:
        # A wait of the caller's thread: wall time whatever clock the log was given. Slices, because no append tells
        # when the session of another member runs out.
        until = monotonic() + timeout_s
        with self._log.changed:
            while not self.has_records() and (left := until - monotonic()) > 0:
                self._log.changed.wait(min(left, _WAIT_SLICE_S))

    def _expire(self, now: int) -> None:
        with self._log.changed:
            self._group.expire(now)
            self._log.changed.notify_all()

    def _attend(self) -> None:
        """Do what the group asks for. The listener is called without the lock: it may commit and restore."""
        if self._closed:
            raise LogError(f"this member of {self.group} is closed")
        while True:
            with self._log.changed:
                duty = self._group.duty(self._seat)
            if duty is Duty.NOTHING:
                return
            if duty is Duty.LOSE:
                self._rejoin()
            elif duty is Duty.REVOKE:
                self._give_up()
            else:
                self._take_up()

    def _give_up(self) -> None:
        if self._seat.owned:
            self._listener.revoked(self._seat.owned)
        self._feed.drop()
        with self._log.changed:
            if self._seat.standing is Standing.MEMBER:
                self._group.answer(self._seat)
                self._log.changed.notify_all()

    def _take_up(self) -> None:
        with self._log.changed:
            owned = self._group.take_up(self._seat)
            committed = self._log.committed(self.group, owned)
        starts = self._listener.assigned(committed)
        for partition in owned:
            self._feed.watch(self._log.partition(partition), starts.get(partition, committed[partition] or 0))

    def _rejoin(self) -> None:
        """Thrown out: join again, unless another member took over this instance."""
        replaced = self._seat.standing is Standing.REPLACED
        if not (replaced and self._seat.generation == 0):
            self._lose()
        if replaced:
            raise FencedError(
                f"another member of {self.group} joined as {self._membership.instance}",
                why="a newer process of this worker has started",
                hint="stop this one",
            )
        with self._log.changed:
            self._seat = self._group.join(self._membership, self._now())
            self._log.changed.notify_all()

    def _lose(self) -> None:
        self._feed.drop()
        self._listener.lost(self._seat.owned)
        self._seat.owned, self._seat.generation = (), 0
