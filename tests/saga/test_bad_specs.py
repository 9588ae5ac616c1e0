"""Specs with one mistake each, in bad_specs/*.yaml; what `choreo check` says of each stands beside it, word by word.

After a change of words, `python -m tests.saga.test_bad_specs` writes the texts anew: read the difference before you
commit it.
"""

import re
from pathlib import Path

import pytest

from choreo.checks.choreography import Choreography, SpecFile
from choreo.checks.every import find_all
from choreo.checks.finding import Finding, Spot, in_order
from choreo.errors import SpecError
from choreo.events.event import Event, Value
from choreo.saga.offers import Offers
from choreo.saga.spec import examine_spec, folder_of, parse_spec
from tests.saga.shop import EVENTS, OrderEvent

FOLDER = Path(__file__).parent / "bad_specs"
SPECS = sorted(FOLDER.glob("*.yaml"))
OFFERS = Offers(folder_of(FOLDER / "nested" / "*"))
"""What the specs with mistakes may nest."""
LEAST = 60


class Line(Value):
    sku: str
    quantity: int


class WeighedEvent(Event, namespace="shop", topic="shop.weights", key="order_id", abstract=True): ...


class WeightAsked(WeighedEvent):
    order_id: str
    warehouse: int


class OrderWeighed(WeighedEvent):
    order_id: int


class OrderLost(WeighedEvent):
    order_id: str | None


class PackedEvent(Event, namespace="shop", topic="shop.packing", key="order_id", abstract=True):
    order_id: str


class OrderPacked(PackedEvent):
    lines: tuple[Line, ...]
    boxes: int


class LineWanted(PackedEvent):
    sku: str


class LinePacked(PackedEvent):
    sku: str


class LineTaken(PackedEvent): ...


PACKED = {event.contract.full_name: event for event in PackedEvent.__subclasses__()}
WEIGHED = {event.contract.full_name: event for event in WeighedEvent.__subclasses__()}
CATALOGUE: dict[str, type[Event]] = {**EVENTS, **WEIGHED, **PACKED}


def findings(file: Path) -> list[Finding]:
    """What is found in a spec without its services."""
    source, name = file.read_text(encoding="utf-8"), file.name
    spec, problems = examine_spec(source, name, CATALOGUE, OFFERS)
    if spec is None or problems.found:
        return in_order(Finding(one.code, one.text, Spot(name, *one.place), one.cure) for one in problems.found)
    return in_order(find_all(Choreography(specs=(SpecFile(name, source, spec),), catalogue=CATALOGUE)))


def told(file: Path) -> str:
    """The same as people read it."""
    sources = {file.name: file.read_text(encoding="utf-8")}
    return "".join(f"{line}\n" for finding in findings(file) for line in finding.lines(sources))


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_each_mistake_is_said_word_by_word(file: Path) -> None:
    """The whole text: file:line:column, code, what is wrong, the line, the caret and the cure."""
    assert told(file) == file.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)
def test_a_run_refuses_it_with_the_same_words(file: Path) -> None:
    """What is wrong with the spec by itself stops a run too, with the text that `choreo check` prints."""
    try:
        parse_spec(file.read_text(encoding="utf-8"), file.name, CATALOGUE, OFFERS)
    except SpecError as error:
        refused = f"{error.message}\n"
    else:
        refused = told(file)  # sound by itself: found among its services and events only
        assert refused
    assert refused == told(file)


def test_there_are_many_and_no_two_are_alike() -> None:
    """At least sixty different mistakes, each with a place, and no text without a spec."""
    texts = {told(file).replace(file.name, "") for file in SPECS}
    assert len(texts) == len(SPECS) >= LEAST
    assert all(re.match(rf"{re.escape(file.name)}:\d+:\d+: (error|warning)\[[a-z-]+\]: ", told(file)) for file in SPECS)
    assert {file.stem for file in FOLDER.glob("*.txt")} == {file.stem for file in SPECS}


def test_the_events_of_the_mistakes_are_those_of_the_stories() -> None:
    """The bad specs speak of the events that the good ones speak of."""
    assert set(OrderEvent.__subclasses__()) <= set(CATALOGUE.values())


if __name__ == "__main__":
    for path in SPECS:
        path.with_suffix(".txt").write_text(told(path), encoding="utf-8")
