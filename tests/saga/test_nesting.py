"""What a nested saga is at load time: found by name and version, filled in from its text, kept with those under way."""

from pathlib import Path

import pytest

from choreo.errors import SpecError
from choreo.log.memory import MemoryLog
from choreo.saga.clauses import Nested, Reference, SagaKey
from choreo.saga.explore import Bounds, explore
from choreo.saga.offers import NOBODY, Offers, offer_of, texts_of
from choreo.saga.shelf import deploy, older_specs, shelf, whole_shelf
from choreo.saga.spec import load_spec, parse_spec
from tests.saga.mall import CATALOGUE, FOLDER, load

ORDER, SHIPPING, DELIVERY = ((FOLDER / f"{name}.yaml").read_text() for name in ("order", "shipping", "delivery"))
LATER = SHIPPING.replace("version: 2", "version: 3").replace("completed: ShipmentReady", "completed: ShipmentKept")
"""Another version of shipping, which tells its end by another event."""
LATER = LATER.replace("{event: ShipmentUndone, refused: ShipmentKept}", "ShipmentUndone")


def offers(*sources: str) -> Offers:
    return Offers(texts_of(sources))


def said(source: str, *others: str) -> str:
    """What is wrong with a spec that may nest these others."""
    with pytest.raises(SpecError) as raised:
        parse_spec(source, "order.yaml", CATALOGUE, offers(*others))
    return raised.value.message


def test_a_nested_saga_is_a_step_like_any_other() -> None:
    """Its start event is the request, its tells are the answers, what takes it back is the undo, with the same key."""
    step = load("order").by_name["ship"]
    assert step.nested == Nested("shipping", "shipment_id")
    assert step.emit is not None
    assert step.compensate is not None
    assert step.emit.event == "mall.ShipmentWanted"
    assert isinstance(step.emit.fields["order_id"], SagaKey)
    assert step.emit.fields["by_hand"] == Reference(None, "by_hand")
    assert step.completes_on == ("mall.ShipmentReady",)
    assert step.fails_on == step.compensate.done_on == ("mall.ShipmentDropped", "mall.ShipmentCancelled")
    assert (step.compensate.emit.event, step.compensate.fails_on) == ("mall.ShipmentUndone", ("mall.ShipmentKept",))
    assert step.compensate.emit.fields["shipment_id"] == step.emit.fields["shipment_id"]


def test_the_undo_takes_those_mappings_that_it_has_fields_for() -> None:
    """`with` is written once, for both events; the one that takes the saga back may have fewer fields."""
    more = ORDER.replace("with: {shipment_id:", "with: {by_hand: 'true', shipment_id:")
    step = parse_spec(more, "order.yaml", CATALOGUE, offers(SHIPPING)).by_name["ship"]
    assert step.emit is not None
    assert step.compensate is not None
    assert set(step.emit.fields) == {"shipment_id", "order_id", "by_hand"}
    assert set(step.compensate.emit.fields) == {"shipment_id", "order_id"}


def test_its_key_may_come_from_a_step_that_is_surely_done() -> None:
    """The undo reads it too: a saga that was started was started after that step."""
    first = "  - {name: pay, emit: PaymentWanted, completes_on: PaymentTaken, compensate: none}\n"
    ship = "  - {name: ship, after: pay, saga: shipping, with: {shipment_id: steps.pay.order_id}}\n"
    spec = parse_spec(ORDER.partition("  - {")[0] + first + ship, "order.yaml", CATALOGUE, offers(SHIPPING))
    assert spec.by_name["pay"].keeps == ("order_id",)
    assert "may-be-missing" in said(ORDER.partition("  - {")[0] + first + ship.replace("after: pay, ", ""), SHIPPING)


def test_a_step_may_say_that_its_saga_need_not_be_undone() -> None:
    """`compensate: none` is said on purpose; beyond a pivot nothing is undone anyway."""
    shipped = SHIPPING.replace("compensates_on: {event: ShipmentUndone, refused: ShipmentKept}\n", "")
    assert "nothing undoes step ship" in said(ORDER, shipped)
    for more in ("compensate: none", "pivot: true"):
        spec = parse_spec(ORDER.replace("saga: shipping,", f"saga: shipping, {more},"), "o", CATALOGUE, offers(shipped))
        assert spec.by_name["ship"].compensate is None
    pivot = parse_spec(
        ORDER.replace("saga: shipping,", "saga: shipping, pivot: true,"), "o", CATALOGUE, offers(SHIPPING)
    )
    assert pivot.by_name["ship"].compensate is None


def test_answers_that_can_not_find_the_saga_above_are_a_mistake() -> None:
    """Events of the nested saga carry the key of the one above, or `correlate_by` says under which name."""
    found = said(ORDER.replace("saga: shipping, with: {shipment_id:", "saga: delivery, with: {delivery_id:"), DELIVERY)
    assert "mall.Delivered has no field order_id, by which the saga is found" in found
    assert "order.yaml:9:24" in found


