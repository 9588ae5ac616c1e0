"""A step that is a saga: orders ship, shipping delivers, each with a coordinator and a key of its own."""

from typing import Any

from choreo import Context, Handler, Service, Store
from choreo.saga.coordinator import coordinator
from choreo.service.client import fresh_ids
from choreo.testing import Scenario
from tests.runtime.town import Town
from tests.saga import mall
from tests.saga.mall import SPECS, load
from tests.saga.story import Story

SHIPMENT: dict[str, Any] = {"shipment_id": "S-o1", "order_id": "o1"}
DELIVERY: dict[str, Any] = {"delivery_id": "D-S-o1", "shipment_id": "S-o1"}
ASKED = {("S-o1", "PickWanted"): False, ("D-S-o1", "LoadWanted"): False}
UNDOS = ("D-S-o1", "UnloadWanted"), ("S-o1", "UnpickWanted")


Request = mall.PickWanted | mall.UnpickWanted | mall.LoadWanted | mall.UnloadWanted


class Listener(Handler[Request]):
    """Hears what is asked of services, and whether it was asked after a cancellation."""

    heard = Store[tuple[str, str], bool]()

    def handle(self, event: Request, ctx: Context) -> None:
        key = event.shipment_id if isinstance(event, mall.PickWanted | mall.UnpickWanted) else event.delivery_id
        self.heard[key, type(event).__name__] = ctx.cancelled


listeners = Service("listeners", handlers=[Listener])


def placed(by_hand: bool = False) -> Scenario:
    """An order is placed, and what it ships is wanted."""
    return Scenario(sagas=SPECS).when(mall.OrderPlaced(order_id="o1", by_hand=by_hand))


def delivered(by_hand: bool = False) -> Scenario:
    """The same, and everything but the payment is done."""
    story = placed(by_hand).when(mall.Picked(**SHIPMENT)).when(mall.Loaded(**DELIVERY))
    return story.when(mall.HandedOver(**DELIVERY)) if by_hand else story


def test_a_step_is_done_when_its_saga_is_complete() -> None:
    """The start events go down with the keys that `with` gives; each end is told one level up."""
    story = placed()
    story.then(mall.ShipmentWanted(**SHIPMENT), mall.PickWanted(**SHIPMENT))
    story.when(mall.Picked(**SHIPMENT)).then(mall.DeliveryWanted(**DELIVERY), mall.LoadWanted(**DELIVERY))
    story.then_saga("order", "o1", "waiting", waits_for=mall.ShipmentReady)
    story.when(mall.Loaded(**DELIVERY))
    story.then(mall.Delivered(**DELIVERY), mall.ShipmentReady(**SHIPMENT), mall.PaymentWanted(order_id="o1"))
    story.then_saga("delivery", "D-S-o1", "completed").then_saga("shipping", "S-o1", "completed")
    story.when(mall.PaymentTaken(order_id="o1")).then_saga("order", "o1", "completed")


def test_a_saga_that_fails_fails_its_step() -> None:
    """It ends compensated and says so; there is nothing left of it for the one above to undo."""
    story = placed().when(mall.PickRefused(**SHIPMENT))
    story.then(mall.ShipmentDropped(**SHIPMENT))
    story.then_saga("shipping", "S-o1", "compensated").then_saga("order", "o1", "compensated")


def test_a_complete_saga_is_compensated_into() -> None:
    """A later step fails: what was complete two levels down is undone, last things first, and each level says so."""
    story = delivered().when(mall.PaymentRefused(order_id="o1"))
    story.then(mall.ShipmentUndone(**SHIPMENT), mall.DeliveryUndone(**DELIVERY), mall.UnloadWanted(**DELIVERY))
    story.then_saga("order", "o1", "compensating", waits_for=mall.ShipmentDropped)
    story.when(mall.Unloaded(**DELIVERY)).then(mall.DeliveryDropped(**DELIVERY), mall.UnpickWanted(**SHIPMENT))
    story.when(mall.Unpicked(**SHIPMENT)).then(mall.ShipmentDropped(**SHIPMENT))
    for saga, key in (("order", "o1"), ("shipping", "S-o1"), ("delivery", "D-S-o1")):
        story.then_saga(saga, key, "compensated")


def test_a_saga_at_work_is_cancelled_into() -> None:
    """A cancellation above takes back what runs below: what was done there is undone, then the order is cancelled."""
    story = placed().when(mall.Picked(**SHIPMENT)).when(mall.OrderCancelled(order_id="o1"))
    story.then(mall.ShipmentUndone(**SHIPMENT), mall.DeliveryUndone(**DELIVERY), mall.UnloadWanted(**DELIVERY))
    story.when(mall.Unloaded(**DELIVERY)).when(mall.Unpicked(**SHIPMENT))
    story.then(mall.ShipmentDropped(**SHIPMENT)).then_saga("order", "o1", "cancelled")
    story.then_saga("shipping", "S-o1", "compensated")


