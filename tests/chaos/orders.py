"""Which orders a chaos run plays: a slice of the real ones that holds every kind, as CSV files, and their events."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from choreo.demo.rows import Row, demand
from choreo.demo.shop import load_shop
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id
from choreo.events.event import Event
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import TopicPartition
from tests.demo.expected import STAGES

Table = list[dict[str, str]]
NAMES = ("orders", "order_items", "order_payments")


def slice_orders(source: Path, into: Path, count: int) -> Path:
    """Write `count` orders with all that belongs to them into `into`: as many as there are of each kind, in turn.

    A kind: status, stages that it shows, with or without lines, paid in one part or several, late or not.
    """
    tables = {name: _read(source / f"stratified_{name}.csv") for name in NAMES}
    lines = _per_order(tables["order_items"])
    parts = _per_order(tables["order_payments"])
    kinds: dict[tuple[Any, ...], Table] = {}
    for row in tables["orders"]:
        shown = tuple(bool(row[stage]) for stage in STAGES)
        late = row[STAGES[-1]] > row["order_estimated_delivery_date"]
        kind = (row["order_status"], shown, bool(lines.get(row["order_id"])), parts.get(row["order_id"], 0) > 1, late)
        kinds.setdefault(kind, []).append(row)
    chosen = {row["order_id"] for row in _in_turn(list(kinds.values()), count)}
    into.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        _write(into / f"stratified_{name}.csv", [row for row in table if row["order_id"] in chosen])
    return into


def _read(path: Path) -> Table:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(path: Path, table: Table) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def _per_order(table: Table) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in table:
        found[row["order_id"]] = found.get(row["order_id"], 0) + 1
    return found


def _in_turn(groups: list[Table], count: int) -> Table:
    found: Table = []
    depth = 0
    while len(found) < count and any(depth < len(group) for group in groups):
        found += [group[depth] for group in groups if depth < len(group)]
        depth += 1
    return found[:count]


class Feed:
    """Says the script of the orders in waves, so that there is work for as long as there are kills."""

    def __init__(self, rows: Sequence[Row], registry: Registry, cluster_id: str) -> None:
        self.left = list(rows)
        self._rows = tuple(rows)
        self._shop = load_shop()
        self._codec = Codec(registry, (), cluster_id)

    def next(self, log: Log, count: int, at: int) -> int:
        """Append the next `count` orders; before the first, what lies on the shelves. Answers how many are left.

        An append that fails leaves its orders with those that are left: `look` finds out which of them were written.
        """
        wave = self.left[:count]
        first = len(self.left) == len(self._rows)
        said = [*(self._counts() if first else ()), *((row.order_id, self._shop.script(row)) for row in wave)]
        if said:
            log.append([self._codec.encode(event, _ids(key, event, at)) for key, event in said])
        self.left = self.left[count:]
        return len(self.left)

    def look(self, log: Log) -> None:
        """Leave out what is on the log already."""
        topic = self._shop.scripted.contract.topic
        partitions = [TopicPartition(topic, number) for number in range(log.topics()[topic].partitions)]
        ends, known = log.ends(partitions), set[bytes | None]()
        with log.reader(log.starts(partitions)) as reader:
            while any(reader.position(partition) < end for partition, end in ends.items()):
                known.update(record.key for record in reader.read(1.0))
        self.left = [row for row in self.left if row.order_id.encode() not in known]

    def _counts(self) -> Iterator[tuple[str, Event]]:
        for product_id, pieces in demand(self._rows).items():
            yield product_id, self._shop.counting(product_id, pieces)


def _ids(key: str, event: Event, at: int) -> Ids:
    """The story is named after the order or product; an id of its own for each event."""
    return Ids(event_id=derive_id(bytes(16), "chaos", f"{event.contract.name} {key}", 0), correlation_id=key, at=at)
