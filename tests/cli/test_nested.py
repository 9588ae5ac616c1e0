"""Nested sagas at the console: checked, run, shown and explained; also where another team deployed the nested one."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Choreo

MALL = '''
"""An order ships; the warehouse answers nothing for those that are slow, and can not unpick those that are stuck."""

from choreo import Context, Event, Handler, Service


class OrderEvent(Event, namespace="mall", topic="orders", key="order_id", abstract=True):
    order_id: str


class OrderPlaced(OrderEvent): ...


class OrderCancelled(OrderEvent): ...


class ShipmentEvent(Event, namespace="mall", topic="shipments", key="shipment_id", abstract=True):
    shipment_id: str
    order_id: str


class ShipmentWanted(ShipmentEvent): ...


class ShipmentUndone(ShipmentEvent): ...


class ShipmentReady(ShipmentEvent): ...


class ShipmentDropped(ShipmentEvent): ...


class PickWanted(ShipmentEvent): ...


class Picked(ShipmentEvent): ...


class UnpickWanted(ShipmentEvent): ...


class Unpicked(ShipmentEvent): ...


class UnpickFailed(ShipmentEvent): ...


class Pick(Handler[PickWanted]):
    def handle(self, wanted: PickWanted, ctx: Context) -> Picked | None:
        if "slow" in wanted.order_id:
            return None
        return Picked(shipment_id=wanted.shipment_id, order_id=wanted.order_id)

    def compensate(self, wanted: UnpickWanted, ctx: Context) -> Unpicked | UnpickFailed:
        undone = UnpickFailed if "stuck" in wanted.order_id else Unpicked
        return undone(shipment_id=wanted.shipment_id, order_id=wanted.order_id)


warehouse = Service("warehouse", handlers=[Pick])
'''
ORDER = """
saga: order
version: 1
namespace: mall
starts_on: OrderPlaced
correlate_by: order_id
within: 1h
cancels_on: OrderCancelled
steps:
  - {name: ship, saga: shipping@1, with: {shipment_id: "'S-' + saga.order_id"}}
"""
SHIPPING = """
saga: shipping
version: 1
namespace: mall
starts_on: ShipmentWanted
correlate_by: shipment_id
within: 1d
compensates_on: ShipmentUndone
tell: {completed: ShipmentReady, compensated: ShipmentDropped, cancelled: ShipmentDropped}
steps:
  - {name: pick, emit: PickWanted, completes_on: Picked,
     compensate: {emit: UnpickWanted, done_on: Unpicked, fails_on: UnpickFailed, attempts: 1}}
"""
LOG = "embedded:.choreo/log"


@pytest.fixture
def mall(directory: Path) -> Path:
    """A project with one service and two sagas, each in a folder of its own."""
    (directory / "mall.py").write_text(MALL, encoding="utf-8")
    (directory / "choreo.toml").write_text('[project]\nservices = ["mall"]\nsagas = "*/*.yaml"\n', encoding="utf-8")
    for name, text in (("order", ORDER), ("shipping", SHIPPING)):
        (directory / name).mkdir()
        (directory / name / f"{name}.yaml").write_text(text, encoding="utf-8")
    return directory


def test_a_project_of_nested_sagas_is_clean(mall: Path, choreo: Choreo) -> None:
    """Check finds the nested spec among those of the project; exploring and drawing know what a nested saga is."""
    choreo("check", "--strict", "--diagram", "drawn")
    explored = choreo("check", "mall.py", "order/order.yaml", "--explore", "--states", "300").stdout
    assert explored.startswith("saga order: 300 states, ")
    assert "no promise broken" in explored
    drawn = (mall / "drawn" / "order.mmd").read_text(encoding="utf-8")
    assert "is saga shipping" in drawn
    assert "also what was complete" in (mall / "drawn" / "shipping.mmd").read_text(encoding="utf-8")


READS = """  - {name: bill, after: ship, when: steps.ship.order_id != '', emit: {event: PickWanted, with:
     {shipment_id: steps.ship.shipment_id}}, completes_on: Picked, compensate: none}