def test_what_a_cancellation_undoes_below_is_told_so() -> None:
    """The mark goes down all levels and over restarts: services read `ctx.cancelled` wherever they stand. What was
    asked for before, and what a failure undoes, is not marked.
    """
    events = mall.Picked(**SHIPMENT), mall.Loaded(**DELIVERY)
    story = Scenario(listeners, sagas=SPECS).given(mall.OrderPlaced(order_id="o1"), *events).restart()
    story.when(mall.OrderCancelled(order_id="o1")).restart().when(mall.Unloaded(**DELIVERY))
    story.then_stored(Listener.heard, ASKED | dict.fromkeys(UNDOS, True))
    failed = Scenario(listeners, sagas=SPECS).given(mall.OrderPlaced(order_id="o1"), *events)
    failed.when(mall.PaymentRefused(order_id="o1")).when(mall.Unloaded(**DELIVERY))
    failed.then_stored(Listener.heard, ASKED | dict.fromkeys(UNDOS, False))


def test_a_saga_that_goes_back_already_hears_of_a_cancellation_above() -> None:
    """Its further requests are marked, also where it was undone for a reason of its own, or asked before it began."""
    back = Story(load("shipping")).when("ShipmentWanted", "Picked", "DeliveryDropped")
    assert [emit.cancelled for emit in back.emits] == [False, False, False]
    back.give(back.received("ShipmentUndone")._replace(cancelled=True))
    assert back.last.changes == ("cancelled above (mall.ShipmentUndone)",)
    back.when("UnpickFailed").after("1s")
    assert [(emit.event, emit.cancelled) for emit in back.emits[3:]] == [("mall.UnpickWanted", True)]
    kept = Story(load("shipping"))
    kept.give(kept.received("ShipmentUndone")._replace(cancelled=True)).when("ShipmentWanted")
    assert [(emit.event, emit.cancelled) for emit in kept.emits] == [
        ("mall.PickWanted", False),
        ("mall.UnpickWanted", True),
    ]


def test_a_saga_that_a_cancelled_one_begins_asks_with_its_mark() -> None:
    """An undo may be a saga of its own: what it asks for was wanted by the cancellation, too."""
    begun = Story(load("shipping"))
    begun.give(begun.received("ShipmentWanted")._replace(cancelled=True))
    assert [emit.cancelled for emit in begun.emits] == [True]


def test_a_saga_that_refuses_to_go_back_is_not_cancelled() -> None:
    """Beyond its pivot it goes on for itself: what it asks for then has nothing to do with the cancellation above."""
    story = Story(load("delivery")).when("DeliveryWanted", by_hand=True).when("Loaded", "HandedOver")
    story.give(story.received("DeliveryUndone")._replace(cancelled=True))
    assert story.instance is not None
    assert not story.instance.cancelled_above


def test_a_mark_is_kept_with_an_event_that_comes_before_its_saga() -> None:
    """An undo that overtakes the start waits in the store, over a crash, with its mark."""
    town = Town(coordinator(load("shipping"), mall.CATALOGUE))
    town.tell(mall.ShipmentUndone(**SHIPMENT), ids=fresh_ids(town.clock.now(), "story")._replace(cancelled=True))
    town.crash()
    town.tell(mall.ShipmentWanted(**SHIPMENT))
    requests = [ids for ids in town.ids("mall.shipments") if ids.saga is not None]
    assert [(ids.saga.step, ids.cancelled) for ids in requests if ids.saga] == [("pick", False), ("pick", True)]


def test_a_saga_that_takes_too_long_is_taken_back() -> None:
    """The step's time runs out: it may have happened, so the saga is asked to go back; its answer ends the order."""
    story = placed().after(hours=2)
    story.then_saga("order", "o1", "compensating", waits_for=mall.ShipmentDropped)
    story.when(mall.Unpicked(**SHIPMENT)).then(mall.ShipmentDropped(**SHIPMENT))
    story.then_saga("order", "o1", "compensated").then_saga("shipping", "S-o1", "compensated")


def test_a_saga_that_others_cancel_fails_its_step() -> None:
    """It ends cancelled, and the step above hears that nothing happened."""
    story = placed().when(mall.ShipmentStopped(**SHIPMENT)).when(mall.Unpicked(**SHIPMENT))
    story.then(mall.ShipmentCancelled(**SHIPMENT))
    story.then_saga("shipping", "S-o1", "cancelled").then_saga("order", "o1", "compensated")


