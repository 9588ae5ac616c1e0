"""A small project that is sound, and ways to plant one fault in it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from choreo.checks.choreography import Choreography, SpecFile
from choreo.checks.every import find_all
from choreo.checks.finding import Finding
from choreo.errors import SpecError
from choreo.events.event import Event
from choreo.runtime.plan import plan_of
from choreo.saga.coordinator import coordinator
from choreo.saga.spec import parse_spec
from choreo.service.context import Context
from choreo.service.handler import Handler
from choreo.service.service import Service


class TripEvent(Event, namespace="town", topic="town.trips", key="trip_id", abstract=True):
    trip_id: str


class TripWanted(TripEvent): ...


class TripCancelled(TripEvent): ...


class RoomHeld(TripEvent): ...


class RoomRefused(TripEvent): ...


class RoomReleaseWanted(TripEvent): ...


class RoomReleased(TripEvent): ...


class FlightWanted(TripEvent): ...


class FlightBooked(TripEvent): ...


class HoldRoom(Handler[TripWanted]):
    def handle(self, trip: TripWanted, ctx: Context) -> RoomHeld | RoomRefused:
        if trip.trip_id:
            return RoomHeld(trip_id=trip.trip_id)
        return RoomRefused(trip_id=trip.trip_id)

    def compensate(self, request: RoomReleaseWanted, ctx: Context) -> RoomReleased:
        return RoomReleased(trip_id=request.trip_id)


class BookFlight(Handler[FlightWanted]):
    def handle(self, request: FlightWanted, ctx: Context) -> FlightBooked:
        return FlightBooked(trip_id=request.trip_id)


hotel = Service("hotel", handlers=[HoldRoom])
airline = Service("airline", handlers=[BookFlight])

TRIP = """\
saga: trip
version: 3
namespace: town
starts_on: TripWanted
correlate_by: trip_id
within: 1h
cancels_on: TripCancelled
steps:
  - name: hold
    completes_on: RoomHeld
    fails_on: RoomRefused
    compensate: {emit: RoomReleaseWanted, done_on: RoomReleased}
  - name: fly
    after: hold
    emit: FlightWanted
    completes_on: FlightBooked
    compensate: none
"""


def named(*events: type[Event]) -> dict[str, type[Event]]:
    """These events by their full names."""
    return {event.contract.full_name: event for event in events}


EVENTS = named(*TripEvent.__subclasses__())


def spec_file(text: str = TRIP, catalogue: Mapping[str, type[Event]] = EVENTS) -> SpecFile:
    """A spec as the file trip.yaml."""
    try:
        return SpecFile("trip.yaml", text, parse_spec(text, "trip.yaml", catalogue))
    except SpecError as error:
        raise AssertionError(f"the spec of this test is broken\n{error}") from error


def town(*services: Service, text: str = TRIP, events: tuple[type[Event], ...] = (), **more: Any) -> Choreography:
    """The sound project, with other services or another spec where they are given."""
    catalogue = EVENTS | named(*events)
    one, chosen = spec_file(text, catalogue), services or (hotel, airline)
    plans = [plan_of(service) for service in (*chosen, coordinator(one.spec, catalogue))]
    handlers = tuple(handler for service in chosen for handler in service.handlers)
    whole = Choreography(chosen, (one,), catalogue, handlers, whole=True, plans=tuple(plans))
    return replace(whole, **more)


def changed(*pairs: tuple[str, str]) -> str:
    """The spec with each first of a pair replaced by the second; each must be there."""
    text = TRIP
    for old, new in pairs:
        assert old in text, f"{old!r} is not in the spec"
        text = text.replace(old, new)
    return text


def said(whole: Choreography, code: str) -> list[str]:
    """The messages of this code that all checks together find, with line:column where they have one."""
    return [_placed(finding) for finding in find_all(whole) if finding.code == code]


def codes(whole: Choreography) -> set[str]:
    """Which codes are found at all."""
    return {finding.code for finding in find_all(whole)}


def _placed(finding: Finding) -> str:
    spot = finding.spot
    return f"{spot.line}:{spot.column} {finding.message}" if spot and spot.column else finding.message