"""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("steps:", "steps: [", "11:3: error[not-yaml]: expected the node content, but found '-'"),
        ("ShipmentReady", "ShipmentRedy", "9:19: error[unknown-event]: there is no event mall.ShipmentRedy"),
        ("tell:", "tel:", "9:1: error[unknown-key]: a saga has no key tel"),
        (
            "version: 1",
            "version: one",
            "3:10: error[not-a-number]: version takes a whole number of at least 1, not one",
        ),
    ],
)
def test_what_is_wrong_with_a_nested_saga_is_said_once(
    mall: Path, choreo: Choreo, old: str, new: str, said: str
) -> None:
    """At its own place; where it is nested, only what is wrong there. Looked at alone, the one above is refused."""
    (mall / "shipping" / "shipping.yaml").write_text(SHIPPING.replace(old, new, 1), encoding="utf-8")
    nesting = ORDER.replace("shipping@1", "shipping@2") if "version" in old else ORDER
    (mall / "order" / "order.yaml").write_text(nesting + READS, encoding="utf-8")
    found = [line for line in choreo("check", code=1).stdout.splitlines() if ": error[" in line]
    assert found == [f"shipping/shipping.yaml:{said}"]
    (mall / "order" / "order.yaml").write_text(nesting.replace("within: 1h", "within: soon"), encoding="utf-8")
    found = [line for line in choreo("check", code=1).stdout.splitlines() if ": error[" in line]
    assert [line.partition(":")[0] for line in found] == ["order/order.yaml", "shipping/shipping.yaml"]
    assert "error[not-a-duration]" in found[0]
    alone = choreo("check", "mall.py", "order/order.yaml", code=1).stdout
    assert "order/order.yaml:10:24: error[" in alone


def test_show_and_why_name_the_nested_saga(mall: Path, choreo: Choreo) -> None:
    """Which it is, under which key, how it stands, and where to read on."""
    choreo("emit", "mall.py:OrderPlaced", "order_id=slow")
    choreo("run", "--until-idle")
    shown = choreo("sagas", "show", "slow").stdout.splitlines()
    assert "  ship is saga shipping S-slow, waiting: pick waits for Picked" in shown
    (nested,) = json.loads(choreo("sagas", "show", "slow", "--json").stdout)["nested"]
    assert (nested["step"], nested["saga"], nested["key"], nested["status"]) == (
        "ship",
        "shipping",
        "S-slow",
        "waiting",
    )
    said = choreo("sagas", "why", "slow").stdout.splitlines()
    assert said[1].startswith("  waits for ShipmentReady (step ship): saga.shipping should emit it")
    stands = "saga shipping S-slow is waiting: pick waits for Picked"
    assert said[2] == f"    {stands} (choreo sagas why S-slow --saga shipping)"
    assert choreo("sagas", "why", "S-slow", "--saga", "shipping").stdout.startswith("shipping S-slow is waiting")
    choreo("check", "--strict", "--log", LOG)  # those under way can go on


def test_a_nested_saga_names_the_one_that_it_is_a_step_of(mall: Path, choreo: Choreo) -> None:
    """In listings, in what is shown and in why; one that was started by somebody else is nobody's."""
    choreo("emit", "mall.py:OrderPlaced", "order_id=slow")
    choreo("emit", "mall.py:ShipmentWanted", "shipment_id=S-own", "order_id=slow")
    choreo("run", "--until-idle")
    above = "  is step ship of saga order slow"
    for command in ("show", "why"):
        assert above in choreo("sagas", command, "S-slow").stdout.splitlines()
        assert " is step " not in choreo("sagas", command, "S-own").stdout
        told = json.loads(choreo("sagas", command, "S-slow", "--json").stdout)
        assert told["parent"] == {"step": "ship", "saga": "order", "key": "slow"}
    for filters in ((), ("--status", "waiting")):
        head, *lines = choreo("sagas", "list", *filters).stdout.splitlines()
        assert head.split()[2] == "PARENT"
        assert [line.split()[1:4] for line in lines] == [
            ["slow", "-", "waiting"],
            ["S-own", "-", "waiting"],
            ["S-slow", "order", "slow"],
        ]
    rows = [json.loads(line) for line in choreo("sagas", "list", "--json").stdout.splitlines()]
    assert [row["parent"] and row["parent"]["key"] for row in rows] == [None, None, "slow"]
    assert "PARENT" not in choreo("sagas", "list", "order").stdout  # where no saga is nested nothing is told of it


def test_one_that_has_ended_still_names_its_parent(mall: Path, choreo: Choreo) -> None:
    """And its parent how it ended."""
    choreo("emit", "mall.py:OrderPlaced", "order_id=o1")
    choreo("run", "--until-idle")
    assert "  is step ship of saga order o1" in choreo("sagas", "show", "S-o1").stdout.splitlines()
    assert "  ship is saga shipping S-o1, completed: pick done (Picked)" in choreo("sagas", "show", "o1").stdout


