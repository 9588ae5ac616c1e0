"""The coordinator under orders: commands on the log, who gave them and why, and the index that finds sagas."""

from decimal import Decimal
from typing import Any

import pytest

from choreo.errors import HandlingError
from choreo.events.event import Event
from choreo.replay.verify import verify
from choreo.resilience.dead_letter import read
from choreo.saga.commands import command_event, command_of, order_of
from choreo.saga.coordinator import coordinator
from choreo.saga.decision import Answer, Cancel, Migrate, Order, Resolve, Retry, Skip
from choreo.saga.index import INDEX
from choreo.saga.instance import Instance
from choreo.saga.lifecycle import lifecycle_event
from tests.runtime.town import Town
from tests.saga.shop import (
    EVENTS,
    OrderCancelled,
    OrderPlaced,
    PaymentDeclined,
    PaymentTaken,
    ShipmentRequested,
    StockReleaseFailed,
    StockReleaseRequested,
    StockReserved,
    spec_of,
)

SPEC = spec_of()
Changed = lifecycle_event("order")
PLACED = OrderPlaced(order_id="o1", warehouse="vienna", total=Decimal("9.00"))
ORDERS: list[Order] = [
    Retry("pay"),
    Skip("pay"),
    Resolve("pay", "failed"),
    Cancel(),
    Answer("pay", "shop.PaymentTaken", {"amount": "9.00"}),
    Migrate(2, "d1", "r1", Instance(saga="order", key="o1", version=2, digest="d1"), {"pay": "charge", "gift": None}),
]


@pytest.fixture
def town() -> Town:
    return Town(coordinator(SPEC, EVENTS))


def orders(town: Town, order: Order, key: str = "o1") -> None:
    """Ada gives an order."""
    town.tell(command_of("order", key, order, "ada", "the warehouse called"))


def told(town: Town) -> list[Any]:
    """The lifecycle events, in order."""
    return town.events("choreo.saga.order.lifecycle", [Changed])


def asked(town: Town, *classes: type[Event]) -> int:
    """How many events of these classes are on the log."""
    return len(town.events("shop.orders", classes))


def found(town: Town, *prefix: str) -> list[tuple[str, str, str]]:
    """The entries of the index that begin so."""
    keys, _ = INDEX.codecs()
    return [keys.decode(raw) for raw in sorted(town.stored("saga.order")) if raw.startswith(keys.prefix(prefix))]


@pytest.mark.parametrize("order", ORDERS)
def test_a_command_reads_back_as_its_order(order: Order) -> None:
    """Every order survives the log."""
    assert order_of(command_of("order", "o1", order, "ada", "why not")) == order


@pytest.mark.parametrize("told", [{"format": 2}, {"kind": "explode"}, {"kind": "resolve", "outcome": "perhaps"}])
def test_a_command_of_a_newer_release_is_refused(told: dict[str, Any]) -> None:
    """What can't be read is not guessed at."""
    command = command_event("order")(**{"key": "o1", "kind": "retry", "who": "ada", "why": "", "step": "pay", **told})
    with pytest.raises(HandlingError, match="can't be read"):
        order_of(command)


def test_a_stuck_undo_is_asked_for_again(town: Town) -> None:
    """The order leads to a request, and the lifecycle tells who gave it and why."""
    town.tell(PLACED, StockReserved(order_id="o1"), PaymentDeclined(order_id="o1"), StockReleaseFailed(order_id="o1"))
    town.wait(10)
    town.tell(StockReleaseFailed(order_id="o1"))
    assert (told(town)[-1].status, asked(town, StockReleaseRequested)) == ("stuck", 2)
    town.crash()
    orders(town, Retry("reserve"))
    assert (told(town)[-1].status, asked(town, StockReleaseRequested)) == ("compensating", 3)
    assert told(town)[-1].change[0] == "retry reserve (by ada: the warehouse called)"


def test_an_answer_is_an_event_that_comes_back(town: Town) -> None:
    """The awaited event lies on its topic, marked by the saga, and takes the step on like one of a service."""
    town.tell(PLACED, StockReserved(order_id="o1"))
    orders(town, Answer("pay", "shop.PaymentTaken", {"amount": "9.00"}))
    assert town.events("shop.orders", [PaymentTaken]) == [PaymentTaken(order_id="o1", amount=Decimal("9.00"))]
    assert told(town)[-1].steps["pay"] == "done"
    assert asked(town, ShipmentRequested) == 1


