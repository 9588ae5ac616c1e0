"""Foresight: what the live run did later with a timer or a call, as journal and changelog tell."""

import pytest

from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord
from choreo.replay.foresight import Foresight
from choreo.runtime.journal import Answered, Fired, Page, Reading, Step
from choreo.runtime.parking import PARKED, RETRY, Waiting
from choreo.state.memory import MemoryBackends
from choreo.state.timers import timer_entry

BELL, HORN = b"bell", b"horn"


@pytest.fixture
def log() -> MemoryLog:
    """Three checkpoints: the bell rings in the second and, for another time, in the third, where a call is answered."""
    found = MemoryLog()
    found.create_topics([TopicSpec("choreo.x.journal", 1), TopicSpec("choreo.x.changelog", 1)])
    answered = Answered(b"k", "price", 2, False, b"7")
    pages: list[list[Step]] = [[Reading(1)], [Fired(BELL, 5)], [Fired(BELL, 9), answered]]
    for number, steps in enumerate(pages, 1):
        found.append(Page("build", (), 0, number, (), steps).records("choreo.x.journal", 0))
    key, value = timer_entry(HORN, 30)
    parked = PARKED.encode((b"line", 0)), Waiting(until=40).dump()
    found.append([NewRecord("choreo.x.changelog", *entry, (), 0) for entry in ((key, value), (key, None), parked)])
    return found


@pytest.fixture
def foresight(log: MemoryLog) -> Foresight:
    return Foresight(log, "choreo.x", 0, MemoryBackends().open("scratch"))


def test_a_timer_is_known_to_fire_until_its_last_turn(foresight: Foresight) -> None:
    """With the same due time, in this checkpoint or behind it."""
    assert [foresight.fires(BELL, 5, checkpoint) for checkpoint in (1, 2, 3)] == [True, True, False]
    assert [foresight.fires(BELL, 9, checkpoint) for checkpoint in (1, 2, 3)] == [True, True, True]
    assert not foresight.fires(BELL, 6, 1)
    assert not foresight.fires(HORN, 30, 1)


def test_a_call_is_known_to_be_answered(foresight: Foresight) -> None:
    """That one of that input's: by key, name and which use of the name; until its answer came."""
    assert [foresight.answers(b"k", "price", 2, checkpoint) for checkpoint in (1, 3, 4)] == [True, True, False]
    assert not foresight.answers(b"k", "price", 1, 1)
    assert not foresight.answers(b"j", "price", 2, 1)
    assert not foresight.answers(b"k", "card", 2, 1)


def test_what_a_checkpoint_left_due_is_known(foresight: Foresight) -> None:
    """A timer, and a parked line, with the time for which it was; also where it was taken back later."""
    assert foresight.had(HORN, 30)
    assert foresight.had(RETRY.encode(b"line"), 40)
    assert not foresight.had(HORN, 31)
    assert not foresight.had(BELL, 5)
