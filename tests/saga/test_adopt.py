"""The coordinator takes a saga over to another version: from the log, with its timers, and a replay does the same."""

from decimal import Decimal
from typing import Any

from choreo.events.event import Event
from choreo.replay.verify import verify
from choreo.saga.commands import command_of
from choreo.saga.coordinator import Coordinator, coordinator
from choreo.saga.decision import Migrate, Received
from choreo.saga.instance import Instance
from choreo.saga.lifecycle import lifecycle_event
from choreo.saga.migration import Answers, Versions, classify
from choreo.saga.refold import History
from tests.runtime.town import Town
from tests.saga.shop import EVENTS, OrderPlaced, ParcelHandedOver, PaymentTaken, StockReserved, changed, spec_of

FIRST = spec_of()
SECOND = spec_of(
    changed(
        ("version: 1", "version: 2"), ("within: 1h", "within: 2h"), ("name: ship", "name: send"), ("r: ship", "r: send")
    )
)
PLACED = OrderPlaced(order_id="o1", warehouse="vienna", total=Decimal("9.00"))


def begun() -> Town:
    """Version 2 is here, and version 1 is what was deployed; `reserve` is done."""
    town = Town(coordinator(SECOND, EVENTS, older=[FIRST]))
    town.specs = (FIRST.digest,)
    town.crash()
    town.tell(PLACED, StockReserved(order_id="o1"))
    return town


def deploy(town: Town) -> None:
    """Version 2 is deployed, and the coordinator starts anew."""
    town.specs = (SECOND.digest, FIRST.digest)
    town.crash()
    town.time.settle()


def instance(town: Town) -> Instance:
    """The saga as it is stored."""
    keys, values = Coordinator.instances.codecs()
    found: Instance = values.load(town.stored("saga.order")[keys.encode("o1")])
    return found


def order(town: Town) -> Migrate:
    """What a person at the console would order."""
    live = instance(town)
    at, reserved = live.started_at, live.steps["reserve"].done_at or 0

    def came(event: Event, event_id: bytes, moment: int) -> Received:
        fields = event.model_dump(mode="json")
        return Received(event.contract.full_name, "o1", event_id, moment, moment, fields, live.correlation_id)

    start, then = came(PLACED, b"1" * 16, at), came(StockReserved(order_id="o1"), b"2" * 16, reserved)
    versions = Versions({FIRST.digest: FIRST}, SECOND)
    verdict = classify(live, History(FIRST.digest, start, (), (then,)), versions, Answers(), {})
    assert verdict.order is not None, verdict
    return verdict.order


def orders(town: Town, migrate: Migrate) -> Any:
    """Ada gives it; answers what the lifecycle tells of it."""
    town.tell(command_of("order", "o1", migrate, "ada", "the bank is slow"))
    return told(town)[-1]


def told(town: Town) -> list[Any]:
    """The lifecycle events, in order."""
    return town.events("choreo.saga.order.lifecycle", [lifecycle_event("order")])


def replayed(town: Town) -> list[str]:
    """What a replay finds to be different."""
    backend = town.workers[0].tasks[0].task.entries.backend
    verdict = verify(town.services[0], town.log, town.registry, lambda partition: backend)
    return [str(one) for one in (*verdict.differences, *verdict.divergences)]


def test_a_saga_goes_on_under_the_other_version() -> None:
    """Its next steps are those of the other version, and the lifecycle says who ordered it and why."""
    town = begun()
    deploy(town)
    last = orders(town, order(town))
    assert (last.version, last.status, last.digest) == (2, "waiting", SECOND.digest)
    assert last.change[0] == "migrate to version 2 (by ada: the bank is slow)"
    town.tell(PaymentTaken(order_id="o1", amount=Decimal("9.00")), ParcelHandedOver(order_id="o1"))
    assert told(town)[-1].steps == {"reserve": "done", "pay": "done", "send": "done", "deliver": "waiting"}
    assert replayed(town) == []


def test_its_timers_are_those_of_the_other_version() -> None:
    """Where version 1 would have given up, it still waits; it gives up when version 2 does."""
    town = begun()
    deploy(town)
    orders(town, order(town))
    town.wait(90 * 60)
    assert told(town)[-1].status == "waiting"
    town.wait(31 * 60)
    assert told(town)[-1].status == "compensating"
    assert replayed(town) == []


def test_a_version_that_was_not_deployed_then_is_refused() -> None:
    """A replay of the order refuses it too, though the version is known by now."""
    town = begun()
    last = orders(town, order(town))
    assert (last.version, last.change[0].partition(" refused: ")[2]) == (
        1,
        "version 2 is not deployed: choreo sagas deploy, then run the coordinator with it",
    )
    deploy(town)
    assert orders(town, order(town)).version == 2
    assert replayed(town) == []
