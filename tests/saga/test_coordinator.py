"""The coordinator at work: on the memory log, in virtual time, restarts included."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from choreo.clock import to_datetime
from choreo.errors import SpecError
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.replay.verify import verify
from choreo.resilience.dead_letter import read
from choreo.saga.coordinator import coordinator
from choreo.saga.lifecycle import lifecycle_event
from choreo.service.client import fresh_ids
from tests.runtime.town import Town
from tests.saga.shop import (
    EVENTS,
    CancellationRefused,
    OrderCancelled,
    OrderDelivered,
    OrderPlaced,
    ParcelHandedOver,
    PaymentDeclined,
    PaymentTaken,
    RefundRequested,
    ShipmentRequested,
    StockReleased,
    StockReleaseRequested,
    StockReserved,
    changed,
    spec_of,
)

SPEC = spec_of()
Changed = lifecycle_event("order")
TAKEN = PaymentTaken(order_id="o1", amount=Decimal("9.00"))
PLACED = OrderPlaced(order_id="o1", warehouse="vienna", total=Decimal("9.00"))


@pytest.fixture
def town() -> Town:
    return Town(coordinator(SPEC, EVENTS))


def emitted(town: Town) -> list[Event]:
    """What the coordinator emitted to the shop."""
    names = {EVENTS[name] for name in SPEC.emits}
    return [event for event in town.events("shop.orders", EVENTS.values()) if type(event) in names]


def told(town: Town) -> list[Any]:
    """The lifecycle events, in order."""
    return town.events("choreo.saga.order.lifecycle", [Changed])


def test_a_saga_is_followed_to_its_end(town: Town) -> None:
    """Typed events in, typed requests out, one lifecycle event for each decision."""
    town.tell(PLACED, StockReserved(order_id="o1"), TAKEN)
    assert emitted(town) == [ShipmentRequested(order_id="o1", warehouse="vienna")]
    town.tell(ParcelHandedOver(order_id="o1"), OrderDelivered(order_id="o1"))
    assert [event.status for event in told(town)] == ["waiting"] * 4 + ["completed"]
    last = told(town)[-1]
    assert (last.key, last.saga, last.version, last.digest) == ("o1", "order", 1, SPEC.digest)
    assert last.steps == {"reserve": "done", "pay": "done", "ship": "done", "deliver": "done"}
    assert last.change == ("deliver: waiting -> done (shop.OrderDelivered)", "waiting -> completed")
    assert (last.waits_for, last.reason, last.ended_at) == ((), None, to_datetime(town.clock.now()))


def test_a_request_says_who_asks(town: Town) -> None:
    """A request carries its request_id, attempt, the saga's mark, and the mark of a cancellation."""
    town.tell(PLACED, StockReserved(order_id="o1"), TAKEN, OrderCancelled(order_id="o1"))
    requests = [ids for ids in town.ids("shop.orders") if ids.saga is not None]
    assert [(ids.saga.step, ids.saga.version, ids.attempt, ids.cancelled) for ids in requests if ids.saga] == [
        ("ship", 1, 1, False),
        ("ship", 1, 1, True),
    ]
    assert len({ids.request_id for ids in requests}) == 2


def test_timeouts_come_from_durable_timers(town: Town) -> None:
    """A timeout fires at its time, also after a crash, and only once."""
    town.tell(PLACED, TAKEN)
    town.wait(29)
    town.crash()
    assert emitted(town) == []
    town.wait(2)
    release = StockReleaseRequested(order_id="o1", warehouse="vienna")
    assert emitted(town) == [release, RefundRequested(order_id="o1", amount=Decimal("9.00"))]
    assert told(town)[-1].reason == "reserve timed out"


def test_early_events_wait_for_their_saga(town: Town) -> None:
    """What comes before the start is kept over a crash and applied when the saga starts."""
    town.tell(TAKEN, StockReserved(order_id="o1"))
    town.crash()
    assert told(town) == []
    town.tell(PLACED)
    assert emitted(town) == [ShipmentRequested(order_id="o1", warehouse="vienna")]
    assert told(town)[-1].change[0] == "started"


def test_a_second_start_goes_to_the_dead_letters(town: Town) -> None:
    """It is refused with its reason, and nothing is lost."""
    town.tell(PLACED, PLACED)
    (letter,) = map(read, town.records("choreo.saga.order.dead-letters"))
    assert (letter.door, letter.error) == ("unmatched", "ChoreoError: saga order o1 has been started before")


