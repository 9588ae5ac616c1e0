"""What a method returns, as its source tells."""

from collections.abc import Iterable
from typing import Any

import pytest

from choreo.checks.returned import returned_by
from choreo.service.context import Context
from choreo.service.handler import Handler
from choreo.service.service import Service
from choreo.service.timer import Timer
from tests.checks import town as module
from tests.checks.town import (
    EVENTS,
    FlightBooked,
    FlightWanted,
    RoomHeld,
    RoomRefused,
    RoomReleased,
    TripEvent,
    TripWanted,
    airline,
    hotel,
    said,
    town,
)

Two = TripWanted | FlightWanted
"""What the methods below take."""


def made(trip_id: str) -> RoomHeld:
    return RoomHeld(trip_id=trip_id)


def made_otherwise(trip_id: str) -> Any:
    return EVENTS["town.RoomHeld"](trip_id=trip_id)


class Ways:
    """One method for each way to say what is emitted; all take TripWanted or FlightWanted."""

    def plain(self, event: Two, ctx: Context) -> Any:
        return RoomHeld(trip_id="")

    def nothing(self, event: Two, ctx: Context) -> Any:
        return None

    def several(self, event: Two, ctx: Context) -> Any:
        return RoomHeld(trip_id=""), module.RoomRefused(trip_id="")

    def chosen(self, event: Two, ctx: Context) -> Any:
        return (RoomHeld if event.trip_id else RoomRefused)(trip_id="")

    def either(self, event: Two, ctx: Context) -> Any:
        return RoomHeld(trip_id="") if event.trip_id else None

    def listed(self, event: Two, ctx: Context) -> Any:
        return [*[RoomHeld(trip_id=one) for one in event.trip_id], RoomRefused(trip_id="")]

    def gathered(self, event: Two, ctx: Context) -> Any:
        found = [RoomHeld(trip_id="")]
        found.append(RoomRefused(trip_id=""))
        found += [RoomReleased(trip_id="")]
        return found

    def kept(self, event: Two, ctx: Context) -> Any:
        first: TripEvent = RoomHeld(trip_id="")
        if (second := RoomRefused(trip_id="")) and event.trip_id:
            return second
        return first.model_copy()

    def validated(self, event: Two, ctx: Context) -> Any:
        return RoomHeld.model_validate({})

    def by_method(self, event: Two, ctx: Context) -> Any:
        return self.plain(event, ctx)

    def by_function(self, event: Two, ctx: Context) -> Any:
        return made(event.trip_id)

    def by_itself(self, event: Two, ctx: Context) -> Any:
        return RoomHeld(trip_id="") if event.trip_id else self.by_itself(event, ctx)

    async def waited(self, event: Two, ctx: Context) -> Any:
        async with ctx.never() as _:  # type: ignore[attr-defined]  # only read, never run
            return RoomHeld(trip_id="")

    def unknown(self, event: Two, ctx: Context) -> Any:
        return made_otherwise(event.trip_id)

    def unpacked(self, event: Two, ctx: Context) -> Any:
        first, _ = RoomHeld(trip_id=""), 1
        return first

    def handed_in(self, event: Two, ctx: Context) -> Any:
        return event

    def by_type(self, event: Two, ctx: Context) -> Any:
        if isinstance(event, TripWanted):
            return RoomHeld(trip_id="")
        return RoomRefused(trip_id="")

    def by_match(self, event: Two, ctx: Context) -> Any:
        match event:
            case TripWanted(trip_id=""):
                return RoomReleased(trip_id="")
            case TripWanted():
                return RoomHeld(trip_id="")
            case _:
                return RoomRefused(trip_id="")

    def by_other_match(self, event: Two, ctx: Context) -> Any:
        match event.trip_id:
            case "":
                return RoomReleased(trip_id="")
            case _:
                return RoomHeld(trip_id="")
        return RoomRefused(trip_id="")

    def by_not(self, event: Two, ctx: Context) -> Any:
        if not isinstance(event, TripWanted):
            return RoomRefused(trip_id="")
        return RoomHeld(trip_id="")

    def by_negation(self, event: Two, ctx: Context) -> Any:
        if not isinstance(event, TripWanted) or event.trip_id == "":
            for _ in event.trip_id:
                return RoomRefused(trip_id="")
        try:
            return RoomHeld(trip_id="")
        except ValueError:
            raise


BOTH = {"TripWanted", "FlightWanted"}
TRIP, FLIGHT = {"TripWanted"}, {"FlightWanted"}


