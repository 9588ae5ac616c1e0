"""Calls that may not come back, and the client's own log: no broker needed."""

import logging
from threading import Event

import pytest

from choreo.log.kafka_bounded import BoundedCalls
from choreo.log.kafka_errors import MendsItself


def test_a_call_that_does_not_come_back_is_left_behind() -> None:
    """The caller goes on after its limit; the call may end whenever it likes."""
    calls, let_go, ended = BoundedCalls(), Event(), Event()

    def endless() -> None:
        let_go.wait()
        ended.set()

    assert not calls.run(endless, 0.01)
    calls.close()
    let_go.set()
    assert ended.wait(10)


def test_what_a_call_raises_is_raised_to_its_caller() -> None:
    """An error is not lost in the other thread, and the next call finds the thread at work."""
    calls, done = BoundedCalls(), Event()

    def refuse() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        calls.run(refuse, 10)
    assert calls.run(done.set, 10)
    assert done.is_set()
    calls.close()


@pytest.mark.parametrize(
    ("words", "level"),
    [
        ("FAIL [rdkafka#consumer-1]: Connect to 127.0.0.1:9092 failed: Connection refused", logging.INFO),
        ("TXNERR [rdkafka#producer-1]: Fatal transaction error", logging.ERROR),
    ],
)
def test_a_lost_connection_is_no_error_in_the_log(words: str, level: int) -> None:
    """What the client mends by itself does not alarm anybody; everything else keeps its level."""
    record = logging.LogRecord("choreo.log.kafka", logging.ERROR, "", 0, words, None, None)
    assert MendsItself().filter(record)
    assert record.levelno == level
