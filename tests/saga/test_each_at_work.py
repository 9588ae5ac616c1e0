"""Items at work: the coordinator of a saga with a step for each line, on the memory log, restarts included."""

from choreo.cli.saga_steps import diagram
from choreo.diagram.drawing import graph_of_spec
from choreo.replay.verify import verify
from choreo.saga.coordinator import coordinator
from choreo.saga.explain import waits_for
from choreo.saga.lifecycle import lifecycle_event
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
    row = {"steps": steps, "waits_for": list(waits_for(story.spec, story.instance))}
    assert [line.rstrip() for line in diagram(row, story.spec)] == [
        "  ship                 waiting",
        "    ship[a]              requested  <-- waits for LineShipped",
        "    ship[b]              done",
        "    bill                 idle  after ship",
    ]


def test_a_picture_says_what_is_done_for_each() -> None:
    """The box of the step names its list, and how many are enough."""
    (box,) = [box for box in graph_of_spec(spec("complete: 80%")).boxes if box.lines[0] == "ship"]
    assert "for each of saga.lines: 80% of them" in box.lines