def test_an_answer_that_is_no_such_event_is_a_dead_letter(town: Town) -> None:
    """The reason names the field; the saga stands as it stood."""
    town.tell(PLACED)
    before = told(town)
    orders(town, Answer("pay", "shop.PaymentTaken", {"amount": "much"}))
    (letter,) = map(read, town.records("choreo.saga.order.dead-letters"))
    assert "answer pay shop.PaymentTaken refused: amount: " in letter.error
    assert told(town) == before


def test_a_refused_order_is_on_the_log_with_its_reason(town: Town) -> None:
    """Nothing changes but that the lifecycle tells of the refusal."""
    town.tell(PLACED)
    orders(town, Skip("pya"))
    why = "there is no step pya, the steps are reserve, pay, ship, deliver"
    assert told(town)[-1].change == (f"skip pya (by ada: the warehouse called) refused: {why}",)
    assert told(town)[-1].steps == told(town)[0].steps


def test_an_order_to_no_saga_is_a_dead_letter(town: Town) -> None:
    """A command for a key that no saga has is kept with its reason."""
    orders(town, Cancel(), key="o9")
    (letter,) = map(read, town.records("choreo.saga.order.dead-letters"))
    assert "refused: there is no such saga order" in letter.error


def test_commands_need_no_rekeying() -> None:
    """They are keyed by the saga's key, also where the events of the saga are brought together by another field."""
    keyed = """\
saga: depot
version: 1
starts_on: shop.OrderPlaced
correlate_by: warehouse
within: 1m
steps: [{name: release, completes_on: shop.StockReleaseRequested, compensate: none}]
"""
    town = Town(coordinator(spec_of(keyed), EVENTS))
    assert set(town.workers[0].plan.topics) == {
        "choreo.saga.depot.by-warehouse.shop.orders",
        "choreo.saga.depot.commands",
    }


def test_timers_stay_with_the_coordinator(town: Town) -> None:
    """The ids of requests hold the name of the handler that answered: a timer is the Coordinator's, as ever."""
    assert {name: one.signature.name for name, one in town.workers[0].plan.by_timer.items()} == {"due": "Coordinator"}


def test_a_replay_takes_the_same_road(town: Town) -> None:
    """Stores that are rebuilt from the log and the journal are the same, orders included."""
    town.tell(PLACED, OrderPlaced(order_id="o2", warehouse="graz", total=Decimal("3.00")))
    orders(town, Skip("pay"))
    orders(town, Answer("pay", "shop.PaymentTaken", {"amount": "3.00"}), key="o2")
    orders(town, Cancel(), key="o2")
    orders(town, Cancel(), key="o3")
    backend = town.workers[0].tasks[0].task.entries.backend
    verdict = verify(town.services[0], town.log, town.registry, lambda partition: backend)
    assert [str(one) for one in (*verdict.differences, *verdict.divergences)] == []


def test_sagas_are_found_by_what_they_remember(town: Town) -> None:
    """Every remembered field leads to the sagas that have its value, also after the disks are lost."""
    town.tell(PLACED, OrderPlaced(order_id="o2", warehouse="graz", total=Decimal("9.00")))
    expected = [("total", "9.00", "o1"), ("total", "9.00", "o2")]
    assert (found(town, "total", "9.00"), found(town, "warehouse", "graz")) == (expected, [("warehouse", "graz", "o2")])
    town.lose_stores()
    town.wait(1)
    assert found(town, "total", "9.00") == expected


def test_a_forgotten_saga_is_found_no_more(town: Town) -> None:
    """The index holds nothing of it."""
    town.tell(PLACED, OrderCancelled(order_id="o1"))
    orders(town, Resolve("reserve", "compensated"))
    orders(town, Resolve("pay", "compensated"))
    assert told(town)[-1].status == "cancelled"
    assert found(town, "warehouse") == [("warehouse", "vienna", "o1")]
    town.wait(31 * 86_400)
    assert found(town) == []
