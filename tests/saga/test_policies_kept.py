"""The coordinator keeps what a policy keeps: on the memory log, over restarts, with the body for the dead letters."""

import logging
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import pytest

from choreo.events.codec import Codec
from choreo.replay.letters import Letters
from choreo.replay.operations import Operations, Settled
from choreo.replay.redrive import again
from choreo.replay.scratch import Scratch
from choreo.replay.verify import verify
from choreo.resilience.dead_letter import DeadLetter, read
from choreo.saga.coordinator import coordinator
from choreo.service.client import fresh_ids
from tests.runtime.town import Town
from tests.saga.shop import (
    EVENTS,
    OrderPlaced,
    ParcelHandedOver,
    PaymentDeclined,
    PaymentTaken,
    ShipmentRequested,
    StockReserved,
    changed,
    spec_of,
)
from tests.saga.test_coordinator import PLACED, TAKEN, emitted, told

HANDED = ParcelHandedOver(order_id="o1")
STOCKED = StockReserved(order_id="o1")
ASKED = ShipmentRequested(order_id="o1", warehouse="vienna")


def town_of(events: str) -> Town:
    """The coordinator of a shop whose spec says this of events."""
    spec = spec_of(changed(("steps:\n", f"events: {events}\nsteps:\n")))
    return Town(coordinator(spec, EVENTS))


def letters(town: Town) -> list[DeadLetter]:
    return [read(record) for record in town.records("choreo.saga.order.dead-letters")]


def assert_replays(town: Town) -> None:
    """A replay of the journal ends with the same stores."""
    backend = town.workers[0].tasks[0].task.entries.backend
    verdict = verify(town.services[0], town.log, town.registry, lambda partition: backend)
    assert [str(found) for found in (*verdict.differences, *verdict.divergences)] == []


@pytest.mark.parametrize("end", ["crash", "lose_stores"])
def test_what_waits_for_its_turn_is_not_forgotten_in_a_restart(end: str) -> None:
    """Kept over a crash, and over the loss of the stores, it is taken when its turn comes; then nothing is left."""
    town = town_of("{ParcelHandedOver: {early: keep 2h}}")
    town.tell(PLACED, HANDED)
    assert told(town)[-1].change[0].startswith("kept for its turn: shop.ParcelHandedOver")
    getattr(town, end)()
    town.tell(STOCKED, TAKEN)
    assert emitted(town) == [ASKED]
    assert told(town)[-1].steps["ship"] == "done"
    assert "no longer kept: shop.ParcelHandedOver" in told(town)[-1].change
    town.wait(3 * 3600)
    assert letters(town) == []
    assert not [key for key in town.stored("saga.order") if b"early" in key]
    assert_replays(town)


def test_what_waits_in_vain_is_a_dead_letter_with_its_body() -> None:
    """At its time, after a restart: under its own ids, with the reason; nothing is taken of it later."""
    town = town_of("{ParcelHandedOver: {early: keep 10m}}")
    ids = fresh_ids(town.clock.now(), "parcel")
    town.tell(PLACED, STOCKED)
    town.tell(HANDED, ids=ids)
    town.tell(HANDED, ids=ids)
    town.crash()
    town.wait(600)
    (record,) = town.records("choreo.saga.order.dead-letters")
    letter = read(record)
    assert letter.door == "unmatched"
    assert letter.error == "ChoreoError: saga order o1: the turn of shop.ParcelHandedOver did not come in time"
    codec = Codec(town.registry, [ParcelHandedOver], town.log.cluster_id())
    assert codec.event(record._replace(topic=letter.origin.topic)) == HANDED
    assert not [key for key in town.stored("saga.order") if b"early" in key]
    assert_replays(town)


def test_what_waited_in_vain_is_taken_when_it_is_put_back() -> None:
    """A dead letter of a kept event is redriven when its turn has come meanwhile, and it is taken as if it had just
    come: under an id of its own, since the saga knows the old one; put back once more, it changes nothing.
    """
    town = town_of("{ParcelHandedOver: {early: keep 10s}}")
    town.tell(PLACED, HANDED)
    town.wait(10)
    town.tell(STOCKED, TAKEN)
    assert emitted(town) == [ASKED]
    read_ids = Codec(town.registry, (), town.log.cluster_id()).ids
    with Scratch(Path("/nowhere")) as scratch:
        settled = Settled(Operations(town.log, town.registry, town.clock.now), scratch)
        (letter,) = Letters(town.log, read_ids, settled).of(["saga.order"])
    changes = []
    for number in (1, 2):
        town.log.append([again(letter, UUID(int=number), town.log.topics())])
        town.time.settle()
        assert told(town)[-1].steps["ship"] == "done"
        changes.append(len(told(town)))
    assert changes[0] == changes[1]
    (old, *_), (one, other) = town.ids("shop.orders")[1:2], town.ids("shop.orders")[-2:]
    assert old.event_id == one.causation_id != one.event_id == other.event_id
    assert (one.correlation_id, len(letters(town))) == (old.correlation_id, 1)
    assert_replays(town)


