"""decide: under which id each event is emitted. Whoever acts on one knows by it that it has done so already."""

from choreo.saga.decision import Answer, Emit, Retry, request_id
from tests.saga.flow import flow, step
from tests.saga.story import Story

SECOND = 1_000_000
ASK = "on_timeout: {ask: {emit: Told1, within: 10s, attempts: 2}}"
REMIND = "remind: {emit: Told2, every: 15s, at_most: 2}"
UNDO = "compensate: {emit: UndoA, done_on: AUndone, within: 5s, attempts: 2}"
SPEC = flow(
    f"{{name: a, emit: AskA, completes_on: ADone, within: 20s, {ASK}, {REMIND}, {UNDO}, tell: {{unknown: Told3}}}}",
    tell="{started: Told4, compensated: Told6}",
)


def named(emit: Emit) -> tuple[str, str | None, str]:
    """What an event is for: its short name, its step, its kind."""
    return emit.event.removeprefix("flow."), emit.step, emit.kind


def ids(step_name: str, kind: str, number: int) -> bytes:
    return request_id("flow", "o1", step_name, kind, number)


def test_every_event_has_the_id_of_what_it_is_for() -> None:
    """Requests go by step and round, whatever the attempt; what is only told goes by its moment and the time."""
    story = Story(SPEC)
    story.now = SECOND
    story.when("Started").after("1m").when("AUndone").stands("compensated")
    assert [(*named(emit), emit.request_id) for emit in story.emits] == [
        ("Told4", None, "notice", ids("", "say started", SECOND)),
        ("AskA", "a", "do", ids("a", "do", 1)),
        ("Told2", "a", "notice", ids("a", "say reminder 1", 16 * SECOND)),
        ("Told1", "a", "notice", ids("a", "say ask 1", 21 * SECOND)),
        ("Told1", "a", "notice", ids("a", "say ask 2", 31 * SECOND)),
        ("Told2", "a", "notice", ids("a", "say reminder 2", 31 * SECOND)),
        ("Told3", "a", "notice", ids("a", "say unknown", 41 * SECOND)),
        ("UndoA", "a", "undo", ids("a", "undo", 1)),
        ("UndoA", "a", "undo", ids("a", "undo", 1)),
        ("Told6", None, "notice", ids("", "say compensated", 61 * SECOND)),
    ]


def test_a_refusal_and_an_answer_go_by_what_they_answer() -> None:
    """Each cancellation that is refused, and each answer of an operator, has an id made of that of its event."""
    story = Story(flow(step("a", "pivot: true", undone=False), step("b", "after: a"))).when("Started", "ADone")
    for _ in range(2):
        story.when("Cancelled")
        told = (2 + len(story.emits)).to_bytes(8, "big") + bytes(8)
        assert story.emits[-1].request_id == request_id("flow", "o1", told.hex(), "notice", 1)
        assert named(story.emits[-1]) == ("Refused", None, "notice")
    story.orders(Answer("b", "flow.BDone", {}), its := b"\x07" * 16)
    assert story.emits[-1].request_id == request_id("flow", "o1", its.hex(), "answer", 1)


def test_a_request_that_an_operator_repeats_keeps_its_id() -> None:
    """So it is done once; the id of a further run is another."""
    story = Story(flow(step("a", "emit: AskA", "reopens_on: Told1"))).when("Started").orders(Retry("a"))
    story.when("ADone", "Told1")
    assert [(emit.round, emit.attempt, emit.request_id) for emit in story.emits] == [
        (1, 1, ids("a", "do", 1)),
        (1, 2, ids("a", "do", 1)),
        (2, 1, ids("a", "do", 2)),
    ]


def test_ids_are_the_same_bytes_in_every_version() -> None:
    """A request that was made before an update is recognised after it."""
    assert ids("a", "do", 1).hex() == "eea888a561d08cf4901c163a5dc24fb6"
