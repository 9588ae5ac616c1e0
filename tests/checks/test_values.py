"""Texts of a spec that a field never holds, and constants that an event refuses."""

from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import Field

from choreo.checks.choreography import Choreography
from choreo.events.event import Event, Value
from tests.checks.town import TRIP, codes, said, town


class Class(Enum):
    FIRST = "first"
    SECOND = "second"


class Journey(Event, namespace="town", topic="town.trips", key="trip_id", abstract=True):
    trip_id: str


class Bag(Value):
    size: Literal["big", "small"]
    holder: Class | None = None


class JourneyWanted(Journey):
    kind: Literal["work", "pleasure"]
    bags: tuple[Bag, ...] = ()
    colours: tuple[Literal["red", "blue"], ...] = ()
    seat: Class | None = None
    note: str = ""


class SeatWanted(Journey):
    seat: Class
    kind: Literal["work", "pleasure"] = "work"
    length: Annotated[str, Field(max_length=3)] = ""
    note: str = ""


class SeatTaken(Journey):
    seat: Class


class SeatKept(Journey):
    seat: str


def journey(when: str = "saga.kind == 'work'", seat: str = "'first'", more: str = "") -> Choreography:
    """A saga that asks for a seat under this condition, and with this mapping."""
    text = (
        TRIP[: TRIP.index("steps:")].replace("TripWanted", "JourneyWanted").replace("TripCancelled", "SeatKept")
        + f"""steps:
  - name: seat
    when: "{when}"
    emit: {{event: SeatWanted, with: {{seat: "{seat}"{more}}}}}
    completes_on: SeatTaken
    compensate: none
  - name: more
    after: seat
    when: steps.seat.seat == 'second'
    completes_on: [SeatTaken, SeatKept]
    compensate: none
  - {{name: last, after: more, when: "steps.more.seat == 'any'", completes_on: SeatKept, compensate: none}}
"""
    )
    return town(text=text, events=(JourneyWanted, SeatWanted, SeatTaken, SeatKept))


def test_what_a_field_may_hold_is_no_finding() -> None:
    """Values of an Enum and a Literal, null, any text where a field takes any, and expressions that read fields."""
    within = "saga.bags.all(bag, bag.size == 'big' && bag.holder != 'first') && saga.colours[0] == 'red'"
    for when in ("saga.kind == 'work'", "saga.seat != 'second'", "saga.seat == null", "saga.note == 'other'", within):
        assert (
            codes(journey(when, more=", kind: saga.kind, note: \"'any' + saga.note\""))
            & {
                "unknown-value",
                "unfit-value",
            }
            == set()
        )


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("saga.kind == 'wrok'", "saga.kind is 'wrok', which it never is"),
        ("saga.note == '' && 'third' != saga.seat", "saga.seat is 'third', which it never is"),
        ("saga.bags.all(bag, bag.size != 'sml')", "bag.size is 'sml', which it never is"),
        (
            "saga.bags.exists(bag, bag.holder != null && 'third' == bag.holder)",
            "bag.holder is 'third', which it never is",
        ),
        ("saga.bags[0].size == 'huge'", "saga.bags[0].size is 'huge', which it never is"),
        ("saga.colours.exists(colour, colour == 'green')", "colour is 'green', which it never is"),
    ],
)
def test_a_text_that_an_enum_does_not_have(when: str, message: str) -> None:
    """A condition that asks for it is a mistake, whichever side the text stands on."""
    assert said(journey(when), "unknown-value") == [f"10:11 step seat asks whether {message}"]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("seat: \"'third'\"", "seat does not take 'third': Input should be 'first' or 'second'"),
        ("kind: \"'wrok'\"", "kind does not take 'wrok': Input should be 'work' or 'pleasure'"),
        ("length: \"'ab' + 'cd'\"", "length does not take 'abcd': String should have at most 3 characters"),
    ],
)
def test_a_constant_that_an_event_refuses(field: str, message: str) -> None:
    """It is found before the saga would emit it."""
    found = journey(seat="'third'") if field.startswith("seat") else journey(more=f", {field}")
    assert [one.partition(" ")[2] for one in said(found, "unfit-value")] == [f"town.SeatWanted.{message}"]
