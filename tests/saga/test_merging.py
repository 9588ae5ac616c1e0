"""decide: `merge`, the policy for a second event that says the same: whose fields count."""

from tests.saga.flow import flow, step
from tests.saga.story import Story
from tests.saga.test_policies import changes, shop


def test_a_second_event_that_says_the_same_is_merged() -> None:
    """The fields of the one that was emitted last count, in whatever order they arrive; the step stays as it is."""
    story = shop("{PaymentTaken: {duplicate: merge}}").when("OrderPlaced").after("1s")
    older = story.received("PaymentTaken", amount="7.00")
    story.after("1s").when("PaymentTaken", amount="8.00")
    story.after("1s").when("PaymentTaken", amount="9.50")
    assert changes(story) == ["pay: its fields are those of a later shop.PaymentTaken"]
    story.give(older)
    assert changes(story) == ["ignored: shop.PaymentTaken came again, pay is done by a later one"]
    story.when("StockRejected").then("RefundRequested")
    assert story.emits[-1].fields["amount"] == "9.50"


def test_what_is_merged_counts_by_the_time_of_saying_it() -> None:
    """Of two that were emitted at the same time the one that is heard last counts; one from between two is older than
    what was merged since.
    """
    story = (
        shop("{PaymentTaken: {duplicate: merge}}").when("OrderPlaced").after("1s").when("PaymentTaken", amount="7.00")
    )
    story.when("PaymentTaken", amount="8.00")
    assert story.instance is not None
    assert story.instance.steps["pay"].fields == {"amount": "8.00"}
    story.after("1s")
    between = story.received("PaymentTaken", amount="9.00")
    story.after("1s").when("PaymentTaken", amount="10.00").give(between)
    assert story.instance is not None
    assert story.instance.steps["pay"].fields == {"amount": "10.00"}


def test_only_what_completes_a_step_is_merged() -> None:
    """An event that takes another step back besides changes no fields of that."""
    steps = (
        step("a", "reopens_on: BDone"),
        step("b"),
        step("c", "when: steps.a.n > 0 && steps.b.n > 0", "after: [a, b]"),
    )
    story = Story(flow(*steps, step("d"), events="{BDone: {duplicate: merge}}")).when("Started")
    story.when("ADone", n=1).after("1s")
    before = story.received("BDone", n=3)
    story.when("BDone", n=2).when("ADone", n=1).after("1s").when("DFailed", "CUndone", "BUndone", "BDone")
    assert (story.state("a"), story.state("b")) == ("compensated", "compensated")
    story.give(before)
    assert changes(story) == ["ignored: flow.BDone came again, a is compensated"]
