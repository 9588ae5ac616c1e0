"""The three doors: what can't be decoded, handled or published is kept with its cause, and nothing else waits for
it.
"""

from typing import ClassVar
from uuid import UUID

import pytest

from choreo import Context, Event, Handler, Retry, Service, Store, Value
from choreo.clock import NEVER
from choreo.events.avro import schema_of
from choreo.record import NewRecord, Record
from choreo.resilience.dead_letter import DeadLetter, read
from choreo.service.client import fresh_ids
from tests.runtime.town import Town


class CaseEvent(Event, namespace="doors", topic="doors.cases", key="case_id", abstract=True):
    case_id: str


class Opened(CaseEvent):
    size: int = 0
    wrong_key: str = ""


class Closed(CaseEvent):
    text: str = ""


class Reverted(CaseEvent):
    pass


class RevertRequested(CaseEvent):
    pass


class Note(Value):
    text: str


class Work(Handler[Opened]):
    notes = Store[str, Note]()
    retry = Retry(attempts=3, wait_s=10)
    broken: ClassVar[set[str]] = set()

    def handle(self, event: Opened, ctx: Context) -> Closed | None:
        if event.case_id in self.broken:
            raise OSError("the disk of somebody else is full")
        if event.wrong_key:
            self.notes[event.wrong_key] = Note(text="lost")
        self.notes[event.case_id] = Note(text="x" * event.size)
        return Closed(case_id=event.case_id, text="y" * (event.size // 2))

    def compensate(self, request: RevertRequested, ctx: Context) -> Reverted:
        self.notes.pop(request.case_id, None)
        return Reverted(case_id=request.case_id)


class Hopeless(CaseEvent): ...


class Fail(Handler[Hopeless]):
    retry = Retry(attempts=3, wait_s=10)

    def handle(self, event: Hopeless, ctx: Context) -> Closed:
        raise OSError("never")


class Misbehave(Handler[Opened]):
    def handle(self, event: Opened, ctx: Context) -> Closed:
        return Reverted(case_id=event.case_id)  # type: ignore[return-value]  # planted


ALL = (Opened, Closed, Reverted, RevertRequested)


@pytest.fixture
def town() -> Town:
    Work.broken.clear()
    return Town(Service("doors", handlers=[Work]))


def letters(town: Town) -> list[tuple[DeadLetter, Record]]:
    return [(read(record), record) for record in town.records("choreo.doors.dead-letters")]


def closed(town: Town) -> list[str]:
    return [event.case_id for event in town.events("doors.cases", ALL) if isinstance(event, Closed)]


def framed(town: Town, body: bytes, *, kind: type[Event] = Opened) -> bytes:
    schema_id = town.registry.register(kind.contract.full_name, schema_of(kind))
    return b"\0" + schema_id.to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("garbage", b"\xff\xfe garbage"),
        ("empty", b""),
        ("nothing", None),
        ("unknown schema id", b"\0\x7f\xff\xff\xff\x02a"),
    ],
)
def test_an_undecodable_record_is_a_dead_letter(town: Town, name: str, value: bytes | None) -> None:
    """Its bytes stay as they are, with cause and origin; what follows it is handled."""
    town.log.append([NewRecord("doors.cases", b"k", value, [("mine", b"\0")], 0)])
    town.tell(Opened(case_id="after"))
    ((letter, record),) = letters(town)
    assert (letter.door, letter.origin.offset, record.key, record.value) == ("decode", 0, b"k", value)
    assert ("mine", b"\0") in list(record.headers)
    assert closed(town) == ["after"]


def test_truncated_avro_and_a_wrong_key_are_dead_letters(town: Town) -> None:
    """A body that ends too early and a key that is not the event's own are told apart by their text."""
    town.log.append([NewRecord("doors.cases", b"k", framed(town, b"\x08ab"), (), 0)])
    town.log.append([NewRecord("doors.cases", b"", framed(town, b"\x02a\0\0"), (), 0)])
    town.time.settle()
    (truncated, _), (keyless, _) = letters(town)
    assert truncated.door == keyless.door == "decode"
    assert "the key of its Opened" in keyless.error


def test_nothing_is_emitted_behind_the_end_of_time(town: Town) -> None:
    """An input that says it was emitted at the last moment there is becomes a dead letter: no answer can be later. It
    fails within its handling: whoever reads what a replay emits meets no error.
    """
    town.tell(Opened(case_id="last"), ids=fresh_ids(NEVER))
    town.tell(Opened(case_id="after"))
    ((letter, record),) = letters(town)
    assert (letter.door, letter.handler, record.key) == ("publish", "Work", b"last")
    assert "these ids can't be written" in letter.error
    assert closed(town) == ["after"]


def test_a_failing_event_is_tried_again_and_succeeds(town: Town) -> None:
    """Two attempts in place, then the key waits its ten seconds and goes on in order."""
    Work.broken.add("c1")
    town.tell(Opened(case_id="c1"), Opened(case_id="c1", size=3), Opened(case_id="c2"))
    assert closed(town) == ["c2"]
    Work.broken.clear()
    town.crash()
    town.wait(9)
    assert closed(town) == ["c2"]
    town.wait(2)
    assert closed(town) == ["c2", "c1", "c1"]
    assert letters(town) == []


