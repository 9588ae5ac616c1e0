"""Orders that lie on the log and that no coordinator has taken up yet, for whoever looks at their saga."""

from collections.abc import Iterator
from typing import Any

from choreo.cli.project import Project
from choreo.cli.saga_rows import moment_text
from choreo.clock import to_datetime
from choreo.errors import DecodeError, HandlingError
from choreo.events.codec import Codec
from choreo.log.up_to import places_on, read_up_to
from choreo.record import Record
from choreo.saga.commands import SagaCommand, command_event, order_of
from choreo.saga.decision import Command
from choreo.saga.operate import saying


def open_orders(project: Project, saga: str, key: str) -> list[dict[str, Any]]:
    """The orders to one instance behind what the coordinator has committed, the oldest first: `at`, `who`, `order`."""
    command, log = command_event(saga), project.log
    topic = command.contract.topic
    places = places_on(log, [topic])
    if not places:
        return []
    codec = Codec(project.registry, [command], log.cluster_id())
    taken_up, starts = log.committed(topic.removesuffix(".commands"), places), log.starts(places)
    behind = {place: max(taken_up[place] or 0, starts[place]) for place in places}
    found: list[dict[str, Any]] = []
    for records, _ in read_up_to(log, behind, log.ends(places)):
        found += [row for one in records if one.key == key.encode() and (row := _row(codec, one))]
    return sorted(found, key=lambda row: row["at"])


def _row(codec: Codec, record: Record) -> dict[str, Any] | None:
    """None for what is no order: the coordinator will make a dead letter of it."""
    try:
        event, ids = codec.event(record), codec.ids(record)
        assert isinstance(event, SagaCommand)
        given = Command(order_of(event), ids.event_id, ids.at, ids.at, event.who, event.why)
    except (DecodeError, HandlingError):
        return None
    return {"at": to_datetime(ids.at), "who": event.who, "why": event.why, "order": saying(given)}


def order_lines(saga: str, orders: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each order."""
    for one in orders:
        asked = f"asked at {moment_text(one['at'])}: {one['order']}"
        yield f"  {asked}: not taken up yet, is the coordinator of {saga} running?"
