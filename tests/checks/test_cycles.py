"""Events that lead to themselves again."""

from choreo.service.context import Context
from choreo.service.handler import Handler
from choreo.service.service import Service
from choreo.service.timer import Timer
from tests.checks.town import FlightBooked, FlightWanted, TripEvent, airline, hotel, said, town


class Ping(TripEvent): ...


class Pong(TripEvent): ...


class AnswerPing(Handler[Ping]):
    def handle(self, ping: Ping, ctx: Context) -> Pong:
        return Pong(trip_id=ping.trip_id)


class AnswerPong(Handler[Pong]):
    def handle(self, pong: Pong, ctx: Context) -> Ping | None:
        return Ping(trip_id=pong.trip_id) if pong.trip_id else None


class AnswerPongSomehow(Handler[Pong]):
    def handle(self, pong: Pong, ctx: Context) -> Ping:
        return make(pong)


def make(pong: Pong) -> Ping:
    return MAKERS["ping"](trip_id=pong.trip_id)


MAKERS: dict[str, type[Ping]] = {"ping": Ping}


class AnswerPongLater(Handler[Pong]):
    again = Timer[str]()

    def handle(self, pong: Pong, ctx: Context) -> None: ...

    @again.due
    def ask_again(self, trip_id: str, ctx: Context) -> Ping:
        return Ping(trip_id=trip_id)


class AskPing(Handler[FlightBooked | Pong]):
    """Asks, and hears the answer: no cycle, since the answer does not ask again."""

    def handle(self, event: FlightBooked | Pong, ctx: Context) -> Ping | None:
        if isinstance(event, Pong):
            return None
        return Ping(trip_id=event.trip_id)


class WantAgain(Handler[FlightBooked]):
    def handle(self, flight: FlightBooked, ctx: Context) -> FlightWanted:
        return FlightWanted(trip_id=flight.trip_id)


ping = Service("ping", handlers=[AnswerPing])


def test_two_services_that_answer_each_other_for_ever() -> None:
    """The circle is a warning, once, with the way that it takes."""
    whole = town(hotel, airline, ping, Service("pong", handlers=[AnswerPong]), events=(Ping, Pong))
    way = "town.Ping -> ping: AnswerPing.handle -> town.Pong -> pong: AnswerPong.handle -> town.Ping"
    assert said(whole, "cycle-of-services") == [f"town.Ping leads to itself: {way}"]


def test_a_timer_closes_a_circle() -> None:
    """What a timer emits was caused by what set it."""
    whole = town(hotel, airline, ping, Service("pong", handlers=[AnswerPongLater]), events=(Ping, Pong))
    assert len(said(whole, "cycle-of-services")) == 1


def test_what_cannot_be_followed_may_close_a_circle() -> None:
    """A return that can't be read counts as anything that the annotation names."""
    whole = town(hotel, airline, ping, Service("pong", handlers=[AnswerPongSomehow]), events=(Ping, Pong))
    assert len(said(whole, "cycle-of-services")) == 1


def test_a_question_and_its_answer_are_no_circle() -> None:
    """A handler that asks on one event and only listens on the other leads nowhere again."""
    whole = town(hotel, airline, ping, Service("asker", handlers=[AskPing]), events=(Ping, Pong))
    assert said(whole, "cycle-of-services") == []


def test_pairs_of_a_spec_are_set_aside() -> None:
    """Request and answer that a step names are no circle, though a service asks again by itself."""
    whole = town(hotel, airline, Service("again", handlers=[WantAgain]))
    assert said(whole, "cycle-of-services") == []
