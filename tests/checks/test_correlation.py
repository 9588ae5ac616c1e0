"""Whether the events of a saga find their instance."""

from uuid import UUID

from choreo.events.event import Event
from choreo.service.context import Context
from choreo.service.handler import Handler
from choreo.service.service import Service
from tests.checks.town import airline, changed, hotel, said, town


class Numbered(Event, namespace="town", topic="town.numbers", key="trip_id"):
    trip_id: int


class Maybe(Event, namespace="town", topic="town.maybes", key="name"):
    name: str
    trip_id: str | None


class Unique(Event, namespace="town", topic="town.uniques", key="trip_id"):
    trip_id: UUID


class Weighed(Event, namespace="town", topic="town.weights", key="name"):
    name: str
    trip_id: float


class Listed(Event, namespace="town", topic="town.lists", key="name"):
    name: str
    trip_id: tuple[str, ...]


class Renamed(Event, namespace="town", topic="town.renamed", key="trip_id"):
    trip_id: str
    other: str = ""


class TakeRenamed(Handler[Renamed]):
    def handle(self, event: Renamed, ctx: Context) -> None: ...


def test_keys_of_different_types() -> None:
    """A field of another type than the start event's is an error where the event is named."""
    for event, kind in ((Numbered, "int"), (Unique, "UUID")):
        text = changed(("fails_on: RoomRefused", f"fails_on: {event.__name__}"))
        message = f"11:15 town.{event.__name__}.trip_id is {kind}, but the key of saga trip is text"
        assert said(town(text=text, events=(event,)), "correlation-types") == [message]


def test_a_key_that_may_be_null() -> None:
    """A field that may be null finds no instance."""
    text = changed(("fails_on: RoomRefused", "fails_on: Maybe"))
    whole = town(text=text, events=(Maybe,))
    assert said(whole, "correlation-empty") == ["11:15 town.Maybe.trip_id may be null, and saga trip is found by it"]
    assert said(whole, "correlation-types") == []


def test_a_key_that_can_not_be_one() -> None:
    """A field whose values have no text finds no instance."""
    for event, kind in ((Weighed, "float"), (Listed, "tuple")):
        text = changed(("fails_on: RoomRefused", f"fails_on: {event.__name__}"))
        message = f"11:15 town.{event.__name__}.trip_id is {kind}, which no key can hold, and saga trip is found by it"
        assert said(town(text=text, events=(event,)), "correlation-impossible") == [message]


def test_a_request_under_another_key() -> None:
    """A mapping that gives a request another key is an error: its answer would come under that key."""
    emit = "emit: {event: Renamed, with: {trip_id: \"'x'\"}}"
    whole = town(hotel, airline, text=changed(("emit: FlightWanted", emit)), events=(Renamed,))
    message = "15:19 town.Renamed.trip_id is the key of saga trip, and the mapping replaces it"
    assert said(whole, "correlation-replaced") == [message]
    fine = changed(("emit: FlightWanted", "emit: {event: Renamed, with: {other: saga.trip_id}}"))
    assert said(town(hotel, airline, text=fine, events=(Renamed,)), "correlation-replaced") == []


def test_sound_keys_are_not_spoken_of() -> None:
    """Where all fields are text and required, nothing is said."""
    service = Service("taker", handlers=[TakeRenamed])
    whole = town(hotel, airline, service, events=(Renamed,), outside={"town.Renamed": None})
    assert [said(whole, f"correlation-{kind}") for kind in ("types", "empty", "impossible")] == [[], [], []]
