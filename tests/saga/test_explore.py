"""Model checking: the specs of the project keep every promise, and whatever breaks one is found and shown."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from benchmarks import fulfilment
from choreo.diagram.parts import Parts
from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Emit, Input, Received
from choreo.saga.environment import Surroundings
from choreo.saga.explore import Bounds, Decide, Exploration, explore
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec
from choreo.saga.spec import load_spec
from tests.saga.shop import changed, spec_of
from tests.testing import simulated_desk

SHOP = """\
saga: order
version: 1
namespace: shop
starts_on: OrderPlaced
correlate_by: order_id
within: none
cancels_on: {event: OrderCancelled, refused: CancellationRefused}
steps:
  - {name: pay, completes_on: PaymentTaken, fails_on: PaymentDeclined,
     compensate: {emit: RefundRequested, done_on: PaymentRefunded, with: {amount: steps.pay.amount}}}
  - {name: ship, after: pay, emit: ShipmentRequested, completes_on: ParcelHandedOver,
     compensate: {emit: ParcelRecallRequested, done_on: ParcelRecalled}}
  - {name: deliver, after: ship, pivot: true, completes_on: OrderDelivered}
"""
PIVOT = """\
saga: order
version: 1
namespace: shop
starts_on: OrderPlaced
correlate_by: order_id
within: none
cancels_on: {event: OrderCancelled, refused: CancellationRefused}
steps:
  - {name: reserve, completes_on: StockReserved, compensate: {emit: StockReleaseRequested, done_on: StockReleased}}
  - {name: pay, after: reserve, completes_on: PaymentTaken, pivot: true}
  - {name: deliver, after: pay, completes_on: OrderDelivered}
"""
LANES = {
    **dict.fromkeys(["shop.PaymentTaken", "shop.PaymentDeclined", "shop.PaymentRefunded"], "payments"),
    **dict.fromkeys(["shop.ParcelHandedOver", "shop.ParcelRecalled", "shop.OrderDelivered"], "parcels"),
}


def sample_shop() -> tuple[Spec, Mapping[str, str]]:
    """The spec of the sample shop, and the topics of its events."""
    from services.shop.inventory import events as inventory
    from services.shop.orders import events as orders
    from services.shop.payments import events as payments
    from services.shop.shipping import events as shipping

    return loaded("saga_specs/order_fulfilment.yaml", orders, inventory, payments, shipping)


def loaded(path: str, *modules: ModuleType) -> tuple[Spec, Mapping[str, str]]:
    """A spec of this repository with the events of these modules, and the topics that keep its events in order."""
    found = [one for module in modules for one in vars(module).values()]
    catalogue = {
        one.contract.full_name: one
        for one in found
        if isinstance(one, type) and hasattr(one, "contract") and not one.contract.abstract
    }
    spec = load_spec(Path(__file__).parents[2] / path, catalogue)
    return spec, Parts(specs=(spec,), catalogue=catalogue).lanes(spec)


def test_the_sample_shop_keeps_every_promise_in_every_run() -> None:
    """Not one run breaks a promise, and there are no others: no bound was hit. Every end is reached."""
    found = explore(*sample_shop())
    assert found.counterexample is None
    assert found.complete
    assert found.states == 264
    assert {"completed", "compensated", "cancelled"} <= set(found.ends)


def test_the_desk_of_the_simulations_keeps_every_promise_in_every_run() -> None:
    """A saga that waits for a lock, with a cancellation and a duplicate: every run is seen."""
    found = explore(*loaded("tests/testing/desk.yaml", simulated_desk))
    assert (found.counterexample, found.bound, found.left_out) == (None, None, ())
    assert found.states == 81
    assert {"completed", "compensated", "cancelled"} <= set(found.ends)


def test_the_saga_of_the_figures_keeps_every_promise_in_every_run() -> None:
    """Every step has a deadline, and still there is nothing beyond the bound."""
    found = explore(*loaded("benchmarks/fulfilment.yaml", fulfilment))
    assert (found.counterexample, found.bound, found.states) == (None, None, 1_948)


def test_timeouts_and_failing_undos_keep_every_promise() -> None:
    """Retries, an undo that fails or is not answered, an unknown outcome: all runs up to the bound, which is said."""
    spec = spec_of(changed(("within: 2d", "within: 1h\n    on_timeout: {retry: {attempts: 2, wait: 10m}}")))
    found = explore(spec, None, Bounds(states=1500))
    assert (found.counterexample, found.bound, found.states) == (None, "1500 states", 1500)
    assert {"completed", "compensated", "stuck"} <= set(found.ends)


def test_the_same_exploration_gives_the_same_answer() -> None:
    """States, depth and ends are the same each time: nothing depends on hashes or clocks."""
    spec = spec_of(SHOP)
    assert explore(spec, LANES) == explore(spec, LANES)


def test_a_bound_of_moves_is_said() -> None:
    """Runs that are cut off by the number of moves make the answer incomplete."""
    found = explore(spec_of(SHOP), LANES, Bounds(depth=3))
    assert (found.bound, found.complete, found.depth) == ("3 moves in a row", False, 3)


def test_an_outcome_of_a_condition_is_met_both_ways() -> None:
    """A condition on data may come out either way; the run in which it is false skips the step."""
    text = changed(("{name: pay,", "{name: pay, when: saga.total > 0,"), text=SHOP)
    skipped: set[str] = set()

    def watching(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        decision = decide(spec, instance, given)
        skipped.update(change for change in decision.changes if "skipped" in change)
        return decision

    assert explore(spec_of(text), LANES, decide=watching).complete
    assert skipped == {"pay: idle -> skipped"}


def test_events_of_one_lane_arrive_in_order_and_others_in_any() -> None:
    """What shares a topic with the start event is not heard before it; without topics there is more to look at."""
    spec = spec_of(SHOP)
    one_topic = dict.fromkeys(spec.parts, "orders")

    def heard_first(lanes: Mapping[str, str]) -> set[str]:
        around = Surroundings(spec, lanes)
        return {move.event for move in around.moves(around.begin(0, 0))}

    assert heard_first(one_topic) == {"shop.OrderPlaced"}
    assert heard_first(LANES) == {"shop.OrderPlaced", "shop.PaymentTaken", "shop.PaymentDeclined"}
    assert explore(spec, one_topic).states < explore(spec, LANES).states < explore(spec).states


# -- each promise, broken on purpose -----------------------------------------------------------------------------------


def never_asks_to_undo(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Moves on as if it had asked."""
    decision = decide(spec, instance, given)
    return decision._replace(emits=tuple(emit for emit in decision.emits if emit.kind != "undo"))


