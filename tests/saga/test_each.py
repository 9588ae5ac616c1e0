"""Steps that are done for each item of a list: how many must be done, what becomes of the rest, items undone alone."""

from typing import Any

import pytest

from choreo.errors import SpecError
from choreo.events.event import Event, Value
from choreo.saga.decision import Answer, Resolve, Retry, Skip
from choreo.saga.items import MAX_ITEMS
from choreo.saga.people import questions_of
from choreo.saga.spec import Spec, parse_spec
from tests.saga.story import Story


class Line(Value):
    """What is to be shipped."""

    sku: str
    quantity: int = 1


class Parcel(Event, namespace="each", topic="each.parcels", key="order", abstract=True):
    """Any event of these stories."""

    order: str


class Placed(Parcel):
    lines: tuple[Line, ...]
    tags: list[str] = []


class ShipLine(Parcel):
    sku: str
    quantity: int
    label: str = ""


class LineShipped(Parcel):
    sku: str


class LineLost(Parcel):
    sku: str


class LineAdded(Parcel):
    sku: str
    quantity: int


class LineReturned(Parcel):
    sku: str


class RecallLine(Parcel):
    sku: str


class LineRecalled(Parcel):
    sku: str


class LineStays(Parcel):
    sku: str


class SendBill(Parcel):
    shipped: int
    lost: int


class BillSent(Parcel):
    pass


class BillRefused(Parcel):
    pass


class Cancelled(Parcel):
    pass


class Remind(Parcel):
    sku: str


EVENTS: tuple[type[Event], ...] = (
    Placed, ShipLine, LineShipped, LineLost, LineAdded, LineReturned, RecallLine, LineRecalled, LineStays, SendBill,
    BillSent, BillRefused, Cancelled, Remind,
)  # fmt: skip
CATALOGUE = {event.contract.full_name: event for event in EVENTS}
SPEC = """\
saga: each
version: 1
namespace: each
starts_on: Placed
cancels_on: Cancelled
correlate_by: order
within: 1h
steps:
  - name: ship
    for_each: saga.lines
    item_key: sku
    emit: ShipLine
    completes_on: LineShipped
    fails_on: LineLost
    compensate: {emit: RecallLine, done_on: LineRecalled, fails_on: LineStays, within: none, attempts: 1}
"""
BILL = """\
  - name: bill
    after: ship
    emit: {event: SendBill, with: {shipped: steps.ship.done, lost: steps.ship.failed}}
    completes_on: BillSent
    fails_on: BillRefused
    compensate: none
"""


def spec(*more: str, text: str = SPEC, after: str = BILL) -> Spec:
    """The spec; `more` are further keys of the step ship."""
    return parse_spec(text + "".join(f"    {line}\n" for line in more) + after, "each.yaml", CATALOGUE)


def placed(rules: Spec, *skus: str, **more: Any) -> Story:
    """An order of these lines is placed."""
    lines = [{"sku": sku, "quantity": number} for number, sku in enumerate(skus, start=1)]
    return Story(rules).when("Placed", lines=lines, **more)


def asked(story: Story) -> list[dict[str, Any]]:
    """The fields of what was emitted last."""
    return [dict(emit.fields) for emit in story.last.emits]


def test_each_item_is_asked_for_with_its_own_fields_and_all_must_be_done() -> None:
    """The step is done once all of its items are; what comes after it sees how many."""
    story = placed(spec(), "a", "b").then("ShipLine", "ShipLine")
    assert asked(story) == [{"order": "o1", "sku": "a", "quantity": 1}, {"order": "o1", "sku": "b", "quantity": 2}]
    story.when("LineShipped", sku="b").then().stands("waiting", "LineShipped")
    story.tells("waiting: ship 1 of 2 done, ship[a] waits for LineShipped")
    story.when("LineShipped", sku="a").then("SendBill")
    assert asked(story) == [{"order": "o1", "shipped": 2, "lost": 0}]
    story.when("BillSent").tells("completed: ship done (2 of 2), bill done (BillSent)")