def test_beyond_its_pivot_a_saga_refuses_to_go_back() -> None:
    """The refusal goes up as a failing undo: shipping asks again, then is stuck, and so is the order above, visibly."""
    story = delivered(by_hand=True).when(mall.PaymentRefused(order_id="o1"))
    story.then(mall.ShipmentUndone(**SHIPMENT), mall.DeliveryUndone(**DELIVERY), mall.DeliveryKept(**DELIVERY))
    story.after(minutes=5).then_saga("delivery", "D-S-o1", "completed").then_saga("shipping", "S-o1", "stuck")
    story.after(hours=4).then_saga("order", "o1", "stuck", waits_for=mall.ShipmentDropped)


def test_a_stuck_saga_heals_and_so_does_the_one_above() -> None:
    """A late answer ends what was stuck below; what waits above hears of it, however long that took."""
    story = placed().when(mall.Picked(**SHIPMENT)).when(mall.OrderCancelled(order_id="o1"))
    story.when(mall.Unloaded(**DELIVERY)).when(mall.UnpickFailed(**SHIPMENT))
    story.after(seconds=2).when(mall.UnpickFailed(**SHIPMENT))
    story.then_saga("shipping", "S-o1", "stuck").after(hours=9).then_saga("order", "o1", "stuck")
    story.when(mall.Unpicked(**SHIPMENT)).then_saga("shipping", "S-o1", "compensated")
    story.then_saga("order", "o1", "cancelled")


def test_an_undo_that_overtakes_the_start_is_kept_for_it() -> None:
    """The saga begins, goes back at once and says so: nothing is lost, nothing is left done."""
    story = Scenario(sagas=SPECS[1:]).when(mall.ShipmentUndone(**SHIPMENT)).then()
    story.when(mall.ShipmentWanted(**SHIPMENT)).then(mall.PickWanted(**SHIPMENT), mall.UnpickWanted(**SHIPMENT))
    story.when(mall.Unpicked(**SHIPMENT)).then(mall.ShipmentDropped(**SHIPMENT))
    story.then_saga("shipping", "S-o1", "compensated")


def test_an_undo_whose_start_never_comes_is_no_secret() -> None:
    """It is kept for as long as the spec says and becomes a dead letter; who asked is stuck, and shows it."""
    story = Scenario(sagas=SPECS[:1]).given(mall.OrderPlaced(order_id="o1"))
    story.when(mall.OrderCancelled(order_id="o1")).then(mall.ShipmentUndone(**SHIPMENT))
    story.after(hours=4).then_saga("order", "o1", "stuck", waits_for=mall.ShipmentDropped)


def test_every_level_survives_a_restart() -> None:
    """Coordinators die between any two events and go on from the log, also into what was complete."""
    story = delivered().restart().when(mall.PaymentRefused(order_id="o1")).restart()
    story.when(mall.Unloaded(**DELIVERY)).restart().when(mall.Unpicked(**SHIPMENT))
    story.then_saga("order", "o1", "compensated").then_saga("shipping", "S-o1", "compensated")


def test_its_bad_end_means_undone_to_who_asked_for_that() -> None:
    """The same event says that the step failed, and, once it was taken back, that it is undone."""
    failed = Story(load("order")).when("OrderPlaced", "ShipmentDropped").stands("compensated")
    assert failed.state("ship") == "failed"
    undone = Story(load("order")).when("OrderPlaced", "OrderCancelled").when("ShipmentDropped").stands("cancelled")
    undone.tells("cancelled: cancelled (OrderCancelled), ship undone (ShipmentDropped)")
    done = Story(load("order")).when("OrderPlaced", "ShipmentReady", "OrderCancelled", "ShipmentDropped")
    assert done.stands("cancelled").state("ship") == "compensated"


def test_ends_that_are_heard_late_or_in_another_order_end_well() -> None:
    """A success that crosses the request to go back is covered by it; one that is heard only after the answer to it
    makes it ask once more, which a saga that has gone back answers again.
    """
    crossed = Story(load("order")).when("OrderPlaced").after("1h").then("ShipmentWanted", "ShipmentUndone")
    crossed.when("ShipmentReady").stands("compensating", "ShipmentDropped", "ShipmentCancelled")
    crossed.when("ShipmentDropped").then().stands("compensated")
    swapped = Story(load("order")).when("OrderPlaced").after("1h").when("ShipmentDropped").stands("compensated")
    swapped.then("ShipmentWanted", "ShipmentUndone").when("ShipmentReady").then("ShipmentUndone")
    swapped.when("ShipmentDropped").stands("compensated")
