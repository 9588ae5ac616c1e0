"""In step: events found on the log while they are published, and what is left to be looked for."""

import struct
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreo import Service
from choreo.events.codec import Codec
from choreo.events.envelope import HEADER, Ids, derive_id, pack
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, TopicPartition
from choreo.replay import in_step
from choreo.replay.emissions import Emissions, Place, Unlike
from choreo.replay.in_step import InStep, Runs
from choreo.runtime.outputs import Outputs
from choreo.runtime.plan import plan_of
from choreo.state.memory import MemoryBackends
from tests.runtime.test_thread import Reserve
from tests.runtime.town import Town

TOPIC = "town.orders"
PLACES = [TopicPartition(TOPIC, 0), TopicPartition(TOPIC, 1)]


def event(number: int, value: bytes = b"", at: int = 5) -> NewRecord:
    """One that the handler emitted upon the so-manieth cause."""
    cause = number.to_bytes(16, "big")
    ids = Ids(derive_id(cause, "inventory", "Reserve", 0), "story", cause, at=at)
    return NewRecord(TOPIC, b"k%d" % number, value or b"v%d" % number, ((HEADER, pack(ids)),))


def log_of(*partitions: list[NewRecord]) -> MemoryLog:
    log = MemoryLog()
    log.create_topics([TopicSpec(TOPIC, len(partitions))])
    log.append([one._replace(partition=number) for number, records in enumerate(partitions) for one in records])
    return log


def beside(log: MemoryLog, published: list[list[NewRecord]]) -> tuple[list[Unlike], MemoryBackends]:
    """What is not on the log as these tasks publish it, each checkpoint three events; and what was kept meanwhile."""
    service, scratch = Service("inventory", handlers=[Reserve]), MemoryBackends()
    town = Town(service)
    codec = Codec(town.registry, plan_of(service).classes, "")
    emissions = Emissions(service, codec, scratch, log)
    for partition, records in enumerate(published):
        for first in range(0, len(records), 3):
            emissions.published(Place(partition, first + 1), Outputs(list(records[first : first + 3]), codec))
    emissions.flush()
    return sorted(emissions.compare(), key=repr), scratch


def pieces(runs: Runs) -> list[tuple[int, int]]:
    """As they are kept, and read back."""
    assert Runs(runs.packed()).packed() == runs.packed()
    return list(struct.iter_unpack(">qq", runs.packed()))


def met(log: MemoryLog, published: list[NewRecord]) -> tuple[list[bool], list[tuple[int, int]]]:
    found = InStep(log, PLACES[0], 0)
    return [found.meets(dict(one.headers)[HEADER][2:18], one) for one in published], pieces(found.close())


def test_what_is_published_in_the_order_of_the_log_is_found_in_one_piece() -> None:
    """Nothing of it is left to be looked for."""
    events = [event(n) for n in range(9)]
    assert met(log_of(events), events) == ([True] * 9, [(0, 9)])


def test_what_others_published_between_is_passed_over() -> None:
    """A piece ends before it, and the next begins behind it."""
    mine = [event(n) for n in range(6)]
    theirs = [event(n) for n in (90, 91, 92)]
    found, runs = met(log_of([theirs[0], *mine[:2], *theirs[1:], *mine[2:]]), mine)
    assert (found, runs) == ([True] * 6, [(1, 3), (5, 9)])


def test_what_is_not_there_holds_up_nothing() -> None:
    """What the log lacks is not found; what comes behind it is."""
    events = [event(n) for n in range(6)]
    assert met(log_of([*events[:2], *events[3:]]), events) == (
        [True, True, False, True, True, True],
        [(0, 5)],
    )


def test_what_is_otherwise_is_not_found() -> None:
    """Neither another value nor another header; it lies in no piece."""
    for other in (event(1, value=b"other"), event(1, at=6)):
        found, runs = met(log_of([event(0), other, event(2)]), [event(n) for n in range(3)])
        assert (found, runs) == ([True, False, True], [(0, 1), (2, 3)])


def test_the_second_of_two_lies_in_no_piece() -> None:
    """Whatever was read ahead when the first of them was looked for."""
    events = [event(n) for n in range(4)]
    assert met(log_of([events[0], events[0], *events[1:]]), events)[1] == [(0, 1), (2, 5)]
    found, runs = met(log_of([events[1], events[1], *events[2:]]), events)
    assert (found, runs) == ([False, True, True, True], [(0, 1), (2, 4)])


@given(st.randoms(use_true_random=False), st.sampled_from([1, 3, 2_000]), st.sampled_from([2, 10_000]))
def test_that_it_is_found_at_once_makes_no_difference(random: Random, most_ahead: int, most_runs: int) -> None:
    """Two tasks, a log on which events are lost, changed, doubled, moved, and others lie between: told of is what would
    be told of if everything were looked for. Only of one that stands twice, once otherwise, another copy is the first.
    """
    published = [[event(100 * task + n) for n in range(12)] for task in range(2)]
    partitions, done = [list(records) for records in published], set[str]()
    for records in partitions:
        for _ in range(random.randint(0, 4)):
            at, to = random.randrange(len(records)), random.randrange(len(records))
            what = random.choice(["lose", "change", "date", "double", "move", "other"])
            done.add(what)
            number = int((records[at].key or b"")[1:])
            if what == "lose":
                del records[at]
            elif what == "change":
                records[at] = event(number, value=b"changed")
            elif what == "date":
                records[at] = event(number, at=7)
            elif what == "double":
                records.insert(to, records[at])
            elif what == "move":
                records.insert(to, records.pop(at))
            else:
                records.insert(to, event(900 + to))
    if random.random() < 0.3:
        partitions.reverse()
    log = log_of(*partitions)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(in_step, "MOST_AHEAD", most_ahead)
        patched.setattr(in_step, "MOST_RUNS", most_runs)
        found, _ = beside(log, published)
        patched.setattr(in_step, "MOST_AHEAD", 0)
        sought, _ = beside(log, published)
    assert {one.event_id for one in found} == {one.event_id for one in sought}
    if "double" not in done:
        assert found == sought