def forgets_a_step(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Goes back, and leaves every step as it was."""
    decision = decide(spec, instance, given)
    after = decision.instance
    if instance is not None and after is not None and after.cause is not None:
        return decision._replace(emits=(), instance=after.model_copy(update={"steps": instance.steps}))
    return decision


def undoes_twice(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Asks again, under another id, when it hears that it is undone."""
    decision = decide(spec, instance, given)
    if isinstance(given, Received) and given.event == "shop.ParcelRecalled" and decision.changes:
        again = Emit("shop.ParcelRecallRequested", {}, "undo", "ship", b"another id......", round=2)
        return decision._replace(emits=(*decision.emits, again))
    return decision


def forgets_the_order(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Undoes as if no step came after another."""
    loose = replace(spec, steps=tuple(replace(step, after=()) for step in spec.steps))
    back = isinstance(given, Received) and given.event == "shop.OrderCancelled"
    return decide(loose if back else spec, instance, given)


def forgets_the_pivot(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Goes back from anywhere."""
    return decide(replace(spec, steps=tuple(replace(step, pivot=False) for step in spec.steps)), instance, given)


def goes_on_after_the_end(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Asks for a shipment with the end."""
    decision = decide(spec, instance, given)
    if decision.instance is not None and decision.instance.status == "completed" and decision.changes:
        more = Emit("shop.ShipmentRequested", {}, "do", "ship", b"one more........")
        return decision._replace(emits=(*decision.emits, more))
    return decision


def ends_too_early(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Calls it compensated as soon as the undo is asked for."""
    decision = decide(spec, instance, given)
    after = decision.instance
    if after is not None and after.status == "compensating":
        early = {"status": "compensated", "ended_at": given.now}
        return decision._replace(emits=(), instance=after.model_copy(update=early))
    return decision


def hears_no_undo(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Goes on waiting for an answer that came."""
    answer = isinstance(given, Received) and given.event == "shop.PaymentRefunded"
    return Decision(instance) if answer and instance is not None else decide(spec, instance, given)


def breaks_down(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """Raises where a success is late."""
    if isinstance(given, Received) and given.event == "shop.PaymentTaken" and instance and instance.cause:
        raise KeyError("pay")
    return decide(spec, instance, given)


def found_by(broken: Decide) -> Exploration:
    """What the explorer says of a broken decide, where the real one keeps every promise."""
    text = PIVOT if broken is forgets_the_pivot else SHOP
    assert keeps_every_promise(text)
    return explore(spec_of(text), LANES, decide=broken)


@cache
def keeps_every_promise(text: str) -> bool:
    """Whether the real decide does, in every run."""
    return explore(spec_of(text), LANES).complete


@pytest.mark.parametrize(
    ("broken", "promise", "says"),
    [
        (
            never_asks_to_undo,
            "what completed or may have is undone exactly once",
            "pay is being undone, and nobody is asked to",
        ),
        (forgets_a_step, "what completed or may have is undone exactly once", "nobody is asked to undo pay"),
        (undoes_twice, "what completed or may have is undone exactly once", "ship is undone a second time"),
        (forgets_the_order, "undone in the reversed order", "pay is undone before ship, which must be undone first"),
        (forgets_the_pivot, "nothing is undone beyond a pivot", "reserve is undone after a pivot"),
        (goes_on_after_the_end, "nothing is emitted after the end", "ShipmentRequested is emitted and the saga is"),
        (ends_too_early, "what completed or may have is undone exactly once", "compensated though pay may have"),
        (hears_no_undo, "every run ends or is visibly stuck", "though nothing is left to undo"),
        (breaks_down, "decide answers every input", "it raised KeyError: 'pay'"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_broken_promise_is_found(broken: Decide, promise: str, says: str) -> None:
    """Each way of breaking a promise is found, by its name."""
    found = found_by(broken).counterexample
    assert found is not None
    assert found.promise == promise
    assert says in found.says


def test_the_counterexample_has_the_fewest_disturbances_and_then_the_fewest_moves() -> None:
    """Nothing in it could be left out: the end is reached without a timer, a duplicate or a cancellation."""
    found = found_by(goes_on_after_the_end).counterexample
    assert found is not None
    assert [turn.move.event.removeprefix("shop.") for turn in found.turns if turn.move.kind != "acts"] == [
        "OrderPlaced",
        "PaymentTaken",
        "ParcelHandedOver",
        "OrderDelivered",
    ]
    assert not [turn for turn in found.turns if turn.move.kind in ("due", "again") or turn.move.kept]
