"""Choreo and a program with Java's client understand each other: frames, Avro, partitions, ids in either header."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from fastavro import json_writer, parse_schema

from choreo.events.avro import schema_of, shape_of
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.event import Event, Value
from choreo.events.registry import MemoryRegistry
from choreo.events.saga_mark import SagaMark
from choreo.log.interface import TopicSpec
from choreo.log.kafka import KafkaLog
from choreo.log.partitioner import partition_of
from choreo.record import NewRecord, Record, TopicPartition
from choreo.types import CloudEvents, Json
from tests.events.sample import Colour, Money
from tests.foreign.peer import Peer

PARTITIONS = 5
pytestmark = pytest.mark.xdist_group("java")
"""On one process: the peer is compiled once."""


class Parcel(Value):
    weight: float
    labels: dict[str, str] = {}


class Shipped(Event, namespace="post", topic="post.shipped", key="order_id"):
    order_id: str
    pieces: int
    price: Money
    colour: Colour
    parcels: tuple[Parcel, ...]
    at: datetime
    note: str | None = None


class PlainShipped(Shipped, headers="plain"):
    """The same, with its ids as text."""


class CloudShipped(Shipped, wire=Json(), cloudevents=CloudEvents("structured")):
    """The same, as a structured CloudEvent."""


CLASSES = (Shipped, PlainShipped, CloudShipped)
FULL = Ids(
    UUID(int=5).bytes, "story ü", UUID(int=6).bytes, UUID(int=7).bytes, 40_000, -3, True,
    SagaMark(name="order", version=4_000_000_000, step=None), "key-1",
)  # fmt: skip
IDS = [
    Ids(UUID(int=1).bytes, "o1", at=1_767_225_600_000_001),
    Ids(UUID(int=2).bytes, "", UUID(int=3).bytes, at=2),
    FULL,
]


def shipped(cls: type[Shipped], number: int) -> Shipped:
    return cls(
        order_id=["o-1", "größe", "日本", "o" * 300][number % 4] + str(number), pieces=-number, price=Decimal("-1.05"),
        colour=Colour.BLUE, parcels=(Parcel(weight=1.5, labels={"a": "ß"}), Parcel(weight=0.0)),
        at=datetime(2026, 1, 1, 0, 0, 0, 7, UTC), note=[None, "n"][number % 2],
    )  # fmt: skip


def as_avro_json(event: Event) -> Any:
    """The event in Avro's JSON encoding, which Java's library speaks too."""
    shape = shape_of(type(event))
    text = StringIO()
    json_writer(text, parse_schema(shape.avro), [shape.written(event)])
    return json.loads(text.getvalue())


@pytest.fixture
def log(kafka_url: str) -> Iterator[KafkaLog]:
    with KafkaLog.from_url(kafka_url) as log:
        log.create_topics([TopicSpec("post.shipped", PARTITIONS)])
        yield log


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def schemas(registry: MemoryRegistry, tmp_path: Path) -> Path:
    """A file with the schemas by id: what a registry would answer."""
    ids = {registry.register(cls.contract.full_name, schema_of(cls)): schema_of(cls) for cls in CLASSES[:2]}
    file = tmp_path / "schemas.json"
    file.write_text(json.dumps(ids))
    return file


def place(log: KafkaLog) -> tuple[str, str]:
    """Where Java finds the topic: host and port, and its name with the prefix."""
    bootstrap, _, prefix = log.url.removeprefix("kafka://").partition("?prefix=")
    return bootstrap, f"{prefix}.post.shipped"


def records(log: KafkaLog, count: int) -> list[Record]:
    found: list[Record] = []
    with log.reader({TopicPartition("post.shipped", n): 0 for n in range(PARTITIONS)}) as reader:
        while len(found) < count:
            batch = reader.read(20)
            assert batch, f"{len(found)} of {count} records"
            found += batch
    return found


def test_every_key_has_the_partition_that_java_picks(peer: Peer) -> None:
    """Hundreds of keys of every length, empty, beyond ASCII and of any bytes, over several counts of partitions."""
    chance = random.Random(7)
    texts = ["", "a", "größe", "日本語", "🚚" * 9, "\0", *(f"order-{n}" for n in range(200))]
    keys = [text.encode() for text in texts] + [chance.randbytes(size % 70) for size in range(300)]
    for count in (1, 6, 1000):
        said = peer.ask("partitions", count, lines=[key.hex() for key in keys])
        assert [int(line) for line in said] == [partition_of(key, count) for key in keys]


@pytest.mark.kafka
def test_java_reads_what_choreo_writes(peer: Peer, log: KafkaLog, registry: MemoryRegistry, schemas: Path) -> None:
    """Java's Avro reads the bodies behind the frame, and every id from packed, plain and cloud headers."""
    codec = Codec(registry, CLASSES, "c")
    written = [(shipped(cls, number), ids) for cls in CLASSES for number, ids in enumerate(IDS)]
    writer = log.writer("java")
    transaction = writer.begin()
    transaction.append([codec.encode(event, ids) for event, ids in written])
    transaction.commit()
    writer.close()
    said = [json.loads(line) for line in peer.ask("read", *place(log), len(written), schemas)]
    assert len(said) == len(written)
    found = {(_name(row), row["key"]): row for row in said}
    for event, ids in written:
        key = event.order_id.encode()
        row = found[event.contract.full_name, key.hex()]
        assert row["partition"] == partition_of(key, PARTITIONS)
        if isinstance(event, CloudShipped):
            cloud = json.loads(row["text"])
            assert cloud["data"] == event.model_dump(mode="json")
            assert (cloud["id"], cloud["correlationid"]) == (str(UUID(bytes=ids.event_id)), ids.correlation_id)
            assert row["headers"]["content-type"].startswith("application/cloudevents+json")
        else:
            assert row["event"] == as_avro_json(event)
        if isinstance(event, PlainShipped):
            assert "ids" not in row
            assert row["headers"]["choreo-event-id"] == str(UUID(bytes=ids.event_id))
            assert row["headers"]["choreo-attempt" if ids.attempt > 1 else "choreo-at"]
        else:
            assert row["ids"] == _as_java_says(ids)


