"""Items at work: the coordinator of a saga with a step for each line, on the memory log, restarts included."""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

import pytest

from choreo.cli.saga_steps import diagram
from choreo.diagram.drawing import graph_of_spec
from choreo.replay.verify import verify
from choreo.saga import draft, explain, lifecycle
from choreo.saga.coordinator import coordinator
from choreo.saga.explain import waits_for
from choreo.saga.instance import StepRecord
from choreo.saga.items import with_items
from choreo.saga.lifecycle import lifecycle_event
from choreo.saga.rules import Spec
from tests.runtime.town import Town
from tests.saga.story import Story
from tests.saga.test_each import (
    CATALOGUE,
    Line,
    LineLost,
    LineRecalled,
    LineShipped,
    Placed,
    RecallLine,
    ShipLine,
    placed,
    spec,
)

Changed = lifecycle_event("each")
PLACED = Placed(order="o1", lines=(Line(sku="a", quantity=2), Line(sku="b")))


def test_items_survive_a_restart_and_a_replay() -> None:
    """Each line is asked for once, is found again after a restart, and is undone alone; the log verifies."""
    service = coordinator(spec(), CATALOGUE)
    town = Town(service)
    town.tell(PLACED, LineShipped(order="o1", sku="b"))
    asked = town.events("each.parcels", CATALOGUE.values())
    assert [event for event in asked if isinstance(event, ShipLine)] == [
        ShipLine(order="o1", sku="a", quantity=2),
        ShipLine(order="o1", sku="b", quantity=1),
    ]
    town.crash()
    town.lose_stores()
    town.start()
    town.tell(LineLost(order="o1", sku="a"))
    asked = town.events("each.parcels", CATALOGUE.values())
    assert [event.sku for event in asked if isinstance(event, RecallLine)] == ["b"]
    town.tell(LineRecalled(order="o1", sku="b"))
    last = town.events("choreo.saga.each.lifecycle", [Changed])[-1]
    assert last.status == "compensated"
    assert last.steps == {"ship": "failed", "bill": "idle", "ship[a]": "failed", "ship[b]": "compensated"}
    backend = town.workers[0].tasks[0].task.entries.backend
    verdict = verify(service, town.log, town.registry, lambda partition: backend)
    assert [str(found) for found in (*verdict.differences, *verdict.divergences)] == []


def test_items_stand_below_their_step() -> None:
    """What `choreo sagas show` draws: each line of an order, and for which event it waits."""
    story = Story(spec()).when("Placed", lines=[{"sku": "a", "quantity": 1}, {"sku": "b", "quantity": 1}])
    story.when("LineShipped", sku="b")
    assert story.instance is not None
    steps = {name: record.state.value for name, record in story.instance.steps.items()}
    row = {"steps": steps, "waits_for": list(waits_for(story.spec, story.instance)), "status": story.instance.status}
    assert [line.rstrip() for line in diagram(row, story.spec)] == [
        "  ship                 waiting",
        "    - for each of saga.lines: all; within 1h each; then it does not count",
        "    ship[a]              requested  <-- waits for LineShipped",
        "    ship[b]              done",
        "    bill                 idle  after ship",
        "      - within 1h; then all is undone",
    ]


def test_a_picture_says_what_is_done_for_each() -> None:
    """The box of the step names its list, and how many are enough."""
    (box,) = [box for box in graph_of_spec(spec("complete: 80%")).boxes if box.lines[0] == "ship"]
    assert "for each of saga.lines: 80% of them" in box.lines


def test_the_steps_of_all_items_are_made_once_for_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many look at them: what decides hands them on to what tells of it."""
    story, made = placed(spec(), "a", "b"), list[int]()

    def counted(rules: Spec, records: Mapping[str, StepRecord]) -> Spec:
        made.append(len(records))
        return with_items(rules, records)

    for room in (draft, explain, lifecycle):
        monkeypatch.setattr(room, "with_items", counted)
    story.when("LineShipped", sku="a")
    told = lifecycle.changed(story.spec, story.last, UUID(int=1), story.now)
    assert made == [len(("ship", "bill", "ship[a]", "ship[b]"))]
    assert told is not None
    assert story.instance is not None
    assert told.waits_for == explain.waits_for(story.spec, story.instance) == ("each.LineShipped",)
    assert told.explanation == explain.explain(story.spec, story.instance)


def test_an_item_that_comes_with_an_event_is_told_of_with_it() -> None:
    """What is told goes by the items as they are after the event, not as they were before it."""
    story = placed(spec("adds_on: LineAdded"), "a").when("LineAdded", sku="b", quantity=1)
    told = lifecycle.changed(story.spec, story.last, UUID(int=1), story.now)
    assert told is not None
    assert told.explanation == "waiting: ship 0 of 2 done, ship[a] waits for LineShipped, ship[b] waits for LineShipped"


def test_an_item_is_the_step_for_one_under_a_name_of_its_own() -> None:
    """All that the step says of an item, and nothing of the whole; two differ in their names only."""
    story = placed(spec(), "a", "b")
    assert story.instance is not None
    steps = with_items(story.spec, story.instance.steps).by_name
    one, other, whole = steps["ship[a]"], steps["ship[b]"], story.spec.by_name["ship"]
    assert replace(one, name=other.name) == other != one
    assert (one.item_of, one.emit, one.compensate, one.fans_out) == ("ship", whole.emit, whole.compensate, False)