def test_after_the_last_attempt_the_rest_of_the_key_stays_parked(town: Town) -> None:
    """The dead letter names handler and attempts; later events of the key wait for an operator, also over a restart."""
    Work.broken.add("c1")
    town.tell(Opened(case_id="c1"))
    town.wait(60)
    Work.broken.clear()
    town.tell(Opened(case_id="c1"))
    town.crash()
    town.wait(600)
    ((letter, _),) = letters(town)
    assert (letter.door, letter.handler, letter.attempts) == ("handle", "Work", 3)
    assert closed(town) == []
    assert town.workers[0].tasks[0].task.parked == 2


def test_an_undo_request_overtakes_the_event_that_it_undoes(town: Town) -> None:
    """A saga does not wait behind its own failure: the parked event is withdrawn, the undo answers, the rest goes
    on.
    """
    Work.broken.add("c1")
    town.tell(Opened(case_id="c1"))
    Work.broken.clear()
    town.tell(RevertRequested(case_id="c1"))
    kinds = [type(event).__name__ for event in town.events("doors.cases", ALL)]
    assert kinds == ["Opened", "RevertRequested", "Reverted"]
    assert town.workers[0].tasks[0].task.parked == 0


def test_an_undo_request_withdraws_every_copy_of_what_it_undoes(town: Town) -> None:
    """A request that was made again waits behind itself; undone, no copy of it is tried any more."""
    Work.broken.add("c1")
    town.tell(Opened(case_id="c1"), Opened(case_id="c1"), RevertRequested(case_id="c1"))
    town.wait(600)
    assert [type(event).__name__ for event in town.events("doors.cases", ALL)][3:] == ["Reverted"]
    assert (letters(town), town.workers[0].tasks[0].task.parked) == ([], 0)


@pytest.mark.parametrize("waited", [60, 0])
def test_an_undo_request_passes_what_was_given_up(waited: float) -> None:
    """What was done before a step that nobody can do is undone nevertheless, whether it was asked before or after it
    was given up; what was given up still holds the other events of its key back, also over a restart.
    """
    Work.broken.clear()
    town = Town(Service("doors", handlers=[Work, Fail]))
    town.tell(Opened(case_id="c1"), Hopeless(case_id="c1"))
    town.wait(waited)
    town.tell(RevertRequested(case_id="c1"), Opened(case_id="c1"))
    town.wait(600)
    town.crash()
    town.wait(600)
    kinds = [type(event).__name__ for event in town.events("doors.cases", (*ALL, Hopeless))]
    assert [kind for kind in kinds if kind in ("Closed", "Reverted")] == ["Closed", "Reverted"]
    assert [letter.handler for letter, _ in letters(town)] == ["Fail"]
    assert town.workers[0].tasks[0].task.parked == 2


def test_another_story_passes_nothing(town: Town) -> None:
    """An undo request of another story waits its turn behind what was given up."""
    Work.broken.add("c1")
    town.tell(Opened(case_id="c1"))
    town.wait(60)
    town.tell(RevertRequested(case_id="c1"), ids=fresh_ids(town.clock.now(), "another"))
    town.wait(600)
    assert town.workers[0].tasks[0].task.parked == 2


def test_an_undeclared_emission_is_refused() -> None:
    """Emitting what the annotation does not name is an error that says what to write."""
    town = Town(Service("doors", handlers=[Misbehave]))
    town.tell(Opened(case_id="c1"))
    ((letter, _),) = letters(town)
    assert "returned Reverted, which its annotation does not name" in letter.error


def test_a_store_key_of_another_partition_is_refused(town: Town) -> None:
    """A store key that does not begin with the key of the event is an error, in every partition count the same."""
    town.tell(Opened(case_id="c1", wrong_key="c2"), Opened(case_id="c3"))
    ((letter, _),) = letters(town)
    assert letter.cause == "StoreKeyError"
    assert "'c2'" in letter.error
    assert closed(town) == ["c3"]


def test_an_oversized_event_leaves_by_the_publish_door(town: Town) -> None:
    """What is too large for a record is a dead letter of its cause, found before anything is written."""
    town.tell(Opened(case_id="c1", size=900_000 * 2 + 300_000), Opened(case_id="c2"))
    ((letter, _),) = letters(town)
    assert letter.door == "publish"
    assert closed(town) == ["c2"]


def test_an_oversized_entry_is_found_among_others(town: Town) -> None:
    """A store value that the changelog does not take fails the checkpoint; its event alone becomes a dead letter."""
    events = [Opened(case_id=f"c{n}", size=1_200_000 if n == 3 else 1) for n in range(6)]
    town.tell(*events)
    ((letter, record),) = letters(town)
    assert letter.door == "publish"
    assert record.key == b"c3"
    assert sorted(closed(town)) == ["c0", "c1", "c2", "c4", "c5"]


def test_ids_are_derived_from_the_cause() -> None:
    """An emission's id is a UUID made from its cause's."""
    town = Town(Service("doors", handlers=[Work]))
    town.tell(Opened(case_id="c1"))
    first, second = town.ids("doors.cases")
    assert UUID(bytes=second.event_id).version == 8
    assert second.causation_id == first.event_id
