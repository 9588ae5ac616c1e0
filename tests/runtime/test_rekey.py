"""Re-keying: state by another key than the event's own, and topics of somebody else's."""

import json
from collections import Counter
from typing import Annotated

import pytest
from pydantic import Field

from choreo import Context, Event, Handler, Service, Store
from choreo.errors import ServiceError
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord
from choreo.replay.verify import verify
from choreo.runtime.plan import plan_of
from choreo.runtime.relay import with_relays
from choreo.types import Json
from tests.runtime.town import Town


class OrderPlaced(Event, namespace="rekey", topic="rekey.orders", key="order_id"):
    order_id: str
    warehouse: str
    pieces: int


class StockReserved(Event, namespace="rekey", topic="rekey.stock", key="order_id"):
    order_id: str
    left: int


class ShelfCounted(
    Event, namespace="erp", topic="erp.stock", key="warehouse", external=True, wire=Json(only={"type": "COUNT"})
):
    warehouse: Annotated[str, Field(alias="whs")]
    pieces: Annotated[int, Field(alias="qty")]


class Reserve(Handler[OrderPlaced | ShelfCounted]):
    keyed_by = "warehouse"
    stock = Store[str, int](default=0)

    def handle(self, event: OrderPlaced | ShelfCounted, ctx: Context) -> StockReserved | None:
        if isinstance(event, ShelfCounted):
            self.stock[event.warehouse] = event.pieces
            return None
        self.stock[event.warehouse] -= event.pieces
        return StockReserved(order_id=event.order_id, left=self.stock[event.warehouse])


def town(partitions: int) -> Town:
    log = MemoryLog()
    log.create_topics([TopicSpec("erp.stock", 2)])
    return Town(*with_relays([Service("inventory", handlers=[Reserve])]), partitions=partitions, log=log)


@pytest.mark.parametrize("partitions", [1, 3])
def test_state_by_another_key_counts_every_event_once(partitions: int) -> None:
    """Orders keyed by themselves meet in the task of their warehouse; the outcome is that of one partition."""
    place = town(partitions)
    counts = [json.dumps({"type": "COUNT", "whs": f"w{n}", "qty": 100}).encode() for n in range(4)]
    noise = json.dumps({"type": "PING"}).encode()
    place.log.append([NewRecord("erp.stock", None, value) for value in (*counts, noise)])
    place.time.settle()
    place.tell(*[OrderPlaced(order_id=f"o{n}", warehouse=f"w{n % 4}", pieces=1) for n in range(40)])
    place.crash()
    place.time.settle()
    left = Counter(
        event.left for event in place.events("rekey.stock", (StockReserved,)) if isinstance(event, StockReserved)
    )
    assert left == Counter(dict.fromkeys(range(90, 100), 4))


def test_a_relayed_event_keeps_its_ids_and_a_replay_of_it_is_clean() -> None:
    """The internal topic holds the same events under another key; stores rebuilt from it equal the live ones."""
    place = town(2)
    place.tell(*[OrderPlaced(order_id=f"o{n}", warehouse="w", pieces=1) for n in range(5)])
    internal = "choreo.inventory.by-warehouse.rekey.orders"
    assert Counter(place.ids(internal)) == Counter(place.ids("rekey.orders"))
    assert {record.key for record in place.records(internal)} == {b"w"}
    tasks = place.workers[0].tasks
    verdict = verify(place.services[0], place.log, place.registry, lambda n: tasks[n].task.entries.backend)
    assert verdict.clean
    assert [value for key, value in place.stored("inventory").items() if b"stock" in key] == [b"\x01-5"]


def test_an_unknown_field_is_refused() -> None:
    """keyed_by names a field of every event that the handler takes."""

    class Wrong(Handler[OrderPlaced]):
        keyed_by = "werehouse"

        def handle(self, event: OrderPlaced, ctx: Context) -> None: ...

    with pytest.raises(ServiceError, match="keyed_by='werehouse' is no field of OrderPlaced"):
        plan_of(Service("wrong", handlers=[Wrong]))