def test_an_expression_reads_the_item_at_hand() -> None:
    """`item.x` in with: is a field of the item that is asked for."""
    text = SPEC.replace(
        "emit: ShipLine", "emit: {event: ShipLine, with: {label: item.sku + '!', quantity: item.quantity * 10}}"
    )
    story = placed(spec(text=text), "a", "b")
    assert [(one["label"], one["quantity"]) for one in asked(story)] == [("a!", 10), ("b!", 20)]


def test_plain_values_are_items_too() -> None:
    """A list of texts: each is an item, and its key."""
    text = SPEC.replace("saga.lines", "saga.tags").replace(
        "emit: ShipLine", "emit: {event: ShipLine, with: {quantity: size(item)}}"
    )
    story = placed(spec(text=text), tags=["x", "long"])
    assert asked(story) == [{"order": "o1", "sku": "x", "quantity": 1}, {"order": "o1", "sku": "long", "quantity": 4}]


def test_no_items_are_all_done() -> None:
    """An empty list holds nobody up."""
    placed(spec()).then("SendBill").stands("waiting", "BillSent")


def test_one_failed_item_fails_the_step_and_all_others_are_undone() -> None:
    """Of all, none may fail: what was shipped, or may have been, is recalled, line by line."""
    story = placed(spec(), "a", "b", "c").when("LineShipped", sku="a").then("ShipLine", "ShipLine", "ShipLine")
    story.when("LineLost", sku="b").then("RecallLine", "RecallLine").stands("compensating", "LineRecalled")
    assert [one["sku"] for one in asked(story)] == ["a", "c"]
    story.when("LineRecalled", sku="c").when("LineRecalled", sku="a").then()
    assert story.state("ship[b]") == "failed"
    assert story.instance is not None
    assert story.instance.status == "compensated"
    assert story.instance.cause is not None
    assert story.instance.cause.step == "ship"


def test_the_story_says_how_many_items_are_yet_to_be_undone() -> None:
    """While a step after it is undone its items wait; then each is told of; what needs no undo is kept."""
    undo = "compensate: {emit: Remind, with: {sku: \"'bill'\"}, done_on: LineReturned}"
    story = placed(spec(after=BILL.replace("compensate: none", undo)), "a", "b")
    story.when("LineShipped", sku="a").when("LineShipped", sku="b").when("Cancelled")
    told = "compensating: cancelled (Cancelled), {}bill {}"
    story.tells(told.format("ship 2 of 2 to be undone, ", "is being undone (waits for LineReturned)"))
    story.when("LineReturned").when("LineRecalled", sku="a")
    items = "ship[a] undone (LineRecalled), ship[b] is being undone (waits for LineRecalled), "
    story.tells(told.format(items, "undone (LineReturned)"))
    keeping = spec(text=SPEC[: SPEC.index("    compensate:")] + "    compensate: none\n")
    story = placed(keeping, "a").when("LineShipped", sku="a").when("BillRefused")
    story.tells("compensated: bill failed (BillRefused), ship done and kept (1 of 1)")


@pytest.mark.parametrize(("complete", "wanted"), [("any", 1), ("2", 2), ("60%", 3), ("80%", 4), ("100%", 4)])
def test_so_many_items_are_enough(complete: str, wanted: int) -> None:
    """any, a number, or a share rounded up: the step is done with the last that is needed, not before."""
    story = placed(spec(f"complete: {complete}"), *"abcd").then(*["ShipLine"] * 4)
    for sku in "abcd"[: wanted - 1]:
        story.when("LineShipped", sku=sku).then()
    story.when("LineShipped", sku="abcd"[wanted - 1]).then("SendBill")