@pytest.mark.kafka
def test_choreo_reads_what_java_writes(peer: Peer, log: KafkaLog, registry: MemoryRegistry, schemas: Path) -> None:
    """Events that Java frames, keys and partitions decode, with ids packed by Java, as text, or with none at all."""
    subjects = {subject: schema_id for schema_id, subject in registry.ids().items()}
    events = [shipped(Shipped, number) for number in range(12)]
    lines = [{"key": event.order_id.encode().hex(), "schema": subjects["post.Shipped"], "event": as_avro_json(event)}
             for event in events]  # fmt: skip
    packed, plain = Ids(UUID(int=1).bytes, "ü", UUID(int=3).bytes, at=9), Ids(UUID(int=2).bytes, "ü", at=10_000_000)
    story = {"correlation_id": "ü", "event_id": str(UUID(int=1)), "causation_id": str(UUID(int=3)), "at": 9}
    lines[0]["ids"] = story
    lines[1]["headers"] = {"choreo-event-id": str(UUID(int=2)), "choreo-correlation-id": "ü",
                           "choreo-at": "1970-01-01T00:00:10Z"}  # fmt: skip
    partitions = peer.ask("write", *place(log), schemas, lines=[json.dumps(line) for line in lines])
    assert [int(said) for said in partitions] == [partition_of(e.order_id.encode(), PARTITIONS) for e in events]
    codec = Codec(registry, CLASSES, "c")
    found = {record.key: codec.decode(record) for record in records(log, len(events))}
    assert [found[event.order_id.encode()].event for event in events] == events
    assert found[events[0].order_id.encode()].ids == packed
    assert found[events[1].order_id.encode()].ids == plain
    assert UUID(bytes=found[events[2].order_id.encode()].ids.event_id).version == 5


@pytest.mark.kafka
def test_both_producers_put_a_key_on_the_same_partition(peer: Peer, log: KafkaLog, schemas: Path) -> None:
    """The same keys written by Choreo without a partition and by Java lie side by side, also an empty one."""
    keys = [text.encode() for text in ("", "a", "größe", "日本語", *(f"o-{n}" for n in range(60)))]
    lines = [json.dumps({"key": key.hex(), "text": "java"}) for key in keys]
    log.append([NewRecord("post.shipped", key, b"choreo") for key in keys])
    peer.ask("write", *place(log), schemas, lines=lines)
    where: dict[bytes | None, set[int]] = {}
    for record in records(log, 2 * len(keys)):
        where.setdefault(record.key, set()).add(record.partition)
    assert where == {key: {partition_of(key, PARTITIONS)} for key in keys}


def _name(row: dict[str, Any]) -> str:
    return str(row["type"] if "type" in row else json.loads(row["text"])["type"])


def _as_java_says(ids: Ids) -> dict[str, Any]:
    """The ids as Peer.java shows them: those that are absent are not shown."""
    wide = {"event_id": ids.event_id, "causation_id": ids.causation_id, "request_id": ids.request_id}
    said: dict[str, Any] = {name: str(UUID(bytes=value)) for name, value in wide.items() if value is not None}
    said |= {"at": ids.at, "attempt": ids.attempt, "cancelled": ids.cancelled, "correlation_id": ids.correlation_id}
    if ids.saga is not None:
        said["saga"] = ids.saga.model_dump()
    return said | ({} if ids.key_id is None else {"key_id": ids.key_id})
