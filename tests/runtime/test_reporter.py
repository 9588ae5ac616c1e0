"""The framework's own log records: with the ids, and a few of many that are alike."""

import logging
from typing import Any

import pytest

from choreo import Service
from choreo.events.envelope import Ids
from choreo.record import NewRecord
from choreo.runtime.reporter import BURST, WINDOW_US, Kind, Repeats, Reporter
from tests.runtime.test_observer import Posted, Stopping, Weigh
from tests.runtime.town import NOON
from tests.runtime.watched import WatchedTown

SECOND = 1_000_000


@pytest.fixture
def town() -> WatchedTown:
    Weigh.broken.clear()
    return WatchedTown(Service("post", handlers=[Weigh]), observer=Reporter())


def said(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "choreo.runtime" and record.levelno >= level]


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return dict(record.__dict__["choreo"])


def test_a_failure_is_logged_from_attempt_to_dead_letter(town: WatchedTown, caplog: pytest.LogCaptureFixture) -> None:
    """Again at once, parked, dead letter: INFO, WARNING, ERROR with the traceback; each with the ids and the place."""
    Weigh.broken.add("p1")
    with caplog.at_level(logging.INFO, "choreo.runtime"):
        town.time.settle()
        caplog.clear()
        town.tell(Posted(parcel="p1"), ids=Ids(b"e" * 16, "story", at=NOON))
        town.wait(10)
    again, parked, buried = said(caplog, logging.INFO)
    assert [record.levelname for record in (again, parked, buried)] == ["INFO", "WARNING", "ERROR"]
    assert "tried again at once: OSError: the scale is away" in again.getMessage()
    assert "its key is parked for 10 s" in parked.getMessage()
    assert "post.Posted (post.parcels[0]@0) is a dead letter (handle)" in buried.getMessage()
    assert buried.exc_info is not None
    assert isinstance(buried.exc_info[1], OSError)
    for record, attempt in ((again, 1), (parked, 2), (buried, 3)):
        assert fields(record)["correlation_id"] == "story"
        assert (fields(record)["handler"], fields(record)["offset"], fields(record)["attempt"]) == ("Weigh", 0, attempt)


def test_a_stopped_task_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody needs to look at a dashboard to learn that a task takes nothing more in."""
    town = WatchedTown(Service("post", handlers=[Stopping]), observer=Reporter())
    Weigh.broken.add("p1")
    town.tell(Posted(parcel="p1"))
    (stopped,) = [record for record in said(caplog, logging.ERROR) if "takes nothing more in" in record.getMessage()]
    assert (fields(stopped)["service"], fields(stopped)["task"]) == ("post", 0)


def test_many_alike_are_told_once_and_then_counted(town: WatchedTown, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand records that can't be read are five errors, and the count of the others ten seconds later."""
    town.log.append([NewRecord("post.parcels", b"k", b"\xffgarbage", (), 0)] * 1000)
    town.time.settle()
    assert len(said(caplog)) == BURST
    town.clock.move_to(NOON + WINDOW_US)
    town.tell(Posted(parcel="p1"))
    *_, counted = said(caplog)
    assert counted.getMessage() == "post: 995 more dead letters by DecodeError were not told one by one"
    assert fields(counted)["withheld"] == 995


def test_what_was_withheld_is_told_at_the_end(town: WatchedTown, caplog: pytest.LogCaptureFixture) -> None:
    """A worker that leaves does not take the count with it."""
    town.log.append([NewRecord("post.parcels", b"k", b"\xffgarbage", (), 0)] * 10)
    town.time.settle()
    town.workers[0].stop()
    assert "5 more dead letters" in said(caplog)[-1].getMessage()


def test_repeats_are_counted_by_kind() -> None:
    """Kinds don't hide each other; a window that is over begins anew."""
    repeats, one, other = Repeats(), Kind("x", "s", "H", "OSError"), Kind("x", "s", "H", "KeyError")
    assert [repeats.admit(one, 0) for _ in range(BURST + 2)] == [True] * BURST + [False, False]
    assert repeats.admit(other, 1)
    assert list(repeats.overdue(WINDOW_US - 1)) == []
    assert list(repeats.overdue(WINDOW_US + 1)) == [(one, 2)]
    assert repeats.admit(one, WINDOW_US + 2)


def test_checkpoints_are_logged_for_who_looks(town: WatchedTown, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG each checkpoint says what it held and why it was made."""
    with caplog.at_level(logging.DEBUG, "choreo.runtime"):
        caplog.clear()
        town.tell(Posted(parcel="p1"))
    texts = [record.getMessage() for record in said(caplog, logging.DEBUG)]
    assert any("post: checkpoint of tasks 0 (dry): 1 inputs, 1 outputs" in text for text in texts)
