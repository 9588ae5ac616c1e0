"""Which of the records at hand a task takes next: what was emitted first, and no cause after what it caused, whatever
the clocks of their writers say.
"""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo.events.codec import Codec
from choreo.events.envelope import HEADER, Ids, pack
from choreo.events.registry import MemoryRegistry
from choreo.record import Record, TopicPartition
from choreo.runtime.inputs import Inputs

ONE, TWO, THREE = (TopicPartition(name, 0) for name in ("one", "two", "three"))


class Polled:
    def position(self, partition: TopicPartition) -> int:
        return 99


def inputs(*partitions: TopicPartition) -> Inputs:
    return Inputs(partitions, Codec(MemoryRegistry(), (), "cluster"), Polled(), lambda record: True)


def said(where: TopicPartition, offset: int, name: str, at: int, cause: str | None = None) -> Record:
    ids = Ids(name.encode().ljust(16), "story", cause.encode().ljust(16) if cause else None, at=at)
    return Record(*where, offset, 0, b"k", b"v", ((HEADER, pack(ids)),))


def taken(found: Inputs) -> Iterator[tuple[str, int]]:
    while found.count:
        record = found.pop()
        yield record.topic, record.offset


def test_what_was_emitted_first_goes_first() -> None:
    found = inputs(ONE, TWO)
    for record in (said(ONE, 0, "a", 5), said(ONE, 1, "b", 7), said(TWO, 0, "c", 6), said(TWO, 1, "d", 9)):
        found.feed(record, 1)
    assert list(taken(found)) == [("one", 0), ("two", 0), ("one", 1), ("two", 1)]


@pytest.mark.parametrize("looked_at", [False, True], ids=["at once", "after the effect was to be next"])
def test_a_cause_behind_what_was_emitted_later_goes_first(looked_at: bool) -> None:
    """The writer of the first record has a clock that is ahead."""
    found = inputs(ONE, TWO)
    found.feed(said(ONE, 0, "ahead", 50), 1)
    found.feed(said(TWO, 0, "effect", 11, cause="cause"), 1)
    if looked_at:
        found._first()
    found.feed(said(ONE, 1, "cause", 10), 1)
    found.feed(said(ONE, 2, "last", 60), 1)
    assert list(taken(found)) == [("one", 0), ("one", 1), ("two", 0), ("one", 2)]


def test_a_cause_may_wait_for_a_cause() -> None:
    """What stands before the cause was caused by something that is hidden as well."""
    found = inputs(ONE, TWO, THREE)
    for record in (
        said(ONE, 0, "ahead", 50),
        said(ONE, 1, "first", 10),
        said(TWO, 0, "second", 51, cause="first"),
        said(TWO, 1, "third", 11),
        said(THREE, 0, "fourth", 12, cause="third"),
    ):
        found.feed(record, 1)
    assert list(taken(found)) == [("one", 0), ("one", 1), ("two", 0), ("two", 1), ("three", 0)]


def test_what_was_dropped_hides_nothing_any_more() -> None:
    """After a rewind the same records come again."""
    found = inputs(ONE, TWO)
    for _ in range(2):
        found.feed(said(ONE, 0, "ahead", 50), 1)
        found.feed(said(ONE, 1, "cause", 10), 1)
        found.feed(said(TWO, 0, "effect", 11, cause="cause"), 1)
        found.clear()
    found.feed(said(ONE, 0, "ahead", 50), 2)
    found.feed(said(TWO, 0, "effect", 11, cause="cause"), 2)
    assert list(taken(found)) == [("two", 0), ("one", 0)]


def test_what_goes_first_for_a_cause_waits_for_its_own() -> None:
    """The record that stands before a cause that is late has a cause itself, in time within a third line."""
    found = inputs(ONE, TWO, THREE)
    found.feed(said(ONE, 0, "effect", 5, cause="late"), 1)
    found.feed(said(TWO, 0, "ahead", 50, cause="in time"), 1)
    found.feed(said(TWO, 1, "late", 4), 1)
    found.feed(said(THREE, 0, "other", 10), 1)
    found.feed(said(THREE, 1, "in time", 40), 1)
    assert list(taken(found)) == [("three", 0), ("three", 1), ("two", 0), ("two", 1), ("one", 0)]


@given(st.randoms(use_true_random=False), st.integers(2, 3), st.integers(0, 40))
def test_no_effect_goes_ahead_of_its_cause_whatever_the_clocks_say(random: Random, count: int, apart: int) -> None:
    """Some writers, each with a clock of its own, up to `apart` steps ahead, on some partitions: each says something
    new, or what something on the log made it say. Read by somebody to whom all of it is at hand.
    """
    partitions = (ONE, TWO, THREE)[:count]
    ahead = [random.randint(0, apart) for _ in range(3)]
    lines: dict[TopicPartition, list[Record]] = {partition: [] for partition in partitions}
    causes: dict[tuple[str, int], tuple[str, int] | None] = {}
    log: list[tuple[str, int, int]] = []
    for number in range(30):
        where, clock = random.choice(partitions), number + random.choice(ahead)
        cause = random.choice(log) if log and random.random() < 0.7 else None
        at = clock if cause is None else max(clock, cause[2] + 1)
        name = f"{cause[0]}{cause[1]}" if cause else None
        offset = len(lines[where])
        lines[where].append(said(where, offset, f"{where.topic}{offset}", at, name))
        causes[where.topic, offset] = cause[:2] if cause else None
        log.append((where.topic, offset, at))
    found = inputs(*partitions)
    for partition in partitions:
        for record in lines[partition]:
            found.feed(record, 1)
    order = {place: number for number, place in enumerate(taken(found))}
    assert len(order) == len(log)
    assert all(cause is None or order[cause] < order[place] for place, cause in causes.items())
