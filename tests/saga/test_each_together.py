"""Steps that are done for each item, together with the rest of the language: locks, calendars, policies."""

from typing import Any

import pytest

from choreo.errors import SpecError
from choreo.events.codec import Codec
from choreo.replay.verify import verify
from choreo.resilience.dead_letter import read
from choreo.saga.coordinator import coordinator
from choreo.saga.lifecycle import lifecycle_event
from choreo.saga.policies import Timing
from choreo.saga.spec import Spec, parse_spec
from tests.runtime.town import Town
from tests.saga.story import Story
from tests.saga.test_each import CATALOGUE, SPEC, Line, LineShipped, Parcel


class Ordered(Parcel):
    """An order whose lines are known once it is packed."""

    region: str = ""
    lines: tuple[Line, ...] = ()


class Packed(Parcel):
    lines: tuple[Line, ...]


EVENTS = CATALOGUE | {event.contract.full_name: event for event in (Ordered, Packed)}
ISOLATED = "isolate_on: {by: region, scope: lines, expires: 10m}\n"
REQUESTED, RELEASED = "choreo.locks.lines.LockRequested", "choreo.locks.lines.LockReleased"
GRANTED, EXPIRED = "choreo.saga.each.LockGranted", "choreo.saga.each.LockExpired"
PACK = "  - {name: pack, completes_on: Packed, fails_on: BillRefused, compensate: none}\n"
KEEP = 'events: {"*": {early: keep 30m}}\n'


def ordered(*more: str, head: str = "") -> Spec:
    """The spec, started by Ordered; `more` are further keys of the step ship, `head` of the saga."""
    text = SPEC.replace("starts_on: Placed", "starts_on: Ordered").replace("within: 1h\n", f"within: 1h\n{head}")
    return parse_spec(text + "".join(f"    {line}\n" for line in more), "each.yaml", EVENTS)


def packed(*more: str, head: str = KEEP) -> Spec:
    """The same, with the list of the items told by the step before."""
    text = SPEC.replace("starts_on: Placed", "starts_on: Ordered").replace("within: 1h\n", f"within: 1h\n{head}")
    text = text.replace("steps:\n", f"steps:\n{PACK}")
    keys = "".join(f"    {line}\n" for line in ("after: pack", *more))
    return parse_spec(text.replace("saga.lines", "steps.pack.lines") + keys, "each.yaml", EVENTS)


def lines(*skus: str) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": 1} for sku in skus]


# -- locks -------------------------------------------------------------------------------------------------------------


def test_an_item_that_is_added_without_the_lock_waits_for_it() -> None:
    """The lock expired while the first line was under way: the second begins when it is held again."""
    story = Story(ordered("adds_on: LineAdded", head=ISOLATED)).when("Ordered", region="x", lines=lines("a"))
    story.when(GRANTED, claim="1").then(REQUESTED, "ShipLine").when(EXPIRED, claim="1").then()
    story.when("LineAdded", sku="b", quantity=2).then(REQUESTED).when(GRANTED, claim="2").then("ShipLine")
    story.when("LineShipped", sku="a").when("LineShipped", sku="b").then(RELEASED).stands("completed")


def test_no_item_begins_after_the_end_without_the_lock() -> None:
    """One that is added to a complete saga is refused; added to one that was reopened, it waits for the lock."""
    spec = ordered("adds_on: LineAdded", "reopens_on: LineReturned", head=ISOLATED)
    story = Story(spec).when("Ordered", region="x", lines=lines("a")).when(GRANTED, claim="1")
    story.when("LineShipped", sku="a").then(REQUESTED, "ShipLine", RELEASED).stands("completed")
    story.when("LineAdded", sku="b", quantity=2).then().stands("completed")
    assert story.last.dead_letter == "step ship takes no more items: it is done, and b comes too late"
    story.when("LineReturned", sku="a").then(REQUESTED).when("LineAdded", sku="b", quantity=2).then()
    story.when(GRANTED, claim="2").then("ShipLine", "ShipLine")


