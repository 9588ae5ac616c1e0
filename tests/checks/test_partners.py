"""Who emits an event and who takes it."""

import pytest

from choreo.checks.every import find_all
from choreo.service.context import Context
from choreo.service.handler import Handler
from choreo.service.service import Service
from tests.checks.town import (
    FlightBooked,
    TripEvent,
    airline,
    changed,
    hotel,
    said,
    spec_file,
    town,
)


class Stray(TripEvent): ...


class WatchStray(Handler[Stray]):
    def handle(self, stray: Stray, ctx: Context) -> None: ...


class SayStray(Handler[FlightBooked]):
    def handle(self, flight: FlightBooked, ctx: Context) -> Stray:
        return Stray(trip_id=flight.trip_id)


def test_a_sound_project_has_no_findings() -> None:
    """Where everything fits, nothing is said."""
    assert list(find_all(town())) == []


def test_a_saga_that_waits_for_what_nobody_emits() -> None:
    """An event that completes a step and that no handler returns is an error at its place in the step."""
    assert said(town(hotel), "nobody-emits") == ["16:19 step fly waits for town.FlightBooked, which no handler returns"]


@pytest.mark.parametrize(("key", "does"), [("skips_on", "is taken out by"), ("reopens_on", "is taken back by")])
def test_what_turns_a_step_may_come_from_others(key: str, does: str) -> None:
    """No step waits for what takes it out or back; where it comes from is said in its handler, or under `outside`."""
    text = changed(("completes_on: FlightBooked", f"completes_on: FlightBooked\n    {key}: Stray"))
    whole = town(text=text, events=(Stray,))
    (finding,) = [finding for finding in find_all(whole) if finding.code == "nobody-emits"]
    assert finding.message == f"step fly {does} town.Stray, which no handler returns"
    assert 'outside = ["town.Stray"]' in finding.cure


def test_a_request_that_nobody_handles() -> None:
    """A request that no handler takes is an error at its place."""
    assert said(town(hotel), "nobody-handles") == ["15:11 saga trip emits town.FlightWanted, which no handler takes"]


def test_what_others_do_is_not_looked_for() -> None:
    """Events that the settings call outside need no partner in the project."""
    outside = {"town.FlightWanted": None, "town.FlightBooked": None}
    assert list(find_all(town(hotel, outside=outside))) == []


def test_without_services_nobody_is_missed() -> None:
    """A look at specs alone says nothing about partners that it does not see."""
    assert list(find_all(town(services=(), whole=False))) == []


def test_a_handler_of_what_nobody_produces() -> None:
    """A handler that takes what nobody emits is a warning that names it; no longer once somebody does."""
    watch = Service("watch", handlers=[WatchStray])
    message = "WatchStray.handle takes town.Stray, which nobody in this project emits"
    assert said(town(hotel, airline, watch, events=(Stray,)), "nobody-produces") == [message]
    both = Service("watch", handlers=[WatchStray, SayStray])
    assert list(find_all(town(hotel, airline, both, events=(Stray,)))) == []
    assert said(town(hotel, airline, watch, events=(Stray,), outside={"town.Stray": None}), "nobody-produces") == []


def test_an_event_that_nobody_takes() -> None:
    """What is emitted and taken by nobody is a warning."""
    speaker = Service("speaker", handlers=[SayStray])
    message = "town.Stray is emitted, and nobody in this project takes it"
    assert said(town(hotel, airline, speaker, events=(Stray,)), "nobody-takes") == [message]


def test_an_event_that_nobody_uses() -> None:
    """A class that is neither emitted nor taken is a warning; not where only a part of the project is looked at."""
    assert said(town(events=(Stray,)), "unused-event") == ["nobody emits town.Stray, and nobody takes it"]
    assert list(find_all(town(events=(Stray,), whole=False))) == []


def test_a_name_that_is_not_outside() -> None:
    """A misspelt event among those that are outside is an error, with the one that was meant."""
    found = [one for one in find_all(town(outside={"town.TripWantd": None})) if one.code == "unknown-outside"]
    assert [(one.message, one.cure) for one in found] == [
        ("[project] outside names town.TripWantd, and there is no such event", "did you mean town.TripWanted?")
    ]


def test_a_saga_may_take_what_it_emits() -> None:
    """A request that only another step of the saga waits for has a partner: the saga itself."""
    text = changed(("completes_on: FlightBooked", "completes_on: FlightWanted"))
    assert said(town(hotel, text=text), "nobody-emits") == []
    assert said(town(hotel, text=text), "nobody-handles") == []


@pytest.mark.parametrize(
    "change",
    [
        ("cancels_on: TripCancelled", "cancels_on: {event: TripCancelled, refused: Stray}"),
        ("cancels_on: TripCancelled", "tell: {completed: Stray}"),
        ("    completes_on: FlightBooked", "    tell: {done: Stray}\n    completes_on: FlightBooked"),
        ("    completes_on: FlightBooked", "    remind: {every: 10m, emit: Stray}\n    completes_on: FlightBooked"),
    ],
    ids=["refused", "tell", "tell of a step", "remind"],
)
def test_what_is_only_told_may_be_for_nobody(change: tuple[str, str]) -> None:
    """What a saga tells, reminds of and refuses asks nobody for an answer: not an error, but said as a warning."""
    whole = town(text=changed(change), events=(Stray,))
    assert said(whole, "nobody-handles") == []
    assert said(whole, "nobody-takes") == ["town.Stray is emitted, and nobody in this project takes it"]


def test_a_question_that_nobody_handles() -> None:
    """What asks after a timeout is a request: without a handler it is an error, also where it is told elsewhere."""
    asks = "    on_timeout: {ask: {emit: Stray, within: 1m}}\n    tell: {failed: Stray}\n    completes_on: FlightBooked"
    whole = town(text=changed(("    completes_on: FlightBooked", asks)), events=(Stray,))
    assert [one.partition(" ")[2] for one in said(whole, "nobody-handles")] == [
        "saga trip emits town.Stray, which no handler takes"
    ]


def test_an_event_is_shown_in_its_own_step() -> None:
    """A word that several steps say is found in the step that is spoken of."""
    assert [str(spec_file().spot("hold", step)) for step in ("hold", "fly")] == ["trip.yaml:9:11", "trip.yaml:14:12"]


class SpeakElsewhere(Handler[FlightBooked]):
    def handle(self, flight: FlightBooked, ctx: Context) -> None:
        ctx.emit(Stray(trip_id=flight.trip_id), correlation_id="another")


def test_what_is_said_in_another_story_is_emitted() -> None:
    """An event that only `ctx.emit` says has somebody who emits it."""
    watch = Service("watch", handlers=[WatchStray, SpeakElsewhere])
    assert list(find_all(town(hotel, airline, watch, events=(Stray,)))) == []


def test_a_handler_in_no_service() -> None:
    """A handler that was written and is in no service is an error."""
    whole = town(handlers=(WatchStray,))
    assert said(whole, "unused-handler") == ["WatchStray is in no service"]
