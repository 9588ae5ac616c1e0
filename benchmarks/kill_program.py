"""Counts orders by key under kill -9: the program that the peers' comparison kills and whose output it counts.

python benchmarks/kill_program.py SRC DST GROUP: orders in Confluent's framing with schema id 1 come from SRC, one
StockReserved with schema id 2 for each goes to DST; the broker is $BROKER. A group of Choreo is `choreo.` and the name
of the service, so the comparison has to call this peer `choreo.SOMETHING`.
"""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from choreo import Context, Event, Handler, Service, Store, Value
from choreo.clock import SystemClock
from choreo.errors import UnknownSchemaError
from choreo.events.registry import Registry
from choreo.log.kafka import KafkaLog
from choreo.runtime.heap import rare_collections
from choreo.runtime.loop import run_worker
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import Worker
from choreo.state.rocks import RocksBackends

SCOPE = "choreo."
LINE = {
    "type": "record",
    "name": "Line",
    "fields": [{"name": "sku", "type": "string"}, {"name": "qty", "type": "int"}, {"name": "cents", "type": "long"}],
}
ORDER = {
    "type": "record",
    "name": "OrderPlaced",
    "namespace": "shop",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "customer_id", "type": "string"},
        {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "currency", "type": "string"},
        {"name": "lines", "type": {"type": "array", "items": LINE}},
    ],
}
"""What the orders were written with."""


class FixedIds(Registry):
    """The two ids of the workload."""

    def __init__(self) -> None:
        self._schemas: dict[int, tuple[str, dict[str, Any]]] = {1: ("shop.OrderPlaced", ORDER)}

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        self._schemas[2] = (subject, schema)
        return 2

    def schema(self, schema_id: int) -> dict[str, Any]:
        if schema_id not in self._schemas:
            raise UnknownSchemaError(f"schema id {schema_id} is none of this workload")
        return self._schemas[schema_id][1]

    def ids(self) -> Mapping[int, str]:
        return {schema_id: subject for schema_id, (subject, _) in self._schemas.items()}


class Line(Value, namespace="shop"):
    """So many pieces at this price."""

    qty: int
    cents: int


def needed_order(source: str) -> type[Event]:
    """An order with the fields that the counting reads."""

    class OrderPlaced(Event, namespace="shop", topic=source, key="order_id", external=True):
        """A customer ordered."""

        order_id: str
        lines: tuple[Line, ...]

    return OrderPlaced


def whole_order(source: str) -> type[Event]:
    """An order with every field that was written."""

    class Line(Value, namespace="shop"):
        """So many pieces of this article at this price."""

        sku: str
        qty: int
        cents: int

    class OrderPlaced(Event, namespace="shop", topic=source, key="order_id", external=True):
        """A customer ordered."""

        order_id: str
        customer_id: str
        placed_at: datetime
        currency: str
        lines: tuple[Line, ...]

    return OrderPlaced


def counting(name: str, source: str, target: str, order_of: Callable[[str], type[Event]] = needed_order) -> Service:
    """A service that counts the orders of each key, from one topic to another."""
    OrderPlaced: Any = order_of(source)

    class StockReserved(Event, namespace="shop", topic=target, key="order_id"):
        """It is reserved; `seen`: how many orders this key has had."""

        order_id: str
        total_cents: int
        seen: int

    class Count(Handler[OrderPlaced]):
        """One answer for each order."""

        seen = Store[str, int](default=0)

        def handle(self, order: OrderPlaced, ctx: Context) -> StockReserved:
            self.seen[order.order_id] += 1
            total = sum(line.qty * line.cents for line in order.lines)
            return StockReserved(order_id=order.order_id, total_cents=total, seen=self.seen[order.order_id])

    return Service(name, handlers=[Count])


def main(source: str, target: str, group: str, *how: str) -> None:
    """Run until SIGTERM; with a last argument `whole`, every field of the order is read."""
    if not group.startswith(SCOPE):
        sys.exit(f"{group} is no group of Choreo: call this peer {SCOPE}SOMETHING")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    clock = SystemClock()
    order_of = whole_order if how == ("whole",) else needed_order
    service = counting(group.removeprefix(SCOPE), source, target, order_of)
    place = Path(tempfile.gettempdir()) / f"choreo-kill-{group}"
    with KafkaLog.from_url(f"kafka://{os.environ.get('BROKER', '127.0.0.1:19092')}") as log:
        create_topics(log, [plan_of(service)], log.topics()[source].partitions)
        backends = RocksBackends(place)
        worker = Worker(service, Site(log, FixedIds(), backends, clock), RunOptions(start_from="earliest"))
        worker.start()
        with rare_collections():
            run_worker(worker, clock, lambda: bool(stopping))
        backends.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