def test_an_event_before_its_saga_waits_on_for_its_turn() -> None:
    """First for the saga, then for the step, with a restart in each wait."""
    town = town_of("{ParcelHandedOver: {early: keep 10m}}")
    town.tell(HANDED, STOCKED)
    town.crash()
    town.wait(500)
    town.tell(PLACED)
    town.crash()
    town.wait(599)
    assert letters(town) == []
    town.wait(1)
    assert [letter.error for letter in letters(town)] == [
        "ChoreoError: saga order o1: the turn of shop.ParcelHandedOver did not come in time"
    ]
    assert_replays(town)


def test_what_the_start_of_a_saga_buries_is_the_kept_event() -> None:
    """An event that comes late among those that were kept for the saga is the dead letter, not the start."""
    town = town_of("{PaymentDeclined: {late: dead-letter}, ParcelHandedOver: {early: keep}}")
    town.tell(TAKEN, PaymentDeclined(order_id="o1"), HANDED)
    town.tell(PLACED)
    (record,) = town.records("choreo.saga.order.dead-letters")
    codec = Codec(town.registry, [PaymentDeclined], town.log.cluster_id())
    assert codec.event(record._replace(topic=read(record).origin.topic)) == PaymentDeclined(order_id="o1")
    assert read(record).error == "ChoreoError: saga order o1: shop.PaymentDeclined came late, pay is done"
    town.tell(STOCKED)
    assert told(town)[-1].steps["ship"] == "done"
    assert_replays(town)


def test_a_dead_letter_by_policy_is_the_event_itself() -> None:
    """With its sentence, and the history says so too."""
    town = town_of("{PaymentDeclined: {late: dead-letter}}")
    town.tell(PLACED, TAKEN, PaymentDeclined(order_id="o1"))
    (letter,) = letters(town)
    assert letter.error == "ChoreoError: saga order o1: shop.PaymentDeclined came late, pay is done"
    assert letter.origin.topic == "shop.orders"
    assert told(town)[-1].change == ("a dead letter: shop.PaymentDeclined came late, pay is done",)
    assert_replays(town)


def test_a_saga_fails_by_a_policy_and_says_why() -> None:
    """The lifecycle event names what came, and how."""
    town = town_of("{PaymentDeclined: {late: fail}}")
    town.tell(PLACED, TAKEN, PaymentDeclined(order_id="o1"))
    assert (told(town)[-1].status, told(town)[-1].reason) == ("compensating", "PaymentDeclined came late (pay)")
    assert_replays(town)


def test_an_early_event_that_is_ignored_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """There is no saga yet that could note it; what was kept for the key stays."""
    town = town_of("{StockReserved: {early: ignore}, ParcelHandedOver: {early: dead-letter}}")
    with caplog.at_level(logging.INFO):
        town.tell(TAKEN, STOCKED, HANDED)
    assert "ignored: shop.StockReserved came early: there is no saga order o1" in caplog.text
    assert [one.error for one in letters(town)] == [
        "ChoreoError: shop.ParcelHandedOver came early: there is no saga order o1"
    ]
    town.tell(OrderPlaced(order_id="o1", warehouse="vienna", total=Decimal("9.00")))
    assert told(town)[-1].steps["pay"] == "done"
    assert told(town)[-1].steps["reserve"] == "waiting"
    assert_replays(town)


def test_a_second_payment_is_merged() -> None:
    """What was said last of a step is what an undo is asked for with."""
    town = town_of("{PaymentTaken: {duplicate: merge}}")
    town.tell(PLACED, TAKEN)
    town.wait(1)
    town.tell(PaymentTaken(order_id="o1", amount=Decimal("7.50")))
    town.crash()
    assert told(town)[-1].change == ("pay: its fields are those of a later shop.PaymentTaken",)
    town.wait(60)
    assert Decimal("7.50") in [getattr(event, "amount", None) for event in emitted(town)]
    assert_replays(town)