def test_an_item_that_is_not_needed_takes_no_lock() -> None:
    """Taken back where the step is done without it, it is not asked for again, and neither is the lock."""
    spec = ordered("complete: 1", "reopens_on: LineReturned", head=ISOLATED)
    story = Story(spec).when("Ordered", region="x", lines=lines("a", "b")).when(GRANTED, claim="1")
    story.when("LineShipped", sku="a").when("LineShipped", sku="b").then(REQUESTED, "ShipLine", "ShipLine", RELEASED)
    story.when("LineReturned", sku="a").then().stands("completed").when("LineReturned", sku="b").then(REQUESTED)
    story.when(GRANTED, claim="2").then("ShipLine", "ShipLine")


# -- calendars ---------------------------------------------------------------------------------------------------------


def test_the_time_of_an_item_counts_by_the_calendar_of_its_step() -> None:
    """Stories start at midnight: an open hour is over at ten, and at ten the next morning for a line that is added at
    night; reminders count alike.
    """
    office = "calendars: {office: {zone: UTC, open: '* 9-16 * * *'}}\n"
    more = ("calendar: office", "adds_on: LineAdded", "complete: any", "remind: {emit: Remind, every: 30m, at_most: 1}")
    story = Story(ordered(*more, head=office)).when("Ordered", lines=lines("a", "b")).then("ShipLine", "ShipLine")
    story.after("9h29m").then().after("1m").then("Remind", "Remind").after("15m")
    story.when("LineAdded", sku="c", quantity=1).then("ShipLine").after("14m").then()
    story.after("1m").then("RecallLine", "RecallLine").after("15m").then("Remind").when("LineShipped", sku="c")
    assert story.state("ship") == "done"


# -- policies ----------------------------------------------------------------------------------------------------------


def test_an_event_of_an_item_waits_for_the_list() -> None:
    """It is kept until it is known which items there are, and is let in for its own."""
    story = Story(packed()).when("Ordered").when("LineShipped", sku="a").then()
    assert story.last.changes == ("kept for its turn: each.LineShipped came early, ship is idle",)
    story.when("Packed", lines=lines("a", "b"))
    assert (story.state("ship[a]"), story.state("ship[b]")) == ("done", "requested")
    story.when("LineShipped", sku="b").stands("completed")
    assert story.instance is not None
    assert not story.instance.held


def test_an_event_before_the_saga_waits_for_the_list() -> None:
    """Also where it came before the saga: kept for that first, then for the list."""
    story = Story(packed()).when("LineShipped", sku="a").when("Ordered").when("Packed", lines=lines("a"))
    story.stands("completed")


def test_an_event_of_no_item_is_a_dead_letter_once_the_list_is_known() -> None:
    """It is the kept event that is buried, not the one that told the list."""
    story = Story(packed()).when("Ordered").when("LineShipped", sku="z").when("Packed", lines=lines("a"))
    assert (story.last.dead_letter, len(story.last.letters)) == (None, 1)
    assert "step ship can't take it: it has no item z" in story.last.letters[0][1]
    story.then("ShipLine").stands("waiting", "LineShipped")


@pytest.mark.parametrize("before", ["BillRefused", "Cancelled"])
def test_an_event_whose_list_will_not_be_known_is_a_dead_letter(before: str) -> None:
    """The saga goes back before anybody told the items."""
    story = Story(packed()).when("Ordered").when("LineShipped", sku="a").when(before)
    assert [reason for _, reason in story.last.letters] == [
        "saga each o1: each.LineShipped: step ship can't take it: the list of its items is not known yet"
    ]


