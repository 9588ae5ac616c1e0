"""What workers tell of themselves: a little, at the right places, with the ids, and nothing about an event that went
well.
"""

import logging
from typing import ClassVar

import pytest

from choreo import Context, Event, Handler, Retry, Service, Store
from choreo.events.envelope import Ids
from choreo.record import NewRecord, Position, TopicPartition
from choreo.replay.verify import verify
from choreo.runtime.observer import (
    Assigned,
    AttemptFailed,
    Committed,
    DeadLettered,
    IntakeClosed,
    Observers,
    Refused,
    Released,
    Restored,
    WorkerEnded,
    WorkerStarted,
)
from tests.runtime.town import NOON
from tests.runtime.watched import Keeping, WatchedTown

SECOND = 1_000_000


class ParcelEvent(Event, namespace="post", topic="post.parcels", key="parcel", abstract=True):
    parcel: str


class Posted(ParcelEvent): ...


class Weighed(ParcelEvent): ...


class Weigh(Handler[Posted]):
    weights = Store[str, int](default=0)
    retry = Retry(attempts=3, wait_s=10)
    broken: ClassVar[set[str]] = set()

    def handle(self, event: Posted, ctx: Context) -> Weighed:
        if event.parcel in self.broken:
            raise OSError("the scale is away")
        self.weights[event.parcel] += 1
        return Weighed(parcel=event.parcel)


class Stopping(Weigh):
    retry = Retry(attempts=1, then="stop")


@pytest.fixture
def seen() -> Keeping:
    Weigh.broken.clear()
    return Keeping()


@pytest.fixture
def town(seen: Keeping) -> WatchedTown:
    return WatchedTown(Service("post", handlers=[Weigh]), observer=seen)


def test_a_checkpoint_is_told_with_its_counts(town: WatchedTown, seen: Keeping) -> None:
    """One value a checkpoint: service, tasks, inputs, outputs, entries, and why it was made."""
    before, logged = len(seen.of(Committed)), len(town.records("choreo.post.changelog"))
    town.tell(*[Posted(parcel=f"p{n}") for n in range(3)])
    made = seen.of(Committed)[before]
    assert (made.service, made.tasks, made.inputs, made.outputs) == ("post", (0,), 3, 3)
    assert made.entries >= 3  # the weights, and the runtime's own
    assert made.entries == len(town.records("choreo.post.changelog")) - logged
    assert (made.reason, made.at) == ("dry", NOON)


def test_events_that_go_well_are_not_told_one_by_one(town: WatchedTown, seen: Keeping) -> None:
    """A hundred times the events make no more to tell: the counts grow, not the calls."""

    town.time.settle()

    def told(count: int) -> list[type]:
        before = len(seen.happenings)
        town.tell(*[Posted(parcel=f"p{n}") for n in range(count)])
        return [type(happening) for happening in seen.happenings[before:]]

    assert told(1) == told(100)


def test_a_failure_is_told_with_attempt_wait_and_ids(town: WatchedTown, seen: Keeping) -> None:
    """Each attempt is told: at once again, parked, the last; then the dead letter, all with ids and place."""
    Weigh.broken.add("p1")
    town.tell(Posted(parcel="p1"), ids=Ids(b"e" * 16, "story", b"c" * 16, at=NOON))
    town.wait(10)
    failed, (letter,) = seen.of(AttemptFailed), seen.of(DeadLettered)
    assert [(one.attempt, one.wait_us, one.at) for one in failed] == [
        (1, 0, NOON),
        (2, 10 * SECOND, NOON),
        (3, None, NOON + 10 * SECOND),
    ]
    assert (letter.door, letter.attempts, str(letter.error)) == ("handle", 3, "the scale is away")
    for subject in [letter.subject, *(one.subject for one in failed)]:
        assert subject.ids is not None
        assert (subject.ids.event_id, subject.ids.causation_id) == (b"e" * 16, b"c" * 16)
        assert (subject.service, subject.handler, subject.event) == ("post", "Weigh", "post.Posted")
        assert subject.place == Position("post.parcels", 0, 0)


def test_what_can_not_be_read_is_told_by_its_place(town: WatchedTown, seen: Keeping) -> None:
    """A dead letter of the decode door has no ids: its topic, partition and offset say which record it was."""
    town.log.append([NewRecord("post.parcels", b"k", b"\xffgarbage", (), 0)])
    town.time.settle()
    (letter,) = seen.of(DeadLettered)
    assert (letter.door, letter.subject.place, letter.subject.ids) == ("decode", Position("post.parcels", 0, 0), None)


def test_a_task_that_stops_says_why(seen: Keeping) -> None:
    """The policy `stop` closes the intake of its task, once, with the cause."""
    town = WatchedTown(Service("post", handlers=[Stopping]), observer=seen)
    Weigh.broken.add("p1")
    town.tell(Posted(parcel="p1"), Posted(parcel="p2"))
    town.tell(Posted(parcel="p3"))
    (closed,) = seen.of(IntakeClosed)
    assert (closed.service, closed.partition) == ("post", 0)
    assert "the scale is away" in closed.why


def test_a_start_and_an_end_are_told_in_order(town: WatchedTown, seen: Keeping) -> None:
    """Joined, assigned, restored, after a crash from the changelog; then released and ended."""
    town.tell(Posted(parcel="p1"))
    begun = len(seen.happenings)
    town.lose_stores()
    town.time.settle()
    town.workers[0].stop()
    after = [h for h in seen.happenings[begun:] if not isinstance(h, Committed)]
    kinds = [WorkerEnded, WorkerStarted, Assigned, Restored, Released, WorkerEnded]
    assert [kind for kind in map(type, after) if kind in kinds][-5:] == kinds[1:]
    assert seen.of(Assigned)[-1].partitions == (TopicPartition("post.parcels", 0),)
    assert seen.of(Restored)[-1].records > 0


def test_a_refused_checkpoint_is_told(town: WatchedTown, seen: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever counts checkpoints hears of those that came to nothing."""
    town.log.writer(town.workers[0]._committer._instance)  # another process takes over the transactional id
    town.tell(Posted(parcel="p1"))
    assert [(one.service, type(one.error).__name__) for one in seen.of(Refused)] == [("post", "FencedError")]


def test_a_replay_tells_nobody(town: WatchedTown, caplog: pytest.LogCaptureFixture) -> None:
    """What a rebuild does again happened once: neither an observer nor the log hears of it."""
    Weigh.broken.add("p1")
    town.tell(Posted(parcel="p1"), Posted(parcel="p2"))
    town.wait(10)
    with caplog.at_level(logging.DEBUG, "choreo.runtime"):
        tasks = town.workers[0].tasks
        verdict = verify(town.services[0], town.log, town.registry, lambda n: tasks[n].task.entries.backend)
    assert verdict.clean
    assert caplog.records == []


def test_several_observers_hear_the_same(seen: Keeping) -> None:
    """`Observers` passes everything on, in order."""
    other = Keeping()
    town = WatchedTown(Service("post", handlers=[Weigh]), observer=Observers([seen, other]))
    town.tell(Posted(parcel="p1"))
    assert seen.happenings == other.happenings != []