def test_the_step_fails_once_too_many_items_have() -> None:
    """Of four, three are needed: the first failure is borne, the second is not."""
    story = placed(spec("complete: 3"), *"abcd").then(*["ShipLine"] * 4)
    story.when("LineLost", sku="a").then().when("LineLost", sku="d").then("RecallLine", "RecallLine")
    assert story.instance is not None
    assert story.instance.cause is not None
    assert story.instance.cause.by == "0 of 4 done, 3 wanted, ship[a] failed (LineLost), ship[d] failed (LineLost)"


def test_the_rest_may_still_be_done_before_the_saga_ends() -> None:
    """rest: leave, which is the default: what follows begins, and the saga waits for the others at its end."""
    story = (
        placed(spec("complete: any"), "a", "b").when("LineShipped", sku="a").then("ShipLine", "ShipLine", "SendBill")
    )
    story.when("BillSent").stands("waiting", "LineShipped")
    story.when("LineShipped", sku="b").stands("completed")


def test_the_rest_may_be_waited_for() -> None:
    """rest: wait: the step is done when nothing is open any more, if enough are."""
    story = placed(spec("complete: any", "rest: wait"), "a", "b").when("LineShipped", sku="a")
    story.then("ShipLine", "ShipLine").when("LineLost", sku="b").then("SendBill")
    assert asked(story) == [{"order": "o1", "shipped": 1, "lost": 1}]


def test_the_rest_may_be_undone() -> None:
    """rest: undo: who is not needed any more is called off, also when the answer comes late."""
    story = placed(spec("complete: any", "rest: undo"), *"abc").when("LineLost", sku="c").then(*["ShipLine"] * 3)
    story.when("LineShipped", sku="a").then("SendBill", "RecallLine")
    story.when("BillSent").stands("waiting", "LineRecalled")
    story.when("LineRecalled", sku="b").stands("completed")
    assert [story.state(f"ship[{sku}]") for sku in "abc"] == ["done", "compensated", "failed"]
    story.after("1h").when("LineShipped", sku="b").then("RecallLine")


def test_an_item_that_may_have_happened_is_undone_alone() -> None:
    """A line that times out is recalled at once while the others go on."""
    story = (
        placed(spec("complete: 1", "rest: wait"), "a", "b").when("LineShipped", sku="a").then("ShipLine", "ShipLine")
    )
    story.after("1h").then("SendBill", "RecallLine")
    assert asked(story)[1] == {"order": "o1", "sku": "b"}
    story.when("BillSent").stands("waiting", "LineRecalled").when("LineRecalled", sku="b").stands("completed")


def test_an_item_that_can_not_be_undone_is_stuck_until_somebody_says_more() -> None:
    """The saga does not end beside an undo that failed."""
    story = placed(spec("complete: any", "rest: undo"), "a", "b").when("LineShipped", sku="a").when("BillSent")
    story.when("LineStays", sku="b").stands("stuck", "LineRecalled").when("LineRecalled", sku="b").stands("completed")


def test_each_item_has_its_own_time_reminders_and_requests() -> None:
    """within, remind and retry belong to the item."""
    more = ("on_timeout: {retry: {attempts: 2}}", "remind: {emit: Remind, every: 40m, at_most: 1}")
    story = placed(spec(*more), "a", "b").then("ShipLine", "ShipLine").when("LineShipped", sku="a")
    story.after("40m").then("Remind").after("20m").then("ShipLine")
    assert asked(story) == [{"order": "o1", "sku": "b", "quantity": 2}]


def test_items_can_be_added_while_the_step_is_not_done() -> None:
    """adds_on: one more line is shipped as well; a known one changes nothing, one that comes too late is refused."""
    story = placed(spec("adds_on: LineAdded"), "a").then("ShipLine")
    story.when("LineAdded", sku="b", quantity=7).then("ShipLine")
    assert asked(story) == [{"order": "o1", "sku": "b", "quantity": 7}]
    story.when("LineAdded", sku="b", quantity=8).then()
    story.when("LineShipped", sku="a").then().when("LineShipped", sku="b").then("SendBill")
    story.when("LineAdded", sku="c", quantity=1).then()
    assert story.last.dead_letter == "step ship takes no more items: it is done, and c comes too late"