def test_the_folder_comes_first_and_the_highest_version_of_it(tmp_path: Path) -> None:
    """A spec beside the one that nests it stands before those from elsewhere; of two there the later version counts."""
    (tmp_path / "order.yaml").write_text(ORDER)
    (tmp_path / "notes.yaml").write_text("- no spec")
    (tmp_path / "bytes.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="there is no saga shipping"):
        load_spec(tmp_path / "order.yaml", CATALOGUE)
    elsewhere = load_spec(tmp_path / "order.yaml", CATALOGUE, offers(LATER))
    assert elsewhere.by_name["ship"].completes_on == ("mall.ShipmentKept",)
    (tmp_path / "shipping.yaml").write_text(SHIPPING)
    near = load_spec(tmp_path / "order.yaml", CATALOGUE, offers(LATER))
    assert near.by_name["ship"].completes_on == ("mall.ShipmentReady",)
    (tmp_path / "shipping-3.yaml").write_text(LATER)
    assert load_spec(tmp_path / "order.yaml", CATALOGUE).by_name["ship"].completes_on == ("mall.ShipmentKept",)


def test_at_least_a_version_is_that_one_or_a_later_one() -> None:
    """A lower one is a mistake that names both."""
    asks = ORDER.replace("saga: shipping,", "saga: shipping@3,")
    assert "needs version 3 of saga shipping or a later one, this is 2" in said(asks, SHIPPING)
    for enough in ("@2", "@3"):
        asks = ORDER.replace("saga: shipping,", f"saga: shipping{enough},")
        assert parse_spec(asks, "o", CATALOGUE, offers(LATER)).by_name["ship"].completes_on == ("mall.ShipmentKept",)


def test_nothing_else_is_read_for_a_spec_that_nests_nothing() -> None:
    """Texts of others are read when the first step asks for one."""

    def never() -> list[str]:
        raise AssertionError("nobody asked")

    spec = (FOLDER / "delivery.yaml").read_text()
    assert parse_spec(spec, "delivery.yaml", CATALOGUE, Offers(never)).name == "delivery"


def test_texts_that_are_no_specs_offer_nothing() -> None:
    """What is wrong with them is for whoever loads them to say."""
    assert [offer_of(text) for text in ("", "- a list", "saga: [", "services: {web: {image: x}}")] == [None] * 4
    assert NOBODY.names() == []


def test_a_circle_over_several_sagas_is_named_whole() -> None:
    """From the saga at hand through each that it nests, back to itself."""
    back = "  - {name: again, saga: order, with: {order_id: saga.delivery_id}, compensate: none}\n"
    found = said(ORDER, SHIPPING, DELIVERY + back)
    assert "saga order would never end: order nests shipping nests delivery nests order" in found


def test_sagas_that_nest_each_other_share_no_lock() -> None:
    """Whoever holds a lock while it waits for a saga that wants one of the same scope waits in vain, at any depth; each
    with a scope of its own is no mistake.
    """

    def with_lock(text: str, by: str, scope: str = "desk") -> str:
        return text.replace("steps:", f"isolate_on: {{by: {by}, scope: {scope}, within: 1h}}\nsteps:")

    order, below = with_lock(ORDER, "order_id"), with_lock(DELIVERY, "delivery_id")
    found = said(order, SHIPPING, below)
    assert "order.yaml:10:24: error[shared-lock]" in found
    assert "order nests shipping nests delivery, and both take locks of the scope desk" in found
    assert "order nests shipping, and both" in said(order, with_lock(SHIPPING, "order_id"), DELIVERY)
    named = ORDER.replace("steps:", "isolate_on: {by: order_id}\nsteps:")
    assert "locks of the scope order" in said(named, with_lock(SHIPPING, "order_id", "order"))
    for apart in (with_lock(SHIPPING, "order_id", "dock"), SHIPPING):
        assert parse_spec(order, "o", CATALOGUE, offers(apart, DELIVERY)).lock_scope == "desk"
    assert parse_spec(ORDER, "o", CATALOGUE, offers(with_lock(SHIPPING, "order_id"), below)).lock_scope is None


def test_instances_keep_the_events_with_which_they_began() -> None:
    """A later version of the nested saga tells its end by another event: the spec above is another one then. The older
    one is read with the version that it was deployed with, also once the later one lies on the shelf.
    """
    log = MemoryLog()
    child, older = load("shipping"), parse_spec(ORDER, "order.yaml", CATALOGUE, offers(SHIPPING))
    deploy(log, child, SHIPPING)
    deploy(log, older, ORDER)
    deploy(log, parse_spec(LATER, "s.yaml", CATALOGUE, offers(DELIVERY)), LATER)
    newer = parse_spec(ORDER, "order.yaml", CATALOGUE, offers(*(one.source for one in whole_shelf(log))))
    with pytest.raises(SpecError, match="version 1 was deployed with another content"):
        deploy(log, newer, ORDER)
    found = older_specs(log, newer, CATALOGUE)
    assert [(one.digest, one.by_name["ship"].completes_on) for one in found] == [
        (older.digest, ("mall.ShipmentReady",))
    ]
    assert [one.version for one in shelf(log, "shipping")] == [2, 3]


def test_a_nested_saga_that_was_never_deployed_is_taken_from_the_project() -> None:
    """Only the saga above runs here: its older versions are read with what the project has."""
    log, older = MemoryLog(), parse_spec(ORDER, "order.yaml", CATALOGUE, offers(SHIPPING))
    deploy(log, older, ORDER)
    newer = parse_spec(ORDER.replace("version: 1", "version: 2"), "order.yaml", CATALOGUE, offers(SHIPPING))
    assert older_specs(log, newer, CATALOGUE, offers(SHIPPING)) == [older]
    assert older_specs(log, newer, CATALOGUE) == []


def test_runs_around_a_nested_saga_keep_every_promise() -> None:
    """It is explored as one service that may do anything in any order, and may be taken back by others."""
    found = explore(load("order"), None, Bounds(states=700))
    assert found.counterexample is None
    assert {"completed", "compensated", "cancelled"} <= set(found.ends)
    assert found.left_out == ()
