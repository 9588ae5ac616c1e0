"""Whether it is said where a step is left out because too few of those that it waits for are taken."""

from decimal import Decimal
from typing import Annotated, Literal

import pytest
from pydantic import Field

from choreo.checks.choreography import Choreography, SpecFile
from choreo.checks.skipping import find_skipping
from choreo.events.event import Event
from choreo.saga.spec import parse_spec
from tests.saga.flow import CATALOGUE, FlowEvent, source, step

BIG, SMALL, ASKED = "when: saga.n > 5", "when: saga.n <= 5", "when: size(saga.items) > 2"


EACH = step("a", "for_each: saga.items", "item_key: item", "complete: any")
NONE, SOME = "when: steps.a.failed == 0", "when: steps.a.failed > 0"


class Ordered(FlowEvent):
    """`kind` is one of two, `weight` never nothing, `rush` not always known."""

    kind: Literal["book", "toy"]
    weight: Annotated[int, Field(gt=0)]
    price: Annotated[Decimal, Field(max_digits=12, decimal_places=2)]
    rush: bool | None = None


def found(*steps: str, starts_on: str = "Started") -> list[str]:
    """What is said about a spec of these steps, with line:column."""
    events: dict[str, type[Event]] = {**CATALOGUE, "flow.Ordered": Ordered}
    text = source(*steps, starts_on=starts_on)
    one = SpecFile("flow.yaml", text, parse_spec(text, "flow.yaml", events))
    whole = Choreography(specs=(one,), catalogue=events)
    return [f"{one.spot} {one.message}".removeprefix("flow.yaml:") for one in find_skipping(whole)]


TWO_OF_THREE = "after: {at_least: 2, of: [a, b, c]}"


def test_too_few_of_at_least() -> None:
    """Where so many are skipped that two can't be reached, that is said with the values by which it comes so."""
    assert found(step("a", BIG), step("b", BIG), step("c"), step("d", TWO_OF_THREE)) == [
        "12:108 step d is skipped without a word where a and b are skipped, as with saga.n = 5: it wants 2 of a, b, c"
    ]


def test_none_of_any() -> None:
    """`any` is looked at in the same way: nothing of it may be taken."""
    assert found(step("a", BIG), step("b", "when: saga.n > 7"), step("c", "after: {any: [a, b]}")) == [
        "11:108 step c is skipped without a word where a and b are skipped, as with saga.n = 5: it wants 1 of a, b"
    ]


def test_a_condition_that_can_not_be_tried() -> None:
    """It may come out either way; no values are told then."""
    assert found(step("a", ASKED), step("b"), step("c"), step("d", "after: {at_least: 2, of: [a, b, c]}")) == []
    (said,) = found(step("a", ASKED), step("b", ASKED), step("c"), step("d", TWO_OF_THREE))
    assert "without a word where a and b are skipped: it wants 2 of a, b, c" in said


def test_what_is_skipped_with_what_it_needs() -> None:
    """A step that is skipped because of others counts as skipped: the whole way of a choice."""
    ways = (step("a", BIG), step("b", "after: {any: a}"), step("c", BIG), step("d", "after: {any: [b, c]}"))
    (said,) = found(*ways)
    assert "step d is skipped without a word where b and c are skipped, as with saga.n = 5" in said


def test_a_way_that_is_taken_instead_of_another() -> None:
    """`else` takes one of two, not both."""
    (said,) = found(step("a", BIG), step("b", "else: a"), step("c", SMALL), step("d", TWO_OF_THREE))
    assert "where b and c are skipped" in said


@pytest.mark.parametrize(
    ("one", "other", "example"),
    [
        ("saga.kind == 'book'", "saga.kind == 'book'", "saga.kind = 'toy'"),
        ("saga.price >= 10.0", "saga.price <= 9.0", "saga.price = 9.5"),
    ],
)
def test_values_that_no_condition_names_are_tried(one: str, other: str, example: str) -> None:
    """What else a field may be, and what lies between two numbers."""
    ways = (step("a", f'when: "{one}"'), step("b", f'when: "{other}"'))
    (said,) = found(*ways, step("c", "after: {any: [a, b]}"), starts_on="Ordered")
    assert f"as with {example}: " in said


def test_a_field_that_may_be_null() -> None:
    """Null is tried too."""
    ways = (step("a", "when: saga.rush == true"), step("b", "when: saga.rush == false"))
    (said,) = found(*ways, step("c", "after: {any: [a, b]}"), starts_on="Ordered")
    assert "as with saga.rush = null" in said


@pytest.mark.parametrize(
    "steps",
    [
        (step("a"), step("b"), step("c", BIG), step("d", TWO_OF_THREE)),
        (step("a", BIG), step("b", "else: a"), step("c", "after: {any: [a, b]}")),
        (step("a", BIG), step("b", SMALL), step("c", "after: {any: [a, b]}")),
        (step("a", BIG), step("b", "when: saga.n < 6"), step("c", "after: {any: [a, b]}")),
        (step("a", ASKED), step("b", "when: size(saga.items) <= 2"), step("c", "after: {any: [a, b]}")),
        (step("a", ASKED), step("b", "when: '!(size(saga.items) > 2)'"), step("c", "after: {any: [a, b]}")),
        (step("a", ASKED), step("b", "after: a", "when: steps.a.status != 'done'"), step("c", "after: {any: [a, b]}")),
        (step("a", BIG), step("b", "after: {any: a}")),
        (step("a", BIG), step("b", BIG), step("c", "after: {at_least: 2, of: [a, b]}")),
        (step("a", BIG), step("b", BIG), step("c", "after: [a, b]")),
        (EACH, step("b", "after: a", NONE), step("c", "after: a", SOME), step("d", "after: {any: [b, c]}")),
        (step("a", BIG), step("b", BIG), step("c", BIG, "after: {any: [a, b]}")),
        (step("a", BIG), step("b", BIG), step("c", "after: {any: [a, b]}", "tell: {skipped: Told1}")),
        (step("a", BIG), step("b", BIG), step("c", "after: {any: [a, b]}"), step("d", "else: c")),
        (step("a", "skips_on: Told1"), step("b", "skips_on: Told2"), step("c", "after: {any: [a, b]}")),
    ],
    ids=range(15),
)
def test_what_is_reached_or_said(steps: tuple[str, ...]) -> None:
    """Nothing is said where enough are taken in every way, or where the spec says what happens else."""
    assert found(*steps) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("saga.kind == 'book'", "saga.kind == 'toy'"),
        ("saga.weight > 3", "saga.weight >= 1 && saga.weight < 4"),
        ("saga.price > 9.99", "saga.price < 10.0"),
    ],
)
def test_values_that_an_event_does_not_take_are_not_tried(one: str, other: str) -> None:
    """No third kind, and nothing that weighs nothing, is found to be left out; between two numbers is looked, too."""
    ways = (step("a", f'when: "{one}"'), step("b", f'when: "{other}"'))
    assert found(*ways, step("c", "after: {any: [a, b]}"), starts_on="Ordered") == []
