"""Timers: what DueIndex promises, against a plain dict, over both what is written and what is not."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from choreo.clock import NEVER
from choreo.errors import StateError
from choreo.state.backend import Backend
from choreo.state.memory import MemoryBackends
from choreo.state.timers import INDEX_PREFIX, TIMER_PREFIX, Changes, DueIndex, index_changes, timer_entry

TIMERS = st.binary(min_size=1, max_size=2)
DUES = st.integers(-5, 60)


def new_backend() -> Backend:
    return MemoryBackends().open("t-0")


def index_of(backend: Backend) -> list[bytes]:
    return [key for key, _ in backend.scan(INDEX_PREFIX)]


class Timers(RuleBasedStateMachine):
    """DueIndex with a window of three against a dict; `written` is what the backend would say."""

    def __init__(self) -> None:
        super().__init__()
        self.backend = new_backend()
        self.due = DueIndex(self.backend, window=3)
        self.model: dict[bytes, int] = {}
        self.written: dict[bytes, int] = {}
        self.taken: tuple[Changes, dict[bytes, int]] | None = None

    @rule(timer=TIMERS, due=DUES)
    def set(self, timer: bytes, due: int) -> None:
        self.due.set(timer, due)
        self.model[timer] = due

    @rule(timers=st.lists(TIMERS, unique=True, max_size=12), due=DUES)
    def set_many(self, timers: list[bytes], due: int) -> None:
        for number, timer in enumerate(timers):
            self.set(timer, due + number)

    @rule(timer=TIMERS)
    def cancel(self, timer: bytes) -> None:
        self.due.cancel(timer)
        self.model.pop(timer, None)

    @rule(now=DUES)
    def pop(self, now: int) -> None:
        expected = min(((due, timer) for timer, due in self.model.items() if due <= now), default=None)
        assert self.due.pop(now) == expected
        if expected:
            del self.model[expected[1]]

    @rule()
    def take(self) -> None:
        self.write()
        entries, index = self.due.take_changes()
        assert all(key.startswith(TIMER_PREFIX) for key in entries)
        self.taken = ({**entries, **index}, dict(self.model))

    @rule()
    def write(self) -> None:
        if self.taken:
            self.backend.write(self.taken[0])
            self.written = self.taken[1]
            self.taken = None

    @rule()
    def forget(self) -> None:
        self.due.forget()
        self.model, self.taken = dict(self.written), None

    @rule()
    def reopen(self) -> None:
        self.due = DueIndex(self.backend, window=3)
        self.model, self.taken = dict(self.written), None

    @rule()
    def rebuild(self) -> None:
        before = index_of(self.backend)
        self.due.rebuild()
        self.model, self.taken = dict(self.written), None
        assert index_of(self.backend) == before

    @invariant()
    def next_is_the_earliest(self) -> None:
        assert self.due.next_due() == min(self.model.values(), default=NEVER)

    @invariant()
    def backend_holds_what_was_written(self) -> None:
        stored = dict(self.backend.scan(TIMER_PREFIX))
        assert stored == dict(timer_entry(timer, due) for timer, due in self.written.items())
        assert len(index_of(self.backend)) == len(self.written)

    @rule(timer=TIMERS)
    def ask(self, timer: bytes) -> None:
        assert self.due.due_of(timer) == self.model.get(timer)


TestTimers = Timers.TestCase
TestTimers.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def test_timers_come_in_order_of_due_time_then_key() -> None:
    """Equal due times come in the order of the timers' keys, early ones of another type first."""
    due = DueIndex(new_backend())
    for timer, at in ((b"b", 5), (b"a", 5), (b"z", -1), (b"c", 7)):
        due.set(timer, at)
    assert [due.pop(6) for _ in range(4)] == [(-1, b"z"), (5, b"a"), (5, b"b"), None]
    assert due.next_due() == 7


def test_a_timer_set_and_cancelled_in_between_leaves_no_trace() -> None:
    """What was set and cancelled since the last take is written nowhere."""
    due = DueIndex(new_backend())
    due.set(b"a", 5)
    due.cancel(b"a")
    assert due.take_changes() == ({}, {})


def test_memory_stays_bounded_by_the_window() -> None:
    """Fifty thousand timers leave a few windows in memory, and all of them come out in order."""
    backend = new_backend()
    due, count = DueIndex(backend, window=64), 50_000
    for number in range(count):
        due.set(b"%d" % number, number * 7919 % count)
        if number % 500 == 499:
            entries, index = due.take_changes()
            backend.write(entries | index)
            assert len(due._live) <= 2 * 64 + 1000
            assert len(due._heap) <= 2 * len(due._live) + 64
    seen = []
    while (popped := due.pop(count)) is not None:
        seen.append(popped[0])
        assert len(due._live) <= 2 * 64 + 1000
    assert seen == list(range(count))


def test_setting_one_timer_again_and_again_does_not_grow_the_heap() -> None:
    """A timer that is moved ten thousand times takes the room of one."""
    due = DueIndex(new_backend())
    for number in range(10_000):
        due.set(b"a", number)
    assert len(due._heap) <= 70
    assert due.pop(10_000) == (9_999, b"a")


def test_index_changes_keep_the_index_in_step() -> None:
    """Entries written with `index_changes` need no rebuild: moved, new and deleted timers are found."""
    backend = new_backend()
    first: Changes = dict([timer_entry(b"a", 1), timer_entry(b"b", 2), timer_entry(b"c", 3)])
    backend.write({**first, **index_changes(backend, first)})
    second: Changes = {TIMER_PREFIX + b"a": None, b"\x01other\x00": b"x"} | dict([timer_entry(b"b", 9)])
    backend.write({**second, **index_changes(backend, second)})
    due = DueIndex(backend)
    assert [due.pop(10) for _ in range(3)] == [(3, b"c"), (9, b"b"), None]


def test_rebuild_mends_an_index_that_is_wrong() -> None:
    """Index entries without a timer go, timers without an index entry get one."""
    backend = new_backend()
    backend.write({INDEX_PREFIX + bytes(8) + b"ghost": b"\x01", **dict([timer_entry(b"a", 4)])})
    due = DueIndex(backend)
    due.rebuild()
    assert due.pop(100) == (4, b"a")
    assert due.pop(100) is None


def test_a_timer_of_an_unknown_format_says_what_to_do() -> None:
    """A timer written by a newer release is a StateError with a hint, not a wrong time."""
    backend = new_backend()
    backend.write({TIMER_PREFIX + b"a": b"\x02" + bytes(8)})
    with pytest.raises(StateError, match="newer release"):
        DueIndex(backend).due_of(b"a")
