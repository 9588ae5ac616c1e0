"""decide: what people are asked, by whom it may be answered, and what an answer becomes."""

import pytest

from choreo.errors import SpecError
from choreo.saga.commands import command_of, order_of
from choreo.saga.decision import Answer, Resolve, Retry
from choreo.saga.explore import explore
from choreo.saga.people import Question
from tests.saga.office import PURCHASE, Office, spec_of

DAY = 86_400_000_000
APPROVED = {"limit": "300.00", "urgency": "high"}


def test_a_step_asks_a_person_with_the_values_of_its_saga() -> None:
    """The question names them as they were written; who is asked, since when and until when stands beside it."""
    (question,) = Office().questions()
    assert question == Question(
        saga="purchase",
        key="r1",
        step="approve",
        role="approver",
        text="Buy two lamps for 250.00 EUR?",
        decisions=("office.PurchaseApproved", "office.PurchaseRejected"),
        since=0,
        due=2 * DAY,
        overdue=False,
    )
    (question,) = Office(total="2500.00").questions()
    assert question.text == "Buy two lamps for 2500.00 EUR, above the limit?"


def test_a_question_shows_every_kind_of_value() -> None:
    """A computed number without its rounding error, what is not there as ?, and braces that mean themselves."""
    asks = "{saga.total * 1.1} {saga.by} {{x}} {saga.total > 5.0}"
    text = PURCHASE.replace(PURCHASE.split("asks: ")[1].splitlines()[0], f'"{asks}"')
    (question,) = Office(spec_of(text)).questions()
    assert question.text == "275 ? {x} true"


def test_an_approval_takes_the_saga_on() -> None:
    """The event carries what the person filled in, and what the saga knows itself; the history tells who and why."""
    office = Office()
    office.answer("PurchaseApproved", **APPROVED).then("PurchaseApproved")
    (emit,) = office.last.emits
    assert emit.fields == {"request": "r1", "what": "two lamps", **APPROVED}
    assert (emit.kind, emit.step) == ("answer", "approve")
    assert office.last.changes == ("answer approve office.PurchaseApproved (by ada as approver: seen it)",)
    office.when("PurchaseApproved", **APPROVED).then("OrderWanted").stands("waiting", "GoodsOrdered")
    assert office.questions() == []


def test_a_rejection_ends_the_saga() -> None:
    """A decision may be one that fails the step."""
    office = Office().answer("PurchaseRejected", reason="not needed").then("PurchaseRejected")
    office.when("PurchaseRejected").stands("compensated")
    office.answer("PurchaseApproved", **APPROVED)
    assert office.last.refused == "the saga has ended (compensated)"


def test_any_producer_may_decide() -> None:
    """A decision is an event: whoever emits it decides, also where an answer has been given that is not heard yet."""
    office = Office().when("PurchaseApproved", **APPROVED).then("OrderWanted")
    office.answer("PurchaseRejected", reason="not needed")
    assert office.last.refused == "step approve is done (office.PurchaseApproved): it waits for no event"


def test_people_are_reminded_and_then_it_is_escalated() -> None:
    """Once its time is over the question goes to those to whom it is escalated: they answer, the others do not."""
    office = Office().after("1d").then("ApproverReminded", "ApproverReminded").after("1d").then("ManagerCalled")
    (question,) = office.questions()
    assert (question.role, question.overdue, question.due) == ("manager", True, 2 * DAY)
    office.answer("PurchaseApproved", **APPROVED)
    assert office.last.refused == ("step approve is decided by manager, to whom it was escalated; not by approver")
    office.answer("PurchaseApproved", role="manager", who="grace", **APPROVED).then("PurchaseApproved")
    office.when("PurchaseApproved", **APPROVED).then("OrderWanted").stands("waiting", "GoodsOrdered")


def test_before_its_time_is_over_only_its_role_decides() -> None:
    """A role is needed, and it must be the one that is asked."""
    office = Office().answer("PurchaseApproved", role="manager", **APPROVED)
    assert office.last.refused == "step approve is decided by approver; not by manager"
    office.answer("PurchaseApproved", role="", **APPROVED).then()
    assert office.last.refused == "step approve is decided by approver; say so: --role approver"


