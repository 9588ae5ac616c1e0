"""The group's bookkeeping: seats, generations, range assignment, time-outs."""

from choreo.log.groups import Duty, Group, Seat, Standing, assign_range
from choreo.log.interface import Identity, Membership
from choreo.record import TopicPartition

COUNTS = {"orders": 4, "payments": 4, "short": 1}
SECOND = 1_000_000


def group() -> Group:
    return Group("shop", COUNTS.__getitem__)


def membership(instance: str, *topics: str) -> Membership:
    return Membership("shop", topics or ("orders", "payments"), instance, session_timeout_s=10)


def numbers(partitions: tuple[TopicPartition, ...] | None, topic: str) -> list[int]:
    return [p.partition for p in partitions or () if p.topic == topic]


def test_range_gives_the_same_numbers_of_every_topic() -> None:
    """Partition n of all topics goes to one member; the first members get the remainder."""
    seats = [Seat(name, membership(name), 0) for name in ("c", "a", "b")]
    granted = {seat.member_id: partitions for seat, partitions in assign_range(seats, COUNTS.__getitem__)}
    assert [numbers(granted[name], "orders") for name in "abc"] == [[0, 1], [2], [3]]
    assert [numbers(granted[name], "payments") for name in "abc"] == [[0, 1], [2], [3]]


def test_a_topic_goes_only_to_those_who_read_it() -> None:
    """A member gets nothing of a topic that it did not ask for."""
    seats = [Seat("a", membership("a", "orders"), 0), Seat("b", membership("b", "orders", "short"), 0)]
    granted = {seat.member_id: partitions for seat, partitions in assign_range(seats, COUNTS.__getitem__)}
    assert numbers(granted["a"], "short") == []
    assert numbers(granted["b"], "short") == [0]


def test_a_newcomer_waits_until_the_owner_has_answered() -> None:
    """Nothing is granted to a second member before the first has given up what it owned."""
    shop = group()
    first = shop.join(membership("a"), 0)
    shop.take_up(first)
    second = shop.join(membership("b"), 0)
    assert shop.duty(first) is Duty.REVOKE
    assert shop.duty(second) is Duty.NOTHING
    old = first.identity
    assert old is not None
    assert shop.holds(first, old)
    shop.answer(first)
    assert not shop.holds(first, old)
    assert numbers(shop.take_up(first), "orders") == [0, 1]
    assert numbers(shop.take_up(second), "orders") == [2, 3]
    assert first.generation == second.generation == 2


def test_whoever_is_not_seen_is_thrown_out() -> None:
    """After its session timeout a member holds no right, and the others get its partitions without its answer."""
    shop = group()
    first, second = shop.join(membership("a"), 0), shop.join(membership("b"), 0)
    shop.take_up(first)
    identity = first.identity
    assert identity is not None
    second.seen = 9 * SECOND
    assert shop.deadline <= 10 * SECOND
    shop.expire(10 * SECOND)
    assert (first.standing, second.standing) == (Standing.EXPIRED, Standing.MEMBER)
    assert shop.duty(first) is Duty.LOSE
    assert not shop.holds(first, identity)
    assert numbers(shop.take_up(second), "orders") == [0, 1, 2, 3]


def test_the_same_instance_takes_over_without_a_rebalance() -> None:
    """A restarted instance gets its partitions at once; nobody else is disturbed, and the old seat is out."""
    shop = group()
    first, other = shop.join(membership("a"), 0), shop.join(membership("b"), 0)
    owned = shop.take_up(first)
    shop.take_up(other)
    identity = first.identity
    again = shop.join(membership("a"), 0)
    assert first.standing is Standing.REPLACED
    assert identity is not None
    assert not shop.holds(first, identity)
    assert shop.duty(again) is Duty.TAKE_UP
    assert shop.take_up(again) == owned
    assert shop.duty(other) is Duty.NOTHING


def test_a_restart_in_the_midst_of_a_rebalance_counts_as_an_answer() -> None:
    """The others do not wait for the answer of a member that was replaced."""
    shop = group()
    first = shop.join(membership("a"), 0)
    shop.take_up(first)
    newcomer = shop.join(membership("b"), 0)
    again = shop.join(membership("a"), 0)
    assert numbers(shop.take_up(again), "orders") == [0, 1]
    assert numbers(shop.take_up(newcomer), "orders") == [2, 3]


def test_an_identity_that_never_joined_holds_nothing() -> None:
    """A made-up identity is refused even while its seat waits for its first assignment."""
    shop = group()
    seat = shop.join(membership("a"), 0)
    assert seat.identity is None
    assert not shop.holds(seat, Identity("", -1))
    assert not shop.holds(seat, Identity(seat.member_id, 0))


def test_leaving_gives_everything_to_the_others() -> None:
    """Who leaves holds no right, and the rest is granted once the others have answered."""
    shop = group()
    first, second = shop.join(membership("a"), 0), shop.join(membership("b"), 0)
    shop.take_up(first)
    shop.take_up(second)
    shop.leave(first)
    assert first.identity is None
    shop.answer(second)
    assert numbers(shop.take_up(second), "orders") == [0, 1, 2, 3]
