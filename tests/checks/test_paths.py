"""Whether steps and undos can begin and end."""

import pytest

from choreo.service.context import Context
from choreo.service.handler import Handler
from choreo.service.service import Service
from tests.checks.town import (
    FlightBooked,
    RoomHeld,
    RoomReleased,
    RoomReleaseWanted,
    TripEvent,
    airline,
    changed,
    codes,
    hotel,
    said,
    town,
)


class HoldAfterFlight(Handler[FlightBooked]):
    def handle(self, flight: FlightBooked, ctx: Context) -> RoomHeld:
        return RoomHeld(trip_id=flight.trip_id)


class SayReleased(Handler[FlightBooked]):
    def handle(self, flight: FlightBooked, ctx: Context) -> RoomReleased:
        return RoomReleased(trip_id=flight.trip_id)


class IgnoreRelease(Handler[RoomReleaseWanted]):
    def handle(self, request: RoomReleaseWanted, ctx: Context) -> None: ...


class ReleaseAsked(TripEvent): ...


class AskKeeper(Handler[RoomReleaseWanted]):
    def handle(self, request: RoomReleaseWanted, ctx: Context) -> ReleaseAsked:
        return ReleaseAsked(trip_id=request.trip_id)


class Keep(Handler[ReleaseAsked]):
    def handle(self, request: ReleaseAsked, ctx: Context) -> RoomReleased:
        return RoomReleased(trip_id=request.trip_id)


class WatchAsked(Handler[ReleaseAsked]):
    def handle(self, request: ReleaseAsked, ctx: Context) -> None: ...


def test_a_step_that_needs_what_comes_after_it() -> None:
    """A step whose event is emitted only after a later step can't end, and the later step can't begin."""
    late = Service("hotel", handlers=[HoldAfterFlight])
    whole = town(late, airline, text=changed(("    fails_on: RoomRefused\n", "")))
    assert said(whole, "cannot-end") == [
        "10:19 step hold can't end: nothing that has happened by then leads to town.RoomHeld"
    ]
    assert said(whole, "unreachable-step") == ["12:11 step fly can never begin: step hold before it never ends"]


def test_a_step_that_may_be_skipped_blocks_nobody() -> None:
    """A step with a condition can be left out: those after it can begin."""
    late = Service("hotel", handlers=[HoldAfterFlight])
    when = (
        "    completes_on: RoomHeld\n    fails_on: RoomRefused\n",
        "    when: saga.trip_id != ''\n    completes_on: RoomHeld\n",
    )
    assert codes(town(late, airline, text=changed(when))) & {"cannot-end", "unreachable-step"} == set()


@pytest.mark.parametrize(
    ("when", "code", "message"),
    [
        ("1 > 2", "unreachable-step", "14:11 step fly can never begin: its condition is always false"),
        ("2 > 1", "constant-condition", "14:11 the condition of step fly is always true"),
        (
            "steps.hold.status == 'finished'",
            "unknown-status",
            "14:11 step fly asks whether step hold is 'finished', which no step ever is",
        ),
        ("steps.hold.status != 'done'", "unknown-status", None),
        ("saga.trip_id != ''", "constant-condition", None),
    ],
)
def test_conditions_that_say_nothing(when: str, code: str, message: str | None) -> None:
    """A condition that is the same for every instance, or asks for a status that is none, is found where it stands."""
    text = changed(("    after: hold\n", f"    when: {when}\n    after: hold\n"))
    assert said(town(text=text), code) == ([message] if message else [])


def test_an_undo_that_leads_nowhere() -> None:
    """A request to undo whose handler does not lead to its answer is an error where the answer is named."""
    deaf = Service("hotel", handlers=[HoldAfterFlight, IgnoreRelease, SayReleased])
    assert said(town(deaf, airline), "undo-cannot-end") == [
        "12:52 the undo of step hold can't end: town.RoomReleaseWanted does not lead to town.RoomReleased"
    ]


def test_an_undo_over_several_services() -> None:
    """An answer that comes by way of another service is one."""
    both = Service("keeper", handlers=[AskKeeper, Keep])
    assert said(town(hotel, airline, both, events=(ReleaseAsked,)), "undo-cannot-end") == []
    lone = Service("hotel", handlers=[AskKeeper, SayReleased])
    outside = {"town.ReleaseAsked": None}
    assert (
        len(said(town(lone, airline, Service("k", handlers=[WatchAsked]), events=(ReleaseAsked,)), "undo-cannot-end"))
        == 1
    )
    assert said(town(lone, airline, events=(ReleaseAsked,), outside=outside), "undo-cannot-end") == []


def test_an_undo_without_a_limit() -> None:
    """An undo that nobody limits is a warning, unless `within` is said for it or for the saga."""
    bare = (
        ("within: 1h\n", ""),
        ("    fails_on: RoomRefused\n", "    fails_on: RoomRefused\n    within: 5m\n"),
        ("    after: hold\n", "    after: hold\n    within: 5m\n"),
    )
    message = "12:24 the undo of step hold may wait for ever"
    assert said(town(text=changed(*bare)), "undo-no-time-limit") == [message]
    assert said(town(text=changed(("within: 1h\n", "within: none\n"))), "undo-no-time-limit") == []
    said_so = ("done_on: RoomReleased}", "done_on: RoomReleased, within: none}")
    assert said(town(text=changed(*bare, said_so)), "undo-no-time-limit") == []


def test_an_answer_to_a_timeout_that_never_comes() -> None:
    """What a timeout means is of no use to a step that may wait for ever."""
    text = changed(("    after: hold\n", "    after: hold\n    on_timeout: escalate\n    within: none\n"))
    assert said(town(text=text), "timeout-never") == ["13:11 step fly says what a timeout means, and has no time limit"]
    assert said(town(text=text.replace("within: none", "within: 1d")), "timeout-never") == []
