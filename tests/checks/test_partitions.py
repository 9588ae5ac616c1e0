"""Whether the inputs of each service are cut alike, and whether named settings are for somebody."""

from choreo.checks.choreography import Count, Named
from choreo.checks.every import find_all
from choreo.checks.finding import Finding, Spot
from choreo.events.event import Event
from choreo.service.calls import Downstream
from choreo.service.context import Context
from choreo.service.handler import Handler
from choreo.service.service import Service, Settings
from tests.checks.town import TripWanted, airline, hotel, said, town


class Weather(Event, namespace="town", topic="town.weather", key="place"):
    place: str


class Watch(Handler[TripWanted | Weather]):
    bank = Downstream("bank")

    def handle(self, event: TripWanted | Weather, ctx: Context) -> None: ...


class WatchByPlace(Handler[Weather]):
    def handle(self, event: Weather, ctx: Context) -> None: ...


class WatchSettings(Settings):
    limit: int = 1


SPOT = Spot("choreo.toml", 7)
COUNTS = {"town.trips": Count(4, "kafka://x"), "town.weather": Count(6, SPOT)}


def watched(handler: type[Handler[Event]], **more: object) -> list[Finding]:
    service = Service("watch", handlers=[handler], settings=WatchSettings)
    return list(find_all(town(hotel, airline, service, events=(Weather,), outside={"town.Weather": None}, **more)))


def test_inputs_with_different_counts() -> None:
    """Two inputs of one service with different numbers of partitions are an error where one of them is set."""
    (found,) = watched(Watch, counts=COUNTS)
    assert (found.code, found.spot) == ("not-co-partitioned", SPOT)
    assert found.message == (
        "the inputs of service watch have different numbers of partitions: town.trips 4, town.weather 6"
    )


def test_inputs_of_different_services_may_differ() -> None:
    """Topics that no service reads together may be cut as they like."""
    assert watched(WatchByPlace, counts=COUNTS) == []


def test_settings_that_hold_for_nobody() -> None:
    """Names in the settings that nobody bears are found, with the one that was meant; known ones are not."""
    good = (Named("downstreams", "bank", None), Named("topics", "town.trips", None), Named("settings", "watch", None))
    more = (Named("topics", "choreo.watch.changelog", None), Named("topics", "default", None))
    assert watched(Watch, named=good + more) == []
    bad = (Named("downstreams", "bnak", SPOT), Named("topics", "town.trps", None), Named("settings", "wach", None))
    assert [(one.code, one.message, one.cure) for one in watched(Watch, named=bad)] == [
        (
            "unknown-downstream",
            "[downstreams.bnak]: no handler of this project declares a downstream of this name",
            "did you mean bank?",
        ),
        (
            "unknown-topic",
            "[topics.town.trps]: no service of this project uses a topic of this name",
            "did you mean town.trips?",
        ),
        ("unknown-settings", "[settings.wach]: no service of this name has settings", "did you mean watch?"),
    ]
    assert watched(Watch, named=bad, whole=False) == []


def test_a_handler_of_no_service_only_in_the_whole() -> None:
    """Where a part of the project is looked at, handlers of other parts are not missed."""
    assert said(town(handlers=(Watch,), whole=False), "unused-handler") == []
    assert len(said(town(handlers=(Watch,)), "unused-handler")) == 1
