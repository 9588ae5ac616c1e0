"""What can't be written: found, put aside, and never the end of what stands around it."""

import pytest

from choreo.clock import SystemClock
from choreo.errors import DecodeError, NotAuthorizedError, PublishError, RecordTooLargeError, TransactionAbortedError
from choreo.log.interface import MAX_RECORD_BYTES
from choreo.log.local import GroupOffsets, Routed
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, Position, Record
from choreo.replay.verify import verify
from choreo.resilience.dead_letter import HEADER, MAX_ERROR_CHARS, DeadLetter, describe, read, whole
from tests.badinput.post import DEAD, IN, OUT, Parcel, framed, letters, post, sorted_parcels
from tests.runtime.town import Town

LARGEST = MAX_RECORD_BYTES - 1


def test_the_largest_garbage_is_a_dead_letter_in_parts() -> None:
    """Garbage that fills a record to the brim leaves no room for its cause: it is kept in parts, whole, headers too."""
    town = Town(post)
    bad = NewRecord(IN, b"k", b"\xff" * (LARGEST - 5), [("h", b"abc")], 0)
    town.log.append([bad])
    town.tell(Parcel(number="after"))
    ((letter, record),) = letters(town.log)
    assert (record.key, record.value, [*record.headers][:1]) == (b"k", bad.value, [("h", b"abc")])
    assert (letter.door, letter.origin, letter.parts) == ("decode", Position(IN, 0, 0), 2)
    assert sorted_parcels(town.log, town.registry) == {("after", 1): 1}


def test_parts_of_letters_may_lie_among_each_other() -> None:
    """Letters in parts are put together partition by partition, and one whose end is missing is not taken for whole."""
    letter = DeadLetter("s", "decode", "E", "said", Position("t", 0, 7), 0, 0)
    made = letter.records(Record("t", 0, 7, 0, b"k" * 700_000, b"v" * 700_000, [("h", b"x")]), DEAD)
    there = [[Record(DEAD, n, i, 0, r.key, r.value, r.headers) for i, r in enumerate(made)] for n in range(3)]
    mixed = [each for trio in zip(*there, strict=True) for each in trio if (each.partition, each.offset) != (1, 2)]
    assert [(r.partition, r.key, r.value, r.headers[0]) for r in whole(mixed)] == [
        (n, b"k" * 700_000, b"v" * 700_000, ("h", b"x")) for n in (0, 2)
    ]


def test_what_is_not_a_dead_letter_is_listed_as_it_is() -> None:
    """A foreign record on the dead-letter topic hides no other."""
    strange = [b"", b"\x01", b"\x01[]", b"\x01{}", b'\x01{"origin": [1]}', b"\x02{}"]
    foreign = [Record(DEAD, 0, n, 0, b"k", b"v", [(HEADER, data)]) for n, data in enumerate(strange)]
    assert list(whole([Record(DEAD, 0, 9, 0, b"k", b"v"), *foreign]))[1:] == foreign
    for record in foreign:
        with pytest.raises(DecodeError, match=HEADER):
            read(record)


def test_an_error_that_says_too_much_is_shortened() -> None:
    """An error may repeat a megabyte of input: its letter says the beginning of it, and how much there was."""
    said = describe(RuntimeError("x" * 2_000_000))
    assert len(said) < MAX_ERROR_CHARS + 100
    assert "2,000,000 characters" in said


def test_a_key_that_no_event_can_have_is_a_dead_letter() -> None:
    """An empty key, or none, around an event whose own key is empty: a dead letter, and the next one is handled."""
    town = Town(post)
    town.tell(Parcel(number="before"))
    value = framed(town.registry, b"\0\0")
    town.log.append([NewRecord(IN, key, value, (), 0) for key in (b"", None)])
    town.tell(Parcel(number="after"))
    assert [(letter.door, record.key, record.value) for letter, record in letters(town.log)] == [
        ("decode", b"", value),
        ("decode", None, value),
    ]
    assert "the key is empty" in letters(town.log)[0][0].error
    assert sorted_parcels(town.log, town.registry) == {("before", 1): 1, ("after", 1): 1}


def test_a_timer_whose_writes_do_not_fit_is_a_dead_letter() -> None:
    """What a timer wants kept can't be: the timer alone is put aside, and a replay puts the same one aside."""
    town = Town(post)
    town.tell(Parcel(number="heavy", weight=13), Parcel(number="light"))
    town.wait(120)
    town.tell(Parcel(number="light"))
    ((letter, record),) = letters(town.log)
    assert (letter.door, record.key) == ("publish", b"heavy")
    assert "too large for the changelog" in letter.error
    assert sorted_parcels(town.log, town.registry) == {("heavy", 1): 1, ("light", 1): 1, ("light", 2): 1}
    worker = town.workers[0]
    verdict = verify(post, town.log, town.registry, lambda n: worker.tasks[n].task.entries.backend)
    assert verdict.clean, verdict


class NarrowLog(MemoryLog):
    """A log whose dead-letter topic takes no more than 1,000 bytes while it is `narrow`."""

    narrow = True

    def route(self, records: list[NewRecord]) -> Routed:  # type: ignore[override]  # a list is what comes
        for record in records:
            if self.narrow and record.topic == DEAD and len(record.value or b"") > 1_000:
                raise RecordTooLargeError("larger than this topic takes", at=DEAD, hint="raise its max.message.bytes")
        return super().route(records)


class GuardedLog(MemoryLog):
    """A log that refuses to write to one topic while it is `guarded`, and says so as late as Kafka does."""

    guarded = True

    def commit(self, routed: Routed, offsets: GroupOffsets, transactional: bool) -> list[int]:
        if self.guarded and any(record.topic == OUT for _, record in routed):
            raise TransactionAbortedError("nothing was committed") from NotAuthorizedError(
                "writing is refused to these credentials", at=OUT, hint=f"grant WRITE on {OUT}"
            )
        return super().commit(routed, offsets, transactional)


def test_a_missing_right_stops_the_service_and_blames_no_event() -> None:
    """No event can help that its answer may not be written: no dead letter, the error says which right, and all is done
    once it is granted.
    """
    log = GuardedLog(SystemClock())
    town = Town(post, log=log)
    with pytest.raises(NotAuthorizedError) as raised:
        town.tell(Parcel(number="a"), Parcel(number="b"))
    assert raised.value.hint == f"grant WRITE on {OUT}"
    log.guarded = False
    town.crash()
    town.time.settle()
    assert letters(log) == []
    assert sorted_parcels(log, town.registry) == {("a", 1): 1, ("b", 1): 1}


def test_a_letter_that_can_not_be_written_stops_the_service_and_loses_nothing() -> None:
    """With nowhere to put it the service stops with what to do; once that is mended it goes on from there, exactly."""
    log = NarrowLog(SystemClock())
    town = Town(post, log=log)
    town.tell(Parcel(number="before"))
    log.append([NewRecord(IN, b"k", b"\xff" * 2_000, (), 0)])
    with pytest.raises(PublishError, match="not even its dead letter") as raised:
        town.tell(Parcel(number="after"))
    assert raised.value.hint == "raise its max.message.bytes"
    assert sorted_parcels(log, town.registry) == {("before", 1): 1}
    log.narrow = False
    town.crash()
    town.time.settle()
    ((letter, record),) = letters(log)
    assert (read(record), record.value) == (letter, b"\xff" * 2_000)
    assert sorted_parcels(log, town.registry) == {("before", 1): 1, ("after", 1): 1}
