"""`ctx.log`: its records carry the ids of the handling that runs, and cost nothing where nothing is logged."""

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from choreo import Context, Event, Handler, Retry, Service, Timer
from choreo.events.envelope import Ids
from choreo.runtime import handling
from tests.runtime.test_async import Bank, HeldOutside
from tests.runtime.town import NOON, Town


class LetterEvent(Event, namespace="mail", topic="mail.letters", key="letter", abstract=True):
    letter: str


class Sent(LetterEvent): ...


class Deliver(Handler[Sent]):
    reminder = Timer[str]()
    retry = Retry(attempts=2)

    def handle(self, event: Sent, ctx: Context) -> None:
        ctx.log.info("delivering %s", event.letter, extra={"postman": "Pat"})
        ctx.log.debug("at the door")
        self.reminder.set(event.letter, after=timedelta(hours=1))
        if ctx.attempt == 1:
            raise OSError("nobody at home")

    @reminder.due
    def remind(self, letter: str, ctx: Context) -> None:
        ctx.log.warning("still there")


class Rode(Event, namespace="mail", topic="mail.rides", key="ride"):
    ride: str


class Ride(Handler[Rode]):
    bank: Bank
    concurrency = 10

    async def handle(self, event: Rode, ctx: Context) -> None:
        ctx.log.info("before")
        await ctx.ask("card", self.bank.card, event.ride)
        ctx.log.info("after")


def fields(record: logging.LogRecord) -> dict[str, Any]:
    return dict(record.__dict__["choreo"])


def test_records_carry_the_ids(caplog: pytest.LogCaptureFixture) -> None:
    """Service, task, handler, event, its ids, its place and the attempt; what the author adds stays."""
    town = Town(Service("mail", handlers=[Deliver]))
    with caplog.at_level(logging.INFO, "choreo.mail"):
        town.tell(Sent(letter="l1"), ids=Ids(b"e" * 16, "story", b"c" * 16, at=NOON))
    first, second = [record for record in caplog.records if record.name == "choreo.mail.Deliver"]
    assert first.getMessage() == "delivering l1"
    assert first.__dict__["postman"] == "Pat"
    assert first.funcName == "handle"
    assert fields(first) == {
        "service": "mail",
        "task": 0,
        "handler": "Deliver",
        "event": "mail.Sent",
        "event_id": str(UUID(bytes=b"e" * 16)),
        "correlation_id": "story",
        "causation_id": str(UUID(bytes=b"c" * 16)),
        "topic": "mail.letters",
        "partition": 0,
        "offset": 0,
        "attempt": 1,
    }
    assert fields(second) == fields(first) | {"attempt": 2}


def test_a_timers_records_carry_its_story(caplog: pytest.LogCaptureFixture) -> None:
    """A timer has an id of its own and the story in which it was set; it lies in no topic."""
    town = Town(Service("mail", handlers=[Deliver]))
    town.tell(Sent(letter="l1"), ids=Ids(b"e" * 16, "story", at=NOON))
    with caplog.at_level(logging.WARNING, "choreo.mail"):
        town.wait(3600)
    (record,) = [record for record in caplog.records if record.getMessage() == "still there"]
    found = fields(record)
    assert (found["event"], found["correlation_id"], found["task"]) == ("remind", "story", 0)
    assert found["causation_id"] == str(UUID(bytes=b"e" * 16))
    assert "offset" not in found


def test_interleaved_handlings_keep_their_own_ids(caplog: pytest.LogCaptureFixture) -> None:
    """Two asynchronous handlings at once: after its call each logs under its own ids."""
    outside = HeldOutside()
    town = Town(Service("mail", handlers=[Ride], provide={"bank": Bank}), outside=outside)
    with caplog.at_level(logging.INFO, "choreo.mail"):
        town.step(Rode(ride="r1"), Rode(ride="r2"))
        assert len(outside.open) == 2
        outside.release(1)
        town.step()
        outside.release(0)
        town.step()
    said = [(record.getMessage(), fields(record)["offset"]) for record in caplog.records if "Ride" in record.name]
    assert said == [("before", 0), ("before", 1), ("after", 1), ("after", 0)]


def test_ids_are_not_written_out_where_nothing_is_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below the level a call does nothing: no id is turned into text, no record is made."""
    written: list[object] = []

    def write(ids: Ids) -> dict[str, object]:
        written.append(ids)
        return {}

    monkeypatch.setattr(handling, "id_fields", write)
    town = Town(Service("mail", handlers=[Deliver]))
    level = logging.getLogger("choreo.mail").level
    try:
        logging.getLogger("choreo.mail").setLevel(logging.ERROR)
        town.tell(Sent(letter="l1"))
        assert written == []
        logging.getLogger("choreo.mail").setLevel(logging.DEBUG)  # heard at once, by loggers that are made already
        town.tell(Sent(letter="l2"))
        assert len(written) == 4
    finally:
        logging.getLogger("choreo.mail").setLevel(level)


def test_the_level_of_one_handler_is_its_loggers(caplog: pytest.LogCaptureFixture) -> None:
    """`choreo.SERVICE.HANDLER` is an ordinary logger: its level, filters and `disabled` hold for ctx.log."""
    town = Town(Service("mail", handlers=[Deliver]))
    own = logging.getLogger("choreo.mail.Deliver")
    refuse = logging.Filter("nobody")
    with caplog.at_level(logging.DEBUG, "choreo.mail"):
        own.addFilter(refuse)
        try:
            town.tell(Sent(letter="l1"))
            assert [record for record in caplog.records if record.name == own.name] == []
        finally:
            own.removeFilter(refuse)
        town.tell(Sent(letter="l2"))
    assert len([record for record in caplog.records if record.name == own.name]) == 4
