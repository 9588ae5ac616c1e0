"""The verdict on a chaos run: every order as its row says, every event once, every store as the log says."""

import csv
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from choreo.cli.stores import ProjectBackends
from choreo.demo.run import Stage, cast_of
from choreo.demo.shop import load_shop
from choreo.events.codec import Codec
from choreo.events.envelope import unpack
from choreo.log.interface import Log
from tests.chaos.place import SERVICES, Place
from tests.demo.expected import STAGES, Expected, expected
from tests.demo.outcome import business_topics, dead_letters, outcome, records

Said = Counter[tuple[str, str]]
"""How often which event was said of which order."""
ONCE = (
    "OrderPlaced",
    "PaymentTaken",
    "ParcelHandedOver",
    "OrderDelivered",
    "OrderCancelled",
    "CancellationRefused",
    "PaymentRefunded",
    "StockRejected",
    "PickRequested",
    "LineRequested",
)
"""Events that each row determines, whatever the order of things."""


def judge(place: Place, log: Log, directory: Path, partitions: int = 4) -> dict[str, int]:
    """Compare everything; the processes have ended. Answers how much was compared."""
    due = expected(directory)
    with closing(ProjectBackends(place.state)) as backends:
        stage = Stage(log, place.registry, backends, partitions)
        found = outcome(stage)
        said, ids = _said(stage)
        letters = dead_letters(stage)
    # Dates of the past are overdue at once in wall time, before or after the delivery: either is right.
    wrong = {
        key: (found.orders.get(key), order)
        for key, order in due.orders.items()
        if _timeless(found.orders.get(key)) != _timeless(order)
    }
    assert wrong == {}, f"{len(wrong)} orders ended otherwise (found, due): {list(wrong.items())[:3]}"
    assert found.orders.keys() == due.orders.keys(), "there are orders that nobody placed"
    _expect_equal("stock", found.stock, due.stock)
    _expect_equal("refunds", _refunds(found.orders), _refunds(due.orders))
    assert letters == [], f"{len(letters)} dead letters"
    wanted = _expected_said(directory, due.orders)
    _expect_equal("events", said, wanted)
    assert len(ids) == len(set(ids)), f"{len(ids) - len(set(ids))} events stand twice"
    return {"orders": len(due.orders), "events": len(ids), "expected events": wanted.total()}


def judge_commands(place: Place, directory: Path, within_s: float = 300) -> dict[str, int]:
    """What the commands say of it: `sagas list` the expected statuses, `replay verify` that all stores are clean."""
    due = expected(directory).orders
    listed = {
        row["key"]: (row["saga"], row["status"], tuple(row["waits_for"]))
        for row in place.ask("sagas", "list", timeout_s=within_s)
    }
    wanted = {key: ("order_fulfilment", order.status, order.waits_for) for key, order in due.items()}
    _expect_equal("sagas list", listed, wanted)
    verdicts = {row["service"]: row for row in place.ask("replay", "verify", timeout_s=within_s)}
    assert verdicts.keys() == {*SERVICES, "saga.order_fulfilment"}, f"verified were {sorted(verdicts)}"
    assert all(row["clean"] is True for row in verdicts.values()), f"stores differ: {verdicts}"
    return {
        "entries": sum(row["entries"] for row in verdicts.values()),
        "checkpoints": sum(row["checkpoints"] for row in verdicts.values()),
        "inputs": sum(row["inputs"] for row in verdicts.values()),
        "emissions": sum(row["emissions"] for row in verdicts.values()),
    }


def _expect_equal(what: str, found: Mapping[Any, Any], due: Mapping[Any, Any]) -> None:
    """Entry by entry; where they differ, the first few of them stand in the error."""
    differ = {key: (found.get(key), due.get(key)) for key in {**found, **due} if found.get(key) != due.get(key)}
    assert not differ, f"{what}: {len(differ)} differ (found, due): {list(differ.items())[:3]}"


def _timeless(order: Expected | None) -> Expected | None:
    return order and order._replace(overdue=False)


def _refunds(orders: dict[str, Expected]) -> dict[str, Decimal]:
    """Money given back for every order that was undone; what is due is the money that was taken."""
    undone = {key: order for key, order in orders.items() if order.status in ("compensated", "cancelled")}
    return {key: order.refunded if order.refunded is not None else Decimal(-1) for key, order in undone.items()}


def _said(stage: Stage) -> tuple[Said, list[bytes]]:
    """What stands on the shop's topics and the saga's, as a read-committed reader sees it, and every event_id."""
    cast = cast_of(load_shop())
    classes = {event for service in cast.services for event in (*service.handled, *service.emitted)}
    codec = Codec(stage.registry, classes, stage.log.cluster_id())
    said: Said = Counter()
    ids: list[bytes] = []
    sagas = [name for name in stage.log.topics() if name.startswith("choreo.saga.") and name.endswith(".lifecycle")]
    for record in records(stage, [*business_topics(stage), *sagas]):
        ids.append(unpack(dict(record.headers)["choreo"]).event_id)
        event_class = codec.event_class(record)
        if event_class is not None and event_class.contract.name in ONCE:
            event: Any = codec.event(record)
            said[event_class.contract.name, event.order_id] += 1
    return said, ids


def _expected_said(directory: Path, orders: dict[str, Expected]) -> Said:
    said: Said = Counter()
    with (directory / "stratified_orders.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = row["order_id"]
            reached = next((n for n, stage in enumerate(STAGES) if not row[stage]), len(STAGES))
            sent = reached if row["order_status"] != "unavailable" else min(reached, 1)
            said.update((name, key) for name in ("OrderPlaced", "PickRequested"))
            said.update((name, key) for name in ("PaymentTaken", "ParcelHandedOver", "OrderDelivered")[:sent])
            said.update([("OrderCancelled", key)] if row["order_status"] == "canceled" else [])
            said.update([("StockRejected", key)] if row["order_status"] == "unavailable" else [])
            said.update([("PaymentRefunded", key)] if orders[key].refunded is not None else [])
            said.update([("CancellationRefused", key)] if orders[key].refused else [])
    with (directory / "stratified_order_items.csv").open(encoding="utf-8", newline="") as file:
        said.update(("LineRequested", row["order_id"]) for row in csv.DictReader(file))
    return said