def names(events: Iterable[type]) -> set[str]:
    return {event.__name__ for event in events}


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("plain", [(BOTH, {"RoomHeld"})]),
        ("nothing", [(BOTH, set())]),
        ("several", [(BOTH, {"RoomHeld", "RoomRefused"})]),
        ("chosen", [(BOTH, {"RoomHeld", "RoomRefused"})]),
        ("either", [(BOTH, {"RoomHeld"})]),
        ("listed", [(BOTH, {"RoomHeld", "RoomRefused"})]),
        ("gathered", [(BOTH, {"RoomHeld", "RoomRefused", "RoomReleased"})]),
        ("kept", [(BOTH, {"RoomRefused"}), (BOTH, {"RoomHeld"})]),
        ("validated", [(BOTH, {"RoomHeld"})]),
        ("by_method", [(BOTH, {"RoomHeld"})]),
        ("by_function", [(BOTH, {"RoomHeld"})]),
        ("by_itself", [(BOTH, {"RoomHeld"})]),
        ("waited", [(BOTH, {"RoomHeld"})]),
        ("by_type", [(TRIP, {"RoomHeld"}), (FLIGHT, {"RoomRefused"})]),
        ("by_match", [(TRIP, {"RoomReleased"}), (TRIP, {"RoomHeld"}), (FLIGHT, {"RoomRefused"})]),
        ("by_other_match", [(BOTH, {"RoomReleased"}), (BOTH, {"RoomHeld"})]),
        ("by_not", [(FLIGHT, {"RoomRefused"}), (TRIP, {"RoomHeld"})]),
        ("by_negation", [(BOTH, {"RoomRefused"}), (BOTH, {"RoomHeld"})]),
    ],
)
def test_each_return_is_read(method: str, expected: list[tuple[set[str], set[str]]]) -> None:
    """Each `return` gives these events to inputs of these types."""
    found = returned_by(Ways, method, (TripWanted, FlightWanted))
    assert found is not None
    assert all(one.known for one in found)
    assert [(names(one.takes), names(one.events)) for one in found] == expected


@pytest.mark.parametrize("method", ["unknown", "unpacked", "handed_in"])
def test_what_cannot_be_followed_is_unknown(method: str) -> None:
    """What the source does not tell for sure is called unknown: nothing is said about it."""
    found = returned_by(Ways, method, (TripWanted, FlightWanted))
    assert found is not None
    assert [(one.known, one.made) for one in found] == [(False, ())]


def test_a_method_without_source_is_not_read() -> None:
    """A method that was made at run time has no source to read."""
    body: dict[str, Any] = {}
    exec("def handle(self, event, ctx): return None", body)
    assert returned_by(type("Made", (), {"handle": body["handle"]}), "handle", ()) is None


class Careless(Handler[TripWanted]):
    later = Timer[str]()

    def handle(self, trip: TripWanted, ctx: Context) -> RoomHeld | RoomReleased:
        if trip.trip_id:
            return self.refuse(trip)  # type: ignore[return-value]  # the mistake
        return RoomHeld(trip_id=trip.trip_id)

    def refuse(self, trip: TripWanted) -> RoomRefused:
        return RoomRefused(trip_id=trip.trip_id)

    @later.due
    def due(self, trip_id: str, ctx: Context) -> None:
        return FlightBooked(trip_id=trip_id)  # type: ignore[return-value]  # the mistake


def test_an_emission_that_the_annotation_does_not_name() -> None:
    """It is an error where the event is made, be it in a helper; what is named and never returned is a warning."""
    whole = town(hotel, airline, Service("careless", handlers=[Careless]))
    undeclared = [text.partition(" ")[2] for text in said(whole, "undeclared-emission")]
    assert undeclared == [
        "Careless.handle returns RoomRefused, which its annotation does not name",
        "Careless.due returns FlightBooked, which its annotation does not name",
    ]
    assert said(whole, "never-returned") == ["Careless.handle names RoomReleased, and no return gives it"]


class Secretive(Handler[TripWanted]):
    def handle(self, trip: TripWanted, ctx: Context) -> RoomHeld | RoomReleased:
        return made_otherwise(trip.trip_id)  # type: ignore[no-any-return]  # that is what it is about


def test_what_is_not_known_is_not_missed() -> None:
    """Where a return can't be followed, nothing that the annotation names is called unused."""
    assert said(town(hotel, airline, Service("secretive", handlers=[Secretive])), "never-returned") == []