def test_an_event_waits_for_the_item_that_is_added() -> None:
    """Where items can be added, an unknown one may still come."""
    story = Story(ordered("adds_on: LineAdded", head=KEEP)).when("Ordered", lines=lines("a")).then("ShipLine")
    story.when("LineShipped", sku="b").when("LineAdded", sku="b", quantity=1)
    assert story.state("ship[b]") == "done"
    story.when("LineShipped", sku="c").when("LineShipped", sku="a").stands("completed")
    assert "it has no item c" in story.last.letters[0][1]


def test_an_item_that_is_added_before_the_list_waits_for_it() -> None:
    """Without a policy it is a dead letter, as it was."""
    story = Story(packed("adds_on: LineAdded")).when("Ordered").when("LineAdded", sku="b", quantity=7)
    story.when("Packed", lines=lines("a"))
    assert (story.state("ship[a]"), story.state("ship[b]")) == ("requested", "requested")
    plain = Story(packed("adds_on: LineAdded", head="")).when("Ordered").when("LineAdded", sku="b", quantity=7)
    assert plain.last.dead_letter == "step ship takes no more items: the list of its items is not known yet"


@pytest.mark.parametrize(
    ("does", "outcome"), [("ignore", (0, None)), ("dead-letter", (1, None)), ("take", (0, "the list of its items"))]
)
def test_each_policy_holds_for_an_item_that_is_not_known(does: str, outcome: tuple[int, str | None]) -> None:
    """What is taken, and can't be, is the dead letter that it is without a policy."""
    spec = packed(head=f"events: {{LineShipped: {{early: {does}}}}}\n")
    story = Story(spec).when("Ordered").when("LineShipped", sku="a")
    found = story.last.dead_letter
    assert (len(story.last.letters), found if found is None else found.partition(": ")[2][:21]) == outcome
    assert (found is not None) or any(Timing.EARLY.words in change for change in story.last.changes)


def test_what_came_before_the_saga_and_speaks_of_no_item_is_itself_the_dead_letter() -> None:
    """Without a policy: the event that starts the saga is as good as ever."""
    story = Story(packed(head="")).when("LineShipped", sku="a").when("Ordered").stands("waiting", "Packed")
    assert story.last.dead_letter is None
    assert ["the list of its items is not known yet" in reason for _, reason in story.last.letters] == [True]
    assert story.last.letters[0][0] == (1).to_bytes(8, "big") + bytes(8)


def test_at_work_a_kept_event_of_no_item_is_buried_with_its_body() -> None:
    """Over a restart, kept for the saga and for the list: the other one is let in, the log verifies."""
    town = Town(coordinator(packed(), EVENTS))
    town.tell(LineShipped(order="o1", sku="z"), LineShipped(order="o1", sku="a"), Ordered(order="o1"))
    town.crash()
    town.tell(Packed(order="o1", lines=(Line(sku="a"),)))
    (record,) = town.records("choreo.saga.each.dead-letters")
    codec = Codec(town.registry, [LineShipped], town.log.cluster_id())
    assert codec.event(record._replace(topic=read(record).origin.topic)) == LineShipped(order="o1", sku="z")
    last = town.events("choreo.saga.each.lifecycle", [lifecycle_event("each")])[-1]
    assert (last.model_dump()["status"], last.model_dump()["steps"]["ship[a]"]) == ("completed", "done")
    backend = town.workers[0].tasks[0].task.entries.backend
    verdict = verify(town.services[0], town.log, town.registry, lambda partition: backend)
    assert [str(found) for found in (*verdict.differences, *verdict.divergences)] == []


def test_there_is_nothing_to_merge_of_an_item() -> None:
    """No fields of items are kept: a policy that would merge them is a mistake; `*` speaks for other steps only."""
    with pytest.raises(SpecError, match="completes items, of which no fields are kept to merge"):
        packed(head="events: {LineShipped: {duplicate: merge}}\n")
    spec = packed(head='events: {"*": {duplicate: merge}}\n')
    assert [policy.event for policy in spec.events] == ["each.Packed"]