def test_a_step_with_fewer_items_than_must_be_done_waits_for_more() -> None:
    """It says so: without an item there is nothing else that it waits for."""
    story = placed(spec("complete: 2", "adds_on: LineAdded")).stands("waiting", "LineAdded")
    story.tells("waiting: ship 0 of 0 done, waits for LineAdded")
    story.when("LineAdded", sku="a", quantity=1).stands("waiting", "LineAdded", "LineShipped")
    story.when("LineAdded", sku="b", quantity=1).stands("waiting", "LineShipped")


def test_an_item_that_is_taken_back_takes_the_step_back() -> None:
    """reopens_on: only that line is shipped again, and what follows waits for it."""
    story = placed(spec("reopens_on: LineReturned"), "a", "b").then("ShipLine", "ShipLine")
    story.when("LineShipped", sku="a").when("LineShipped", sku="b").then("SendBill")
    story.when("LineReturned", sku="a").then("ShipLine").stands("waiting", "LineShipped", "BillSent")
    story.when("BillSent").stands("waiting", "LineShipped").when("LineShipped", sku="a").stands("completed")


def test_cancelling_undoes_each_item_that_may_have_happened() -> None:
    """What is done or under way is undone item by item, after what came later."""
    story = placed(spec(), "a", "b").when("LineShipped", sku="a").then("ShipLine", "ShipLine")
    story.when("Cancelled").then("RecallLine", "RecallLine").when("LineRecalled", sku="a").when("LineRecalled", sku="b")
    story.stands("cancelled")


def test_what_comes_later_is_undone_before_the_items() -> None:
    """The order of undoing holds for items as for steps."""
    undone = BILL.replace("compensate: none", "compensate: {emit: Remind, with: {sku: \"'-'\"}, done_on: Cancelled}")
    rules = spec(
        text=SPEC.replace("cancels_on: Cancelled\n", "").replace(", fails_on: LineStays", ""),
        after=undone
        + """\
  - name: last
    after: bill
    completes_on: LineAdded
    fails_on: LineStays
    compensate: none
""",
    )
    story = placed(rules, "a").when("LineShipped", sku="a").when("BillSent").then("ShipLine", "SendBill")
    story.when("LineStays").then("Remind").when("Cancelled").then("RecallLine")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([{"sku": "a"}, {"sku": "a"}], "there are two items with the sku a"),
        ([{"sku": None}], "an item has no sku"),
        ([{"sku": str(number)} for number in range(MAX_ITEMS + 1)], "there are 1,001 items, and 1,000 are the most"),
    ],
)
def test_a_list_of_no_use_fails_the_step(lines: list[dict[str, Any]], problem: str) -> None:
    """The step says what is wrong with its list, and the saga goes back."""
    story = Story(spec()).when("Placed", lines=lines)
    story.tells(f"compensated: ship failed ({problem})")


def test_an_event_that_speaks_of_no_known_item_is_a_dead_letter() -> None:
    """It is not lost, and changes nothing."""
    story = placed(spec(), "a").when("LineShipped", sku="z")
    assert story.last.dead_letter == "step ship can't take it: it has no item z"
    story.stands("waiting", "LineShipped")


