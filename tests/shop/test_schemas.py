"""The published contracts of the shop: one schema for each event, as its class says."""

from pathlib import Path

from choreo.demo.shop import load_shop
from choreo.events.contracts import drift
from choreo.events.event import Event

SCHEMAS = Path(__file__).parents[2] / "schemas"


def spoken() -> set[type[Event]]:
    """Every event that a service of the shop handles or emits."""
    return {event for service in load_shop().services for event in (*service.handled, *service.emitted)}


def test_every_event_is_published_as_its_class_says() -> None:
    """No schema in schemas/ lags behind its class (`choreo schemas export` writes them)."""
    assert {event.contract.full_name: drift(event, SCHEMAS) for event in spoken() if drift(event, SCHEMAS)} == {}


def test_nothing_is_published_that_nobody_says() -> None:
    """Each schema in schemas/shop belongs to an event of the shop."""
    published = {f"shop.{path.stem}" for path in (SCHEMAS / "shop").glob("*.avsc")}
    assert published == {event.contract.full_name for event in spoken()}
