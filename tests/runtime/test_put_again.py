"""Records that an operator put on the log again, on their way through relays and foreign topics."""

import json
from typing import Annotated, ClassVar
from uuid import UUID

import pytest
from pydantic import Field

from choreo import Context, Event, Handler, Retry, Service, Store
from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import Again, Ids
from choreo.events.plain import headers_again, mark_in
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord, Record
from choreo.runtime.relay import with_relays
from choreo.types import Json
from tests.runtime.town import Town

OPERATION = UUID(int=3)


class Sold(Event, namespace="again", topic="again.sales", key="sale"):
    sale: str
    sku: str


class Weighed(Event, namespace="scales", topic="scales.weights", key="sku", external=True, wire=Json()):
    sku: str
    grams: Annotated[int, Field(alias="g")]


class Count(Handler[Sold]):
    """Counts by sku, so a relay re-keys for it."""

    keyed_by = "sku"
    sold = Store[str, int](default=0)

    def handle(self, event: Sold, ctx: Context) -> None:
        self.sold[event.sku] += 1


class Note(Handler[Sold]):
    noted = Store[str, int](default=0)

    def handle(self, event: Sold, ctx: Context) -> None:
        self.noted[event.sale] += 1


class Weigh(Handler[Weighed]):
    retry = Retry(attempts=1, then="skip")
    weights = Store[str, int](default=0)
    seen: ClassVar[list[tuple[UUID, UUID | None]]] = []

    def handle(self, event: Weighed, ctx: Context) -> None:
        self.seen.append((ctx.event_id, ctx.again))
        self.weights[event.sku] += event.grams


def town() -> Town:
    log = MemoryLog()
    log.create_topics([TopicSpec("scales.weights", 2)])
    services = [
        Service("stock", handlers=[Count]),
        Service("notes", handlers=[Note]),
        Service("hall", handlers=[Weigh]),
    ]
    return Town(*with_relays(services), partitions=2, log=log)


def put(town: Town, record: Record, ids: Ids, mark: Again) -> None:
    """The record once more, so marked."""
    again = NewRecord(record.topic, record.key, record.value, headers_again(record.headers, ids._replace(again=mark)))
    town.log.append([again])
    town.time.settle()


def sums(town: Town) -> dict[str, int]:
    """How much each service has counted in all."""
    found = dict.fromkeys(("stock", "notes", "hall"), 0)
    for service in found:
        stored = town.stored(service).items()
        found[service] = sum(json.loads(value[1:]) for key, value in stored if not key.startswith(b"\x01~"))
    return found


def test_what_is_redriven_for_a_relay_reaches_the_service_behind_it_alone() -> None:
    """The relay hands it on, keyed anew, for its service; the mark keeps the operation."""
    place = town()
    place.tell(Sold(sale="s1", sku="tea"))
    assert sums(place) == {"stock": 1, "notes": 1, "hall": 0}
    (record,), (ids,) = place.records("again.sales"), place.ids("again.sales")
    put(place, record, ids, Again(OPERATION.bytes, "stock.by-sku.again.sales"))
    assert sums(place) == {"stock": 2, "notes": 1, "hall": 0}
    marks = [one.again for one in place.ids("choreo.stock.by-sku.again.sales")]
    assert marks == [None, Again(OPERATION.bytes, "stock")]


def test_what_is_redriven_for_a_service_is_not_relayed_once_more() -> None:
    """Its other handlers had their turn: only those that read the topic itself are meant."""
    place = town()
    place.tell(Sold(sale="s1", sku="tea"))
    (record,), (ids,) = place.records("again.sales"), place.ids("again.sales")
    put(place, record, ids, Again(OPERATION.bytes, "notes"))
    put(place, record, ids, Again(OPERATION.bytes, "stock"))
    assert sums(place) == {"stock": 1, "notes": 2, "hall": 0}
    put(place, record, ids, Again(OPERATION.bytes))
    assert sums(place) == {"stock": 2, "notes": 3, "hall": 0}
    assert place.ids("choreo.stock.by-sku.again.sales")[-1].again == Again(OPERATION.bytes)


def test_records_of_others_are_marked_in_text_and_keep_the_ids_that_they_had() -> None:
    """A record without any ids of ours has those of where it lay, also where it lies now."""
    Weigh.seen.clear()
    place = town()
    place.log.append([NewRecord("scales.weights", b"tea", b'{"sku": "tea", "g": 5}', [("unit", b"g")])])
    place.time.settle()
    (record,) = place.records("scales.weights")
    ids = Codec(place.registry, [Weighed], place.log.cluster_id()).ids(record)
    put(place, record, ids, Again(OPERATION.bytes, "stock"))
    put(place, record, ids, Again(OPERATION.bytes, "hall"))
    event_id = UUID(bytes=ids.event_id)
    assert Weigh.seen == [(event_id, None), (event_id, OPERATION)]
    assert [mark_in(one.headers) for one in place.records("scales.weights")] == [
        None,
        Again(OPERATION.bytes, "stock"),
        Again(OPERATION.bytes, "hall"),
    ]
    with pytest.raises(DecodeError, match="burn"):
        mark_in([("choreo-again", f"{OPERATION} burn".encode())])
    told = dict(place.records("scales.weights")[-1].headers)
    assert told["choreo-again"] == f"{OPERATION} handle hall".encode()
    assert told["unit"] == b"g"