def test_an_unfit_item_word_is_refused_with_its_place() -> None:
    """Before anything runs: no list, no key, events that don't name the item."""
    for old, new, code in (
        ("saga.lines", "saga.order", "not-a-list"),
        ("    item_key: sku\n", "", "no-item-key"),
        ("item_key: sku", "item_key: skuu", "no-such-field"),
        ("fails_on: LineLost", "fails_on: BillRefused", "no-item-key"),
        ("for_each: saga.lines\n", "# none\n", "no-items"),
        ("item_key: sku", "item_key: sku\n    complete: most", "wrong-shape"),
        ("item_key: sku", "item_key: sku\n    rest: drop", "wrong-shape"),
        ("item_key: sku", "item_key: sku\n    repeat: {until: 'true', at_most: 2}", "not-with-items"),
        ("item_key: sku", "item_key: sku\n    tell: {overdue: Remind}", "not-with-items"),
        ("item_key: sku", "item_key: sku\n    tell: {undone: Remind}", "not-with-items"),
    ):
        with pytest.raises(SpecError) as caught:
            spec(text=SPEC.replace(old, new))
        assert code in str(caught.value), (old, new, str(caught.value))


def test_an_operator_names_an_item() -> None:
    """retry, skip and resolve take `ship[a]`; of the step itself they are refused, with an item to name."""
    story = placed(spec(), "a", "b").then("ShipLine", "ShipLine")
    story.orders(Retry("ship")).then()
    assert story.last.refused == "step ship is done for each of its items: name one, such as ship[a]"
    story.orders(Retry("ship[b]")).then("ShipLine")
    assert asked(story) == [{"order": "o1", "sku": "b", "quantity": 2}]
    story.orders(Skip("ship[b]")).then().orders(Resolve("ship[a]", "done")).then("SendBill")


def test_an_operator_answers_for_an_item() -> None:
    """The emitted event names the item by itself."""
    story = placed(spec(), "a").then("ShipLine").orders(Answer("ship[a]", "each.LineShipped", {})).then("LineShipped")
    assert asked(story) == [{"order": "o1", "sku": "a"}]


def test_an_item_that_can_not_be_undone_is_mended_while_the_saga_goes_forward() -> None:
    """retry asks for the undo again; skip leaves it as it is."""
    story = placed(spec("complete: any", "rest: undo"), "a", "b").when("LineShipped", sku="a").when("BillSent")
    story.then("ShipLine", "ShipLine", "SendBill", "RecallLine")
    story.when("LineStays", sku="b").stands("stuck", "LineRecalled")
    story.orders(Retry("ship[b]")).then("RecallLine").when("LineStays", sku="b").stands("stuck", "LineRecalled")
    story.orders(Skip("ship[b]")).stands("completed")


def test_people_decide_item_by_item() -> None:
    """Each item is a question of its own, with its own values, and is answered under its name."""
    human = 'human: {role: packer, asks: "Ship {item.quantity} of {item.sku}?"}'
    story = placed(spec(human, text=SPEC.replace("    emit: ShipLine\n", "")), "a", "b")
    assert story.instance is not None
    asked = list(questions_of(story.spec, story.instance))
    assert [(one.step, one.text) for one in asked] == [("ship[a]", "Ship 1 of a?"), ("ship[b]", "Ship 2 of b?")]
    story.orders(Answer("ship[b]", "each.LineShipped", {}, "packer")).then("LineShipped")
    assert story.last.emits[0].fields == {"order": "o1", "sku": "b"}


def test_policies_go_by_the_item_that_an_event_speaks_of() -> None:
    """What is late, or said twice, is so for one item; an item that is known is a duplicate."""
    rules = "{LineShipped: {late: dead-letter, duplicate: dead-letter}, LineAdded: {duplicate: dead-letter}}"
    text = SPEC.replace("within: 1h\n", f"within: 1h\nevents: {rules}\n")
    story = placed(spec("complete: 1", "adds_on: LineAdded", text=text), "a", "b").when("LineLost", sku="b")
    story.when("LineShipped", sku="b")
    assert [reason for _, reason in story.last.letters] == [
        "saga each o1: each.LineShipped came late, ship[b] is failed"
    ]
    story.when("LineAdded", sku="a", quantity=1)
    assert len(story.last.letters) == 1
    story.when("LineShipped", sku="a")
    assert story.state("ship[a]") == "done"
