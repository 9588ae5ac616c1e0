"""Reading up to an end as of now, beside whoever writes."""

import pytest

from choreo.errors import LogUnavailableError
from choreo.log.interface import TopicSpec
from choreo.log.up_to import MOST_SILENT, read_up_to
from choreo.record import NewRecord, TopicPartition
from tests.log.held_back import HeldBack

PLACE = TopicPartition("shop", 0)


def log_with(*values: bytes) -> HeldBack:
    log = HeldBack()
    log.create_topics([TopicSpec(PLACE.topic, 1)])
    log.append([NewRecord(PLACE.topic, b"k", value) for value in values])
    return log


def values(log: HeldBack, start: int, end: int) -> list[bytes | None]:
    return [record.value for batch, _ in read_up_to(log, {PLACE: start}, {PLACE: end}, 1) for record in batch]


def test_what_an_open_transaction_holds_back_is_left_out() -> None:
    """Everything before it is read, and the reading ends; nothing at all where nothing else is there."""
    log = log_with(b"a", b"b", b"held back")
    assert values(log, 0, 3) == [b"a", b"b"]
    assert values(log, 2, 3) == []
    log.stable = 3
    assert values(log, 0, 3) == [b"a", b"b", b"held back"]


def test_what_came_later_is_left_out_too() -> None:
    """The end is that of the moment when somebody began to look."""
    assert values(log_with(b"a", b"b"), 0, 1) == [b"a"]


def test_a_log_that_does_not_answer_is_an_error() -> None:
    """Committed records that never come are waited for so many reads, then it is said from where."""
    log, read = log_with(b"a", b"b"), []
    log.mute = True
    reading = read_up_to(log, {PLACE: 0}, {PLACE: 2})
    with pytest.raises(LogUnavailableError, match=r"nothing came from shop\[0\] for 10 s"):
        read.extend(reading)
    assert read == [([], {PLACE: 0})] * MOST_SILENT
