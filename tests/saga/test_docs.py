"""docs/sagas.md is true: its specs are specs, and it leaves no key of the language out."""

import re
from collections.abc import Mapping
from pathlib import Path
from types import new_class

import pytest

from choreo.events.event import Event, Value
from choreo.saga import shapes
from choreo.saga.offers import Offers
from choreo.saga.shapes import Key
from choreo.saga.spec import parse_spec

PAGE = (Path(__file__).parents[2] / "docs" / "sagas.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


class Leg(Value):
    """A part of a trip."""

    leg: str
    price: float


class TravelEvent(Event, namespace="travel", topic="travel.trips", key="trip_id", abstract=True):
    """All events of the page, in one shape."""

    trip_id: str
    customer: str = ""
    nights: int = 1
    room: str = ""
    stay_id: str = ""
    price: float = 0
    leg: str = ""
    legs: tuple[Leg, ...] = ()


def _known() -> dict[str, type[Event]]:
    names = {name for block in BLOCKS for name in re.findall(r"\b(?:[A-Z][a-z]+){2,}\b", block)}
    made = {name: new_class(name, (TravelEvent,), {}, lambda body: body.update(__module__=__name__)) for name in names}
    return {f"travel.{name}": event for name, event in sorted(made.items())}


CATALOGUE = _known()


@pytest.mark.parametrize("block", BLOCKS)
def test_each_spec_of_the_page_is_one(block: str) -> None:
    """What a reader copies has no mistake."""
    assert parse_spec(block, "docs/sagas.md", CATALOGUE, Offers(lambda: BLOCKS)).steps


def test_the_page_names_every_key() -> None:
    """No key of a spec is missing from the page."""
    tables: list[Mapping[str, Key]] = [table for name, table in vars(shapes).items() if name.endswith("_KEYS")]
    missing = {key for table in tables for key in table if not re.search(rf"\b{key}\b", PAGE)}
    assert not missing