def test_of_two_answers_the_second_is_refused() -> None:
    """Also while the event of the first is still on its way: nobody approves what another has just rejected."""
    office = Office().answer("PurchaseRejected", who="grace", reason="not needed").then("PurchaseRejected")
    assert office.questions() == []
    office.answer("PurchaseApproved", **APPROVED).then()
    assert office.last.refused == "step approve has been answered already: PurchaseRejected, by grace"


def test_what_the_saga_fills_is_not_for_people() -> None:
    """Its key, and what the start event has under the same name and type; the same name in another type is a field of
    the form.
    """
    office = Office().answer("PurchaseApproved", what="a car", **APPROVED).then()
    assert office.last.refused == "the saga fills what (two lamps) by itself: leave it out"
    office.answer("PurchaseApproved", request="r2", **APPROVED).then()
    assert office.last.refused == "the saga fills request (r1) by itself: leave it out"
    office.answer("PurchaseApproved", total="much", by="me", **APPROVED).then("PurchaseApproved")


def test_an_event_that_is_no_decision_is_refused() -> None:
    """Only those that end the step decide it; an undo is no matter of people, and needs no role."""
    office = Office().answer("GoodsOrdered")
    assert office.last.refused == (
        "step approve does not wait for office.GoodsOrdered, but for office.PurchaseApproved or office.PurchaseRejected"
    )
    office.when("PurchaseApproved", **APPROVED).when("OrderGivenBack").then("OrderWanted", "RevocationWanted")
    assert office.questions() == []
    office.answer("ApprovalRevoked", role="").then("ApprovalRevoked")


def test_an_operator_may_still_say_what_became_of_it() -> None:
    """Roles are for those who decide; an operator resolves without one."""
    Office().order(Resolve("approve", "failed")).stands("compensated")


def test_a_question_that_is_asked_again_may_be_answered_again() -> None:
    """Where a request is made anew, the first answer does not count any more."""
    text = PURCHASE.replace(
        "    completes_on: PurchaseApproved", "    emit: ManagerCalled\n    completes_on: PurchaseApproved"
    )
    office = Office(spec_of(text.replace("    tell: {overdue: ManagerCalled}\n", "")))
    office.then("ManagerCalled").answer("PurchaseRejected", reason="not needed").then("PurchaseRejected")
    office.after("1h").order(Retry("approve")).then("ManagerCalled")
    (question,) = office.questions()
    assert (question.since, question.due) == (3_600_000_000, 3_600_000_000 + 2 * DAY)
    office.answer("PurchaseApproved", **APPROVED).then("PurchaseApproved")


def test_a_decision_that_reopens_is_asked_anew() -> None:
    """Every time that the step is done again is a question of its own."""
    office = Office(spec_of(PURCHASE.replace("    on_timeout", "    reopens_on: ApproverReminded\n    on_timeout", 1)))
    office.answer("PurchaseApproved", **APPROVED).when("PurchaseApproved", **APPROVED).after("1h")
    assert office.questions() == []
    office.when("ApproverReminded")
    (question,) = office.questions()
    assert question.since == 3_600_000_000


def test_nobody_is_asked_for_ever_by_mistake() -> None:
    """A step that a person decides needs a time limit as any other, or says on purpose that it has none."""
    unlimited = PURCHASE.replace("within: 2d", "deadline: none")
    assert spec_of(unlimited).by_name["approve"].within_us is None
    with pytest.raises(SpecError, match="step approve may wait for ever"):
        spec_of(PURCHASE.replace("within: 2d\n", ""))


@pytest.mark.parametrize("role", ["manager", ""])
def test_a_role_travels_with_its_answer(role: str) -> None:
    """The command on the log says in which role somebody decided."""
    order = Answer("approve", "office.PurchaseApproved", {"limit": "1"}, role)
    assert order_of(command_of("purchase", "r1", order, "ada", "seen it")) == order


def test_people_make_no_difference_to_an_exploration() -> None:
    """Since when somebody is asked is no state of its own: there is no more to look at than without people."""
    begin, rest = PURCHASE.split("    human:\n")
    without = spec_of(begin + rest[rest.index("    completes_on") :])
    found = explore(spec_of())
    assert (found.counterexample, found.states) == (None, explore(without).states)