def test_why_follows_a_stuck_saga_down(mall: Path, choreo: Choreo) -> None:
    """The order is cancelled, what it nests can't be undone: why says what holds it up, and where."""
    choreo("emit", "mall.py:OrderPlaced", "order_id=slow-stuck")
    choreo("run", "--until-idle")
    choreo("emit", "mall.py:OrderCancelled", "order_id=slow-stuck")
    choreo("run", "--until-idle")
    said = choreo("sagas", "why", "slow-stuck").stdout
    assert said.startswith("order slow-stuck is compensating: cancelled (OrderCancelled)\n")
    assert "waits for ShipmentDropped (step ship): saga.shipping should emit it" in said
    stands = "stuck: taken back (ShipmentUndone), pick can't be undone (UnpickFailed), waits for Unpicked"
    assert f"    saga shipping S-slow-stuck is {stands} (choreo sagas why" in said


def test_a_saga_that_has_not_started_is_said_to(mall: Path, choreo: Choreo) -> None:
    """Its coordinator never ran: the order waits for it, and why knows that."""
    choreo("emit", "mall.py:OrderPlaced", "order_id=o1")
    choreo("run", "mall.py", "order/order.yaml", "--until-idle")
    assert "  ship is saga shipping S-o1, not started\n" in choreo("sagas", "show", "o1").stdout
    said = choreo("sagas", "why", "o1").stdout
    assert "    saga shipping S-o1 has not started\n" in said
    assert "    saga.shipping has never run on this log\n" in said


def test_a_key_that_was_used_before_is_told(mall: Path, choreo: Choreo) -> None:
    """The nested saga refuses to start a second time; why finds the dead letter under its key, not the order's."""
    choreo("emit", "mall.py:ShipmentWanted", "shipment_id=S-slow", "order_id=other")
    choreo("run", "--until-idle")
    choreo("emit", "mall.py:OrderPlaced", "order_id=slow")
    choreo("run", "--until-idle")
    said = choreo("sagas", "why", "slow").stdout
    assert "saga.shipping gave up on mall.ShipmentWanted of this key" in said
    assert "saga shipping S-slow has been started before" in said


def test_another_team_deploys_the_nested_saga(mall: Path, choreo: Choreo) -> None:
    """Its spec is read from the log where the project has none; without it the step is a mistake."""
    choreo("sagas", "deploy", "shipping/shipping.yaml")
    (mall / "shipping" / "shipping.yaml").unlink()
    events = ("PickWanted", "Picked", "UnpickWanted", "Unpicked", "UnpickFailed")  # of the other team's steps
    outside = ", ".join(f'"mall.{event}"' for event in events)
    settings = f'[project]\nservices = ["mall"]\nsagas = "*/*.yaml"\noutside = [{outside}]\n'
    (mall / "choreo.toml").write_text(settings, encoding="utf-8")
    assert "there is no saga shipping" in choreo("check", code=1).stdout
    choreo("check", "--strict", "--log", LOG)
    choreo("sagas", "deploy")
    choreo("emit", "mall.py:OrderPlaced", "order_id=o1")
    choreo("run", "--until-idle")
    assert choreo("sagas", "show", "o1").stdout.startswith("waiting: ship waits for ShipmentReady")


def test_a_trace_goes_through_the_nested_saga_and_both_fit_their_specs(mall: Path, choreo: Choreo) -> None:
    """The changes of both sagas stand in one story, whichever of them is asked for, and each emitter is proved."""
    choreo("emit", "mall.py:OrderPlaced", "order_id=o1")
    choreo("run", "--until-idle")
    stories = [json.loads(choreo("trace", key, "--json").stdout)["nodes"] for key in ("o1", "S-o1")]
    assert stories[0] == stories[1]
    changes = {(node["saga"], node["key"]) for node in stories[0] if node["kind"] == "change"}
    assert changes == {("order", "o1"), ("shipping", "S-o1")}
    ready = next(node for node in stories[0] if node.get("event") == "mall.ShipmentReady")
    assert ready["emitted_by"] == {"service": "saga.shipping", "handler": "Coordinator"}
    assert {one["service"] for one in ready["handled_by"]} == {"saga.order"}
    for saga in ("order", "shipping"):
        row = json.loads(choreo("sagas", "conformance", saga, "--json").stdout)
        assert (row["sagas"], row["fit"]) == (1, 1)
