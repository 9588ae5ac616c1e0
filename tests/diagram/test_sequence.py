"""Sequence diagrams of counterexamples: exactly these lines, this Mermaid, these rows."""

import pytest

from choreo.diagram.sequence import as_mermaid, as_rows, as_text, sequence_of
from choreo.saga.explore import Decide
from tests.saga import test_explore as broken
from tests.saga.shop import spec_of


def drawn(decide: Decide, services: dict[str, str] | None = None) -> str:
    """What the console shows of the counterexample."""
    found = broken.found_by(decide).counterexample
    assert found is not None
    return "\n".join(as_text(sequence_of(spec_of(broken.SHOP), found, services)))


ORDER = """\
outside              order                 pay  ship
   |----OrderPlaced--->|                    |     |
   |                   * waiting            |     |
   |                   |<---PaymentTaken----|     |
   |                   |----ShipmentRequested---->|
   |--OrderCancelled-->|                    |     |
   |                   |--RefundRequested-->|     |
   |                   |--ParcelRecallRequested-->|
   |                   * compensating       |     |
   |                   * broken: pay is undone before ship, which must be undone first"""
TWICE = """\
outside              order                 pay     ship
   |----OrderPlaced--->|                    |        |
   |                   * waiting            |        |
   |                   |<---PaymentTaken----|        |
   |                   |------ShipmentRequested----->|
   |--OrderCancelled-->|                    |        |
   |                   |----ParcelRecallRequested--->|
   |                   * compensating       |        |
   |                   |<------ParcelRecalled--------|
   |                   |--RefundRequested-->|        |
   |                   |----ParcelRecallRequested--->|
   |                   * broken: ship is undone a second time"""
NEVER = """\
outside              order
   |----OrderPlaced--->|
   |                   * waiting
   |--OrderCancelled-->|
   |                   * compensating
   |                   * broken: pay is being undone, and nobody is asked to"""
EARLY = """\
outside              order
   |----OrderPlaced--->|
   |                   * waiting
   |--OrderCancelled-->|
   |                   * compensated
   |                   * broken: the saga is compensated though pay may have completed and is not undone"""


@pytest.mark.parametrize(
    ("decide", "picture"),
    [
        (broken.forgets_the_order, ORDER),
        (broken.undoes_twice, TWICE),
        (broken.never_asks_to_undo, NEVER),
        (broken.ends_too_early, EARLY),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_counterexample_is_drawn_line_by_line(decide: Decide, picture: str) -> None:
    """The shortest run that breaks a promise, as the console shows it: who tells whom, and what is broken."""
    assert drawn(decide) == picture


def test_services_take_the_places_of_their_steps() -> None:
    """Where it is known which service is at work on a step, the service takes part; one that has two steps, once."""
    heads = drawn(broken.forgets_the_order, {"pay": "payments", "ship": "payments"}).splitlines()[0]
    assert heads.split() == ["outside", "order", "payments"]


def test_what_is_on_its_way_for_longer_is_shown_where_it_was_said() -> None:
    """An event that is said, and is heard only after others, is a note first and an arrow later, or never."""
    found = broken.found_by(broken.forgets_the_pivot).counterexample
    assert found is not None
    lines = as_text(sequence_of(spec_of(broken.PIVOT), found))
    assert lines[3].lstrip("| ").startswith("* StockReserved is on its way")
    assert lines[-1].endswith("* broken: reserve is undone after a pivot")


def test_mermaid_says_the_same() -> None:
    """A sequenceDiagram with the same parts, arrows and notes."""
    found = broken.found_by(broken.never_asks_to_undo).counterexample
    assert found is not None
    assert as_mermaid(sequence_of(spec_of(broken.SHOP), found)) == (
        "sequenceDiagram\n"
        "    participant p0 as outside\n"
        "    participant p1 as order\n"
        "    p0->>p1: OrderPlaced\n"
        "    Note over p1: waiting\n"
        "    p0->>p1: OrderCancelled\n"
        "    Note over p1: compensating\n"
        "    Note over p1: broken: pay is being undone, and nobody is asked to\n"
    )


def test_programs_get_rows() -> None:
    """One row a line: kind, from, to, text."""
    found = broken.found_by(broken.never_asks_to_undo).counterexample
    assert found is not None
    rows = as_rows(sequence_of(spec_of(broken.SHOP), found))
    assert rows[0] == {"kind": "arrow", "from": "outside", "to": "order", "text": "OrderPlaced"}
    assert [row["kind"] for row in rows] == ["arrow", "note", "arrow", "note", "note"]
