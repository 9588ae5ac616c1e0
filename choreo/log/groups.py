"""Who in a group owns which partitions, for the logs that live in one process: seats, generations, range assignment.

Pure bookkeeping: it is told the time and calls no listener; its caller holds the log's lock.
"""

from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from itertools import pairwise

from choreo.clock import NEVER
from choreo.log.interface import Identity, Membership
from choreo.record import TopicPartition


class Standing(Enum):
    """How a seat stands in its group."""

    MEMBER = auto()
    EXPIRED = auto()  # did not poll for its session timeout
    REPLACED = auto()  # another member joined as the same instance
    LEFT = auto()


class Duty(Enum):
    """What a member has to do before it may go on polling."""

    NOTHING = auto()
    REVOKE = auto()  # give up what it owns, then `Group.answer`
    TAKE_UP = auto()  # `Group.take_up` the partitions granted to it
    LOSE = auto()  # it is a member no more: drop everything


class Seat:
    """One member as its group sees it. `attention` is set whenever `Group.duty` has something to say."""

    __slots__ = ("_known", "attention", "generation", "granted", "member_id", "membership", "owned", "seen", "standing")

    def __init__(self, member_id: str, membership: Membership, now: int) -> None:
        self.member_id = member_id
        self.membership = membership
        self.seen = now
        self.standing = Standing.MEMBER
        self.attention = False
        self.granted: tuple[TopicPartition, ...] | None = None
        self.owned: tuple[TopicPartition, ...] = ()
        self.generation = 0  # under which it owns partitions; 0: it owns none
        self._known = Identity(member_id, 0)  # asked for several times a turn, and the same for most of a life

    @property
    def identity(self) -> Identity | None:
        if self.standing is not Standing.MEMBER or not self.generation:
            return None
        if self._known.generation != self.generation:
            self._known = Identity(self.member_id, self.generation)
        return self._known

    @property
    def expires(self) -> int:
        """When it is thrown out unless it is seen before (microseconds)."""
        return self.seen + round(self.membership.session_timeout_s * 1_000_000)


class Group:
    """The members of one group.

    A rebalance has two phases: every member that owns something gives it up in its own time and answers; when all have
    answered, or were thrown out, the next generation is granted. Eager, as Kafka's classic protocol is.
    """

    def __init__(self, name: str, partitions: Callable[[str], int]) -> None:
        self.name = name
        self.generation = 0
        self.rebalancing = False
        self.deadline = NEVER
        """When `expire` is to be called next (microseconds)."""
        self._partitions = partitions
        self._seats: dict[str, Seat] = {}
        self._joined = 0

    @property
    def empty(self) -> bool:
        """Whether nobody is in it."""
        return not self._seats

    def join(self, membership: Membership, now: int) -> Seat:
        """A seat for a new member; it takes over at once from an earlier one of the same instance."""
        self.expire(now)
        self._joined += 1
        seat = Seat(f"{membership.instance}-{self._joined}", membership, now)
        before = next((s for s in self._seats.values() if s.membership.instance == membership.instance), None)
        self._seats[seat.member_id] = seat
        self.deadline = min(self.deadline, seat.expires)
        if before is not None:
            self._remove(before, Standing.REPLACED)
            if not self.rebalancing and before.membership.topics == membership.topics:
                self._grant(seat, before.owned if before.granted is None else before.granted)
                return seat
        self._rebalance()
        return seat

    def leave(self, seat: Seat) -> None:
        """Give the seat up; what it owned goes to the others."""
        if seat.standing is Standing.MEMBER:
            self._remove(seat, Standing.LEFT)
            self._rebalance()

    def expire(self, now: int) -> None:
        """Throw out whoever was not seen for its session timeout."""
        silent = [seat for seat in self._seats.values() if seat.expires <= now]
        for seat in silent:
            self._remove(seat, Standing.EXPIRED)
        self.deadline = min((seat.expires for seat in self._seats.values()), default=NEVER)
        if silent:
            self._rebalance()

    def duty(self, seat: Seat) -> Duty:
        """What this member has to do now."""
        if seat.standing is not Standing.MEMBER:
            return Duty.LOSE
        if seat.granted is not None:
            return Duty.TAKE_UP
        if self.rebalancing and seat.generation:
            return Duty.REVOKE
        seat.attention = False
        return Duty.NOTHING

    def answer(self, seat: Seat) -> None:
        """The member has given up what it owned: its generation has ended."""
        seat.owned, seat.generation = (), 0
        self._grant_all_once_answered()

    def take_up(self, seat: Seat) -> tuple[TopicPartition, ...]:
        """The member owns what was granted to it from now on."""
        seat.owned, seat.granted, seat.generation = seat.granted or (), None, self.generation
        return seat.owned

    def holds(self, seat: Seat, identity: Identity) -> bool:
        """Whether `identity` still gives the right to commit."""
        return identity == seat.identity

    def _remove(self, seat: Seat, standing: Standing) -> None:
        del self._seats[seat.member_id]
        seat.standing = standing
        seat.attention = True

    def _rebalance(self) -> None:
        self.rebalancing = True
        for seat in self._seats.values():
            seat.granted = None
            if seat.generation:
                seat.attention = True
        self._grant_all_once_answered()

    def _grant_all_once_answered(self) -> None:
        if not self.rebalancing or any(seat.generation for seat in self._seats.values()):
            return
        self.rebalancing = False
        self.generation += 1
        for seat, partitions in assign_range(self._seats.values(), self._partitions):
            self._grant(seat, partitions)

    def _grant(self, seat: Seat, partitions: tuple[TopicPartition, ...]) -> None:
        seat.granted = partitions
        seat.attention = True


def assign_range(
    seats: Iterable[Seat], partitions: Callable[[str], int]
) -> list[tuple[Seat, tuple[TopicPartition, ...]]]:
    """Kafka's range assignor: of each topic a run of partitions to each member that reads it, in order of instance.

    Members that read the same topics with equal partition counts so get the same partition numbers of each.
    """
    ordered = sorted(seats, key=lambda seat: (seat.membership.instance, seat.member_id))
    granted: dict[str, list[TopicPartition]] = {seat.member_id: [] for seat in ordered}
    for topic in sorted({topic for seat in ordered for topic in seat.membership.topics}):
        readers = [seat for seat in ordered if topic in seat.membership.topics]
        for seat, run in zip(readers, _runs(partitions(topic), len(readers)), strict=True):
            granted[seat.member_id] += [TopicPartition(topic, number) for number in run]
    return [(seat, tuple(granted[seat.member_id])) for seat in ordered]


def _runs(count: int, readers: int) -> Sequence[range]:
    share, extra = divmod(count, readers)
    firsts = [i * share + min(i, extra) for i in range(readers + 1)]
    return [range(first, last) for first, last in pairwise(firsts)]
