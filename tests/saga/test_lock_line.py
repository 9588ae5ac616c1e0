"""The line before a lock: never two holders, grants in the order of the wishes, whatever arrives twice."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from choreo.saga.lock_line import MOST_WAITING, Claim, Line, Release, Ruling, Told, ask, expire, release

NAMES = ("a", "b", "c", "d")


def claim(key: str, name: int, expires_us: int | None = None) -> Claim:
    return Claim(saga="order", key=key, name=str(name), expires_us=expires_us)


def told(ruling: Ruling) -> list[str]:
    return [f"{what} {one.key}" for what, one in ruling.told]


class Lock:
    """One lock through a story; a claim is called by the time at which it is made."""

    def __init__(self) -> None:
        self.line = Line()
        self.told: list[str] = []

    def ask(self, name: str, at: int, expires_us: int | None = None) -> "Lock":
        return self._took(ask(self.line, claim(name, at, expires_us), at))

    def release(self, name: str, at: int, claimed: int | None = None) -> "Lock":
        return self._took(release(self.line, Release("order", name, None if claimed is None else str(claimed)), at))

    def expire(self, now: int) -> "Lock":
        return self._took(expire(self.line, now))

    def then(self, *expected: str) -> "Lock":
        found, self.told = self.told, []
        assert found == list(expected)
        return self

    def _took(self, ruling: Ruling) -> "Lock":
        self.line = ruling.line or Line()
        self.told += told(ruling)
        return self


def test_the_next_in_line_gets_a_released_lock() -> None:
    """The first gets it at once, the others in the order of their wishes."""
    lock = Lock().ask("a", 1).then("granted a").ask("b", 2).ask("c", 3).then()
    lock.release("a", 4).then("granted b").release("b", 5).then("granted c").release("c", 6).then()
    assert lock.line == Line()


def test_who_asks_again_keeps_lock_and_place() -> None:
    """The holder is told again that it holds; who waits neither loses its place nor gets a second one."""
    lock = Lock().ask("a", 1).ask("b", 2).ask("c", 3).then("granted a")
    lock.ask("a", 4).then("granted a").ask("b", 5).then()
    lock.release("a", 6).then("granted b").release("b", 7).then("granted c").release("c", 8).then()


def test_a_wish_that_is_withdrawn_is_never_granted() -> None:
    """Who ends while it waits leaves the line."""
    Lock().ask("a", 1).ask("b", 2).ask("c", 3).then("granted a").release("b", 4).release("a", 5).then("granted c")


def test_a_lock_expires_at_its_time_and_not_before() -> None:
    """Holder and next in line are told, in this order; the next one's time begins anew."""
    lock = Lock().ask("a", 10, 5).ask("b", 11, 5).then("granted a").expire(14).then()
    lock.expire(15).then("expired a", "granted b").expire(19).then().expire(20).then("expired b")
    assert lock.line == Line()


def test_a_lock_without_a_limit_does_not_expire() -> None:
    """It is held until it is released."""
    Lock().ask("a", 1).then("granted a").expire(10**15).then()


def test_an_old_release_frees_no_newer_lock() -> None:
    """A release that arrives twice, the second time after its saga claimed the lock again, changes nothing."""
    lock = Lock().ask("a", 1).release("a", 5, 1).ask("a", 6).then("granted a", "granted a")
    lock.ask("b", 7).release("a", 8, 1).then().release("a", 9, 6).then("granted b")
    lock.ask("a", 10).release("a", 11, 6).release("b", 12, 7).then("granted a")


def test_a_release_of_what_nobody_holds_changes_nothing() -> None:
    """Neither a free lock nor that of another saga is released."""
    lock = Lock().release("a", 1).then().ask("a", 2).then("granted a").release("b", 3).then()
    assert lock.line.holder == claim("a", 2)


def test_a_line_has_an_end() -> None:
    """Behind so many others nobody waits: the wish is refused, and the line is as before."""
    lock = Lock().ask("holder", 0)
    for number in range(MOST_WAITING):
        lock.ask(f"n{number}", 1)
    before = lock.line
    ruling = ask(before, claim("late", 2), 2)
    assert ruling == Ruling(before, (Told("refused", claim("late", 2)),))


class Said(NamedTuple):
    """What is said of a lock: `ask` under a new name, `release` of what was claimed last, or of all, or `expire`."""

    what: str
    key: str
    name: int | None


NEW = st.tuples(st.sampled_from(["ask", "ask", "release", "release all", "expire"]), st.sampled_from(NAMES))
STORIES = st.lists(NEW | st.integers(0, 50), max_size=60)
"""A number says once more what was said before, as it was said then."""


def story(moves: list[tuple[str, str] | int]) -> list[Said]:
    said: list[Said] = []
    last: dict[str, int] = {}
    for number, move in enumerate(moves, start=1):
        if isinstance(move, int):
            said += [said[move % len(said)]] if said else []
            continue
        what, key = move
        if what == "ask":
            last[key] = number
        said.append(Said(what.removesuffix(" all"), key, None if what == "release all" else last.get(key, 0)))
    return said


@given(STORIES, st.none() | st.integers(1, 9))
def test_never_two_holders_and_first_come_first_served(
    moves: list[tuple[str, str] | int], expires_us: int | None
) -> None:
    """Through any story in which anything may be said twice, the lock is what a queue of claims is: its first holds it,
    a new one goes to its end, and a saga is granted the lock when its claim becomes the first.
    """
    line, queue, until = Line(), list[tuple[str, int]](), 0
    for now, (what, key, name) in enumerate(story(moves), start=1):
        first, expected = queue[:1], []
        if what == "ask":
            ruling = ask(line, claim(key, name or 0, expires_us), now)
            if first and first[0][0] == key:
                expected = [f"granted {key}"]
            elif key not in [one for one, _ in queue]:
                queue.append((key, name or 0))
        elif what == "release":
            ruling = release(line, Release("order", key, None if name is None else str(name)), now)
            queue = [one for one in queue if one[0] != key or name not in (None, one[1])]
        else:
            ruling = expire(line, now)
            if first and expires_us is not None and until <= now:
                expected = [f"expired {queue.pop(0)[0]}"]
        if queue and queue[:1] != first:
            expected, until = [*expected, f"granted {queue[0][0]}"], now + (expires_us or 0)
        assert told(ruling) == expected
        line = ruling.line or Line()
        assert [(one.key, int(one.name)) for one in (line.holder, *line.waiting) if one] == queue
