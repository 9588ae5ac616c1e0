"""Remedies: which orders about a saga as it stands would be taken, asked of `decide` itself."""

from collections.abc import Mapping

from choreo.events.event import Event
from choreo.saga.decision import Answer, Cancel, Command, Order
from choreo.saga.instance import Instance
from choreo.saga.remedies import held_up_at, remedies
from choreo.saga.rules import Spec
from tests.saga.flow import CATALOGUE, flow, step
from tests.saga.office import EVENTS, Office
from tests.saga.story import Story


def orders(spec: Spec, instance: Instance | None, catalogue: Mapping[str, type[Event]] = CATALOGUE) -> list[str]:
    """What somebody may order now, as it is typed; an order is a tuple, and those of two kinds may be equal."""
    assert instance is not None
    given = Command(Cancel(), b"x" * 16, 1_000_000, 1_000_000, "ada", "seen it")
    found = remedies(spec, instance, given, catalogue, held_up_at(spec, instance))
    return [" ".join([type(one.order).__name__.lower(), *_words(one.order)]) for one in found]


def _words(order: Order) -> list[str]:
    if isinstance(order, Answer):
        return [order.step, order.event.rpartition(".")[2], *([f"as {order.role}"] if order.role else [])]
    return [str(part) for part in order]


def test_of_a_step_that_is_asked_for_everything_may_be_said() -> None:
    """It may be asked for again, answered, resolved and skipped; what is not its turn is left alone."""
    spec = flow(step("a", "emit: AskA"), step("b", "after: a", "emit: AskB"))
    story = Story(spec).when("Started")
    assert orders(spec, story.instance) == [
        "retry a",
        "answer a ADone",
        "answer a AFailed",
        "resolve a done",
        "resolve a failed",
        "skip a",
        "cancel",
    ]


def test_what_services_begin_by_themselves_is_not_asked_for_again() -> None:
    """A retry would be refused: so it is not proposed."""
    spec = flow(step("a"))
    assert "retry a" not in orders(spec, Story(spec).when("Started").instance)


def test_past_a_pivot_nothing_is_cancelled() -> None:
    """Stuck on its way forward: the step that failed may be done after all."""
    spec = flow(step("a", "emit: AskA", "pivot: true", undone=False), step("b", "after: a", "emit: AskB", undone=False))
    story = Story(spec).when("Started", "ADone", "BFailed")
    assert story.instance is not None
    assert story.instance.status == "stuck"
    found = orders(spec, story.instance)
    assert "cancel" not in found
    assert {"retry b", "resolve b done", "skip b"} <= set(found)


def test_while_a_saga_goes_back_its_undo_is_what_holds_it_up() -> None:
    """Not the step that failed; and nobody says in place of a service that its undo failed."""
    undo = "{emit: UndoA, done_on: AUndone, fails_on: Told1, attempts: 1}"
    a = f"{{name: a, emit: AskA, completes_on: ADone, fails_on: AFailed, compensate: {undo}}}"
    spec = flow(a, step("b", "after: a", "emit: AskB"))
    story = Story(spec).when("Started", "ADone", "BFailed", "Told1")
    assert story.instance is not None
    assert held_up_at(spec, story.instance) == ["a"]
    expected = ["retry a", "answer a AUndone", "resolve a compensated", "skip a"]
    assert orders(spec, story.instance) == expected


def test_the_worst_step_comes_first_and_after_the_end_none() -> None:
    """A step that failed goes before one that is asked for."""
    spec = flow(
        step("a", "emit: AskA", "pivot: true", undone=False),
        step("b", "after: a", "emit: AskB", undone=False),
        step("c", "after: a", "emit: AskC", undone=False),
    )
    story = Story(spec).when("Started", "ADone", "CFailed")
    assert story.instance is not None
    assert held_up_at(spec, story.instance) == ["c", "b"]
    ended = story.instance.model_copy(update={"status": "completed", "ended_at": 1})
    assert held_up_at(spec, ended) == []


def test_a_decision_of_people_is_proposed_in_their_role() -> None:
    """Whose turn it is to answer: without it the answer would be refused."""
    asked = Office()
    found = orders(asked.spec, asked.instance, EVENTS)
    assert {"answer approve PurchaseApproved as approver", "answer approve PurchaseRejected as approver"} <= set(found)


def test_a_request_that_can_not_be_made_is_not_proposed() -> None:
    """The coordinator could not take it: `Told` lacks the value that it needs."""
    spec = flow(step("a", "emit: {event: Told, with: {m: saga.n}}"), step("b", "emit: AskB"))
    found = orders(spec, Story(spec).when("Started").instance)
    assert "retry a" not in found
    assert "retry b" in found
    assert "retry a" in orders(spec, Story(spec).when("Started", n=3).instance)
