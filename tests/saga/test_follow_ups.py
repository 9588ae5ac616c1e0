"""What only follows from another mistake is not said: the first is said alone, and what is mended next shows then."""

import pytest

from choreo.saga.offers import Offers, texts_of
from choreo.saga.spec import examine_spec
from tests.saga.flow import CATALOGUE, source, step
from tests.saga.mall import CATALOGUE as MALL
from tests.saga.mall import FOLDER

ORDER, SHIPPING = ((FOLDER / f"{name}.yaml").read_text() for name in ("order", "shipping"))
READS = "when: steps.a.n > 0"
TELLS = "{name: c, after: x, emit: {event: Told, with: {m: steps.a.n}}, completes_on: CDone, compensate: none}"
ALONE = "{name: b, after: x, completes_on: BDone}"


def codes(text: str) -> list[str]:
    """What is found in a spec of flows, as `code: what is said`."""
    _, problems = examine_spec(text, "flow.yaml", CATALOGUE)
    return [f"{one.code}: {one.text}" for one in sorted(problems.found, key=lambda one: one.place)]


UNKNOWN = ["unknown-step: there is no step x"]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((step("a"), step("b", "after: x", READS)), UNKNOWN),
        ((step("a"), step("b", "after: x"), step("c", "after: b", READS)), UNKNOWN),
        ((step("a"), step("b", "else: x", READS)), UNKNOWN),
        ((step("a"), TELLS), UNKNOWN),
        ((step("a", "pivot: true"), ALONE), UNKNOWN),
        (
            (step("a"), step("b", "after: c", READS), step("c", "after: b")),
            ["cycle: these steps wait for each other: b after c after b"],
        ),
    ],
    ids=range(6),
)
def test_a_step_that_comes_after_nobody(steps: tuple[str, ...], said: list[str]) -> None:
    """What it reads, what its events need and whether it must be undone depends on what it comes after: not said."""
    assert codes(source(*steps)) == said


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            (step("a"), step("b", READS), step("c", "after: x")),
            ["not-before: step b reads step a, but does not come after it", *UNKNOWN],
        ),
        (
            (step("a", "pivot: true"), "{name: b, completes_on: BDone}", step("c", "after: x")),
            ["no-compensation: nothing undoes step b", *UNKNOWN],
        ),
        ((step("a"), step("b", "after: x", "when: saga.m > 0")), [*UNKNOWN, "bad-expression: there is no saga.m here"]),
    ],
    ids=range(3),
)
def test_what_is_wrong_by_itself(steps: tuple[str, ...], said: list[str]) -> None:
    """It is said beside the other: of steps whose place is known, and what no order of steps would mend."""
    assert sorted(codes(source(*steps))) == sorted(said)


def test_fields_of_an_end_that_is_not_there() -> None:
    """Where the event that completes a step is unknown, its fields are not looked up."""
    text = source(step("a").replace("ADone", "ADon"), step("b", "after: a", READS))
    assert codes(text) == ["unknown-event: there is no event flow.ADon"]
    assert codes(source(step("a"), step("b", "after: a", "when: steps.a.m > 0"))) == [
        "bad-expression: there is no steps.a.m here"
    ]


def nesting(shipping: str) -> list[str]:
    """What is found in the order of the mall, one more step of which reads what shipping told."""
    reads = "when: steps.ship.shipment_id != ''"
    more = f"  - {{name: thank, after: ship, {reads}, completes_on: OrderKept, compensate: none}}\n"
    _, problems = examine_spec(ORDER + more, "order.yaml", MALL, Offers(texts_of([shipping])))
    return [f"{one.code}: {one.text} ({one.nested})" for one in sorted(problems.found, key=lambda one: one.place)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps:", "steps: [", "unsound-saga: the spec of saga shipping can't be read (shipping)"),
        (
            "completed: ShipmentReady",
            "completed: ShipmentRedy",
            "unsound-saga: saga shipping speaks of mall.ShipmentRedy, and there is no such event here (shipping)",
        ),
        (
            "refused: ShipmentKept",
            "refused: ShipmentKep",
            "unsound-saga: saga shipping speaks of mall.ShipmentKep, and there is no such event here (shipping)",
        ),
        ("tell:", "tel:", "untold-end: saga shipping does not tell when it is completed or compensated or cancelled"),
    ],
)
def test_a_nested_saga_that_is_broken_itself(old: str, new: str, said: str) -> None:
    """That is said once, as of the other spec; nothing is said of the fields that its end would have."""
    assert old in SHIPPING
    (only,) = nesting(SHIPPING.replace(old, new, 1))
    assert only.startswith(said)


def test_a_nested_saga_that_is_sound_has_no_problems() -> None:
    """The step that reads it is sound, too."""
    assert nesting(SHIPPING) == []


def test_events_that_are_not_spoken_may_be_unknown() -> None:
    """A step that need not be undone asks for nothing back, whatever the other saga would take it back on."""
    order = ORDER.replace("saga: shipping,", "saga: shipping, compensate: none,")
    assert order != ORDER
    other = SHIPPING.replace("refused: ShipmentKept", "refused: ShipmentKep")
    assert examine_spec(order, "order.yaml", MALL, Offers(texts_of([other])))[1].found == []
