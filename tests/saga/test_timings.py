"""decide: how an event comes, by its role and by the state that it meets: the table of docs/sagas.md, case by case."""

import pytest

from tests.saga.flow import flow, step
from tests.saga.story import Story

SECOND = 1_000_000
TIMINGS = ("early", "late", "duplicate", "out_of_order", "unexpected")
STRICT = f'{{"*": {{{", ".join(f"{timing}: dead-letter" for timing in TIMINGS)}}}}}'
EVERY_ROLE = (
    "{name: a, emit: AskA, completes_on: ADone, fails_on: AFailed, unknown_on: Told1, skips_on: Told2,"
    " reopens_on: Told3, compensate: {emit: UndoA, done_on: AUndone, fails_on: Told4, attempts: 2, wait: 10s}}"
)
SPEC = flow(
    EVERY_ROLE,
    "{name: b, completes_on: BDone, fails_on: BFailed,"
    " compensate: {emit: UndoB, done_on: BUndone, fails_on: FFailed, attempts: 1}}",
    step("c", "after: b", "skips_on: Told5", "reopens_on: FUndone"),
    step("d", "after: c", "reopens_on: FDone", undone=False),
    step("e", "after: d", "pivot: true", undone=False),
    compensates_on="Told6",
    events=STRICT,
)
"""Whatever comes at no good time becomes a dead letter, which says how it came."""


def came(past: str, event: str, at: int | None = None) -> str:
    """How an event comes after those of `past`, of which each comes a second after the one before; "" in time. It was
    emitted at second `at`, or just now.
    """
    story = Story(SPEC)
    for one in past.split():
        story.now += SECOND
        story.when(one)
    story.now += SECOND
    given = story.received(event)
    story.give(given if at is None else given._replace(at=at * SECOND))
    said = [reason.removeprefix(f"saga flow o1: flow.{event} ") for _, reason in story.last.letters]
    assert len(said) <= 1
    return said[0] if said else ""


END = "Started BDone ADone CDone DDone EDone"
CASES = [
    # what ends a step
    ("Started", "ADone", ""),
    ("Started", "CDone", "came early, c is idle"),
    ("Started AFailed", "CDone", "came late, c is idle"),
    ("Started ADone", "ADone", "came again, a is done"),
    ("Started ADone", "AFailed", "came late, a is done"),
    ("Started AFailed", "AFailed", "came again, a is failed"),
    ("Started AFailed", "ADone", "came late, a is failed"),
    ("Started BFailed", "ADone", "came late, a is compensating"),
    ("Started BFailed AUndone", "ADone", "came late, a is compensated"),
    ("Started BFailed AUndone", "AFailed", "came late, a is compensated"),
    # what skips one
    ("Started", "Told2", ""),
    ("Started Told2", "Told2", "came again, a is skipped"),
    ("Started ADone", "Told2", "came late, a is done"),
    ("Started AFailed", "Told5", "came late, c is idle"),
    ("Started", "Told5", ""),
    # what takes a done one back
    ("Started ADone", "Told3", ""),
    ("Started", "Told3", "came early, a is requested"),
    ("Started Told2", "Told3", "was not expected, a is skipped"),
    ("Started ADone BFailed", "Told3", ""),
    ("Started BDone CDone DDone AFailed", "FDone", ""),
    ("Started ADone BFailed AUndone", "Told3", "came again, a is compensated"),
    ("Started AFailed", "Told3", "was not expected, a is failed"),
    ("Started BFailed AUndone", "FUndone", "was not expected, c is idle"),
    # what answers an undo
    ("Started ADone BFailed", "AUndone", ""),
    ("Started ADone", "AUndone", "was not expected, a is done"),
    ("Started ADone BFailed AUndone", "AUndone", "came again, a is compensated"),
    ("Started ADone BFailed", "Told4", ""),
    ("Started ADone", "Told4", "was not expected, a is done"),
    ("Started ADone BFailed Told4", "Told4", "came again, a is compensating"),
    ("Started ADone BFailed AUndone", "Told4", "came late, a is compensated"),
    ("Started AFailed", "AUndone", "was not expected, a is failed"),
    ("Started BDone CDone DFailed", "BUndone", "came early, b is done"),
    ("Started BDone CDone DFailed", "FFailed", "came early, b is done"),
    ("Started BDone AFailed CUndone FFailed", "FFailed", "came again, b is compensation_failed"),
    ("Started BDone AFailed CUndone FFailed", "BUndone", ""),
    # what cancels the saga
    ("Started", "Cancelled", ""),
    ("Started Cancelled", "Cancelled", "came again, the saga is compensating"),
    ("Started AFailed", "Cancelled", "was not expected, the saga is compensating"),
    ("Started AFailed BUndone", "Cancelled", "came late, the saga is compensated"),
    (END, "Cancelled", "came late, the saga is completed"),
    ("Started BDone CDone DDone EDone", "Cancelled", "came late, the saga is waiting"),
    # what takes it back
    ("Started", "Told6", ""),
    ("Started Told6", "Told6", "came again, the saga is compensating"),
    ("Started Cancelled", "Told6", "was not expected, the saga is compensating"),
    (END, "Told6", "came late, the saga is completed"),
    # what starts it
    ("Started", "Started", "came again, the saga is waiting"),
]


@pytest.mark.parametrize(("past", "event", "said"), CASES)
def test_an_event_comes_as_the_table_says(past: str, event: str, said: str) -> None:
    """In time, or as the dead letter says."""
    assert came(past, event) == said


@pytest.mark.parametrize(
    ("past", "event", "at", "said"),
    [
        ("Started ADone", "Told3", 1, "came out of order, a is done"),
        ("Started ADone", "Told3", 2, ""),
        ("Started ADone Told3", "Told3", 2, "came out of order, a is requested"),
        ("Started ADone Told3", "Told3", 3, "came early, a is requested"),
        ("Started ADone Told3 Told2", "Told3", 2, "was not expected, a is skipped"),
        ("Started ADone Told3", "ADone", 2, "came out of order, a is requested"),
        ("Started ADone Told3", "AFailed", 2, "came out of order, a is requested"),
        ("Started ADone Told3", "ADone", 3, ""),
        ("Started ADone BFailed AUndone", "ADone", 3, "came out of order, a is compensated"),
        ("Started ADone BFailed AUndone", "ADone", 4, "came out of order, a is compensated"),
        ("Started ADone BFailed AUndone", "ADone", 5, "came late, a is compensated"),
        ("Started ADone BFailed AUndone", "AFailed", 3, "came late, a is compensated"),
        ("Started BFailed AUndone", "ADone", 2, "came late, a is compensated"),
        ("Started BDone CDone FUndone", "CDone", 3, "came out of order, c is waiting"),
    ],
)
def test_when_it_was_emitted_counts_where_a_step_is_done_again_or_undone(
    past: str, event: str, at: int, said: str
) -> None:
    """Before what is known by now it is out of order; at the same moment it is not."""
    assert came(past, event, at) == said


def test_a_complete_saga_is_cancelled_too_late_also_without_a_pivot() -> None:
    """What is over is over."""
    story = Story(flow(step("a"), events=STRICT)).when("Started", "ADone", "Cancelled").stands("completed")
    assert [reason for _, reason in story.last.letters] == [
        "saga flow o1: flow.Cancelled came late, the saga is completed"
    ]