def test_an_early_event_that_expires_is_unmatched(town: Town) -> None:
    """An event whose saga does not start in time is a dead letter with its body; a later one is kept longer."""
    town.tell(TAKEN)
    town.wait(timedelta(hours=20).total_seconds())
    town.tell(StockReserved(order_id="o1"))
    town.wait(timedelta(hours=5).total_seconds())
    (record,) = town.records("choreo.saga.order.dead-letters")
    letter = read(record)
    assert (letter.door, letter.origin.topic) == ("unmatched", "shop.orders")
    assert letter.error == "ChoreoError: no saga order o1 started in time for shop.PaymentTaken"
    codec = Codec(town.registry, [PaymentTaken], town.log.cluster_id())
    assert codec.event(record._replace(topic=letter.origin.topic)) == TAKEN
    town.tell(PLACED)
    assert told(town)[-1].steps["reserve"] == "done"
    assert told(town)[-1].steps["pay"] == "waiting"


def test_requests_belong_to_the_story_of_the_saga(town: Town) -> None:
    """A cancellation from another story undoes in the story of the order, so that an undo finds what it undoes."""
    town.tell(PLACED)
    town.tell(OrderCancelled(order_id="o1"), ids=fresh_ids(town.clock.now(), "another"))
    assert {ids.correlation_id for ids in town.ids("shop.orders") if ids.saga} == {"story"}


def test_a_refused_cancellation_is_answered(town: Town) -> None:
    """Beyond the pivot the answer is an event."""
    town.tell(PLACED, StockReserved(order_id="o1"), TAKEN, ParcelHandedOver(order_id="o1"))
    town.tell(OrderDelivered(order_id="o1"), OrderCancelled(order_id="o1"))
    assert emitted(town)[-1] == CancellationRefused(order_id="o1")
    assert told(town)[-1].status == "completed"


def test_an_instance_keeps_its_spec() -> None:
    """A saga that is under way follows the spec with which it started; a coordinator that lacks it says so."""
    slow = spec_of(changed(("version: 1", "version: 2"), ("within: 30s", "within: 2m")))
    old, both, new = coordinator(SPEC, EVENTS), coordinator(slow, EVENTS, older=[SPEC]), coordinator(slow, EVENTS)
    town = Town(old)
    town.tell(PLACED)
    town.services = (both,)
    town.crash()
    town.tell(OrderPlaced(order_id="o2", warehouse="graz", total=Decimal("0.00")))
    town.wait(30)
    assert {(event.key, event.status, event.version) for event in told(town)} == {
        ("o1", "waiting", 1),
        ("o1", "compensating", 1),
        ("o2", "waiting", 2),
    }
    town.services = (new,)
    town.crash()
    town.tell(StockReleased(order_id="o1"))
    (letter,) = map(read, town.records("choreo.saga.order.dead-letters"))
    assert "saga order o1 follows version 1 of its spec, which isn't here" in letter.error


def test_a_replay_goes_by_the_version_that_was_at_work() -> None:
    """Stores are rebuilt across a new version of the spec: each instance begins with the one that was the latest
    then.
    """
    first, second = SPEC, spec_of(changed(("version: 1", "version: 2"), ("within: 30s", "within: 2m")))
    town = Town(coordinator(first, EVENTS))
    town.specs = (first.digest,)
    town.crash()
    town.tell(PLACED)
    latest = coordinator(second, EVENTS, older=[first])
    town.services, town.specs = (latest,), (second.digest, first.digest)
    town.crash()
    town.tell(OrderPlaced(order_id="o2", warehouse="graz", total=Decimal("0.00")))
    town.wait(40)
    backend = town.workers[0].tasks[0].task.entries.backend
    verdict = verify(latest, town.log, town.registry, lambda partition: backend)
    assert [str(found) for found in (*verdict.differences, *verdict.divergences)] == []
    assert {(event.key, event.version) for event in told(town)} == {("o1", 1), ("o2", 2)}


def test_events_must_be_keyed_by_what_finds_the_saga() -> None:
    """Where events are keyed by different fields than those that find the saga, there is no coordinator to be had."""
    keyed = """\
saga: parcel
version: 3
starts_on: shop.OrderPlaced
correlate_by: {shop.OrderPlaced: warehouse, shop.StockReserved: order_id}
within: 1m
steps: [{name: reserve, completes_on: shop.StockReserved, compensate: none}]
"""
    with pytest.raises(SpecError, match=r"shop\.OrderPlaced is keyed by order_id, but its saga is found by warehouse"):
        coordinator(spec_of(keyed), EVENTS)


def test_a_failed_payment_tells_its_story(town: Town) -> None:
    """The last lifecycle event says in one line what happened."""
    town.tell(PLACED, StockReserved(order_id="o1"), PaymentDeclined(order_id="o1"), StockReleased(order_id="o1"))
    assert told(town)[-1].explanation == ("compensated: pay failed (PaymentDeclined), reserve undone (StockReleased)")
