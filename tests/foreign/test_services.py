"""Services on topics of others: re-keyed inputs of every wire, and outputs for those who are not Choreo."""

import json
from collections import Counter
from io import BytesIO
from typing import Any

import pytest
from fastavro import schemaless_writer

from choreo import Context, Event, Handler, Service, Store
from choreo.events.cloudevents import read_cloud_event
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.record import NewRecord
from choreo.replay.verify import verify
from choreo.runtime.relay import with_relays
from choreo.types import Avro, Bytes, CloudEvents, Json
from tests.runtime.town import Town

READING = {"type": "record", "name": "Reading", "fields": [{"name": "plant", "type": "string"},
                                                           {"name": "kwh", "type": "int"}]}  # fmt: skip


class Metered(Event, namespace="grid", topic="grid.meters", external=True, wire=Avro(READING), key="plant"):
    plant: str
    kwh: int


class Pictured(Event, namespace="cam", topic="cam.pictures", external=True, key="camera",
               wire=Bytes("jpeg", key="camera", headers={"plant": "x-plant"})):  # fmt: skip
    camera: str
    plant: str
    jpeg: bytes


class Alarmed(Event, namespace="ops", topic="ops.alarms", external=True, key="plant", wire=Json(),
              cloudevents=CloudEvents(type="com.ops.alarm")):  # fmt: skip
    plant: str
    level: int


class Watched(Event, namespace="plant", topic="plant.watched", key="plant", cloudevents=CloudEvents("structured")):
    plant: str
    saw: str


class Watch(Handler[Metered | Pictured | Alarmed]):
    keyed_by = "plant"
    seen = Store[str, int](default=0)

    def handle(self, event: Metered | Pictured | Alarmed, ctx: Context) -> Watched:
        self.seen[event.plant] += 1
        return Watched(plant=event.plant, saw=getattr(event, "camera", type(event).__name__))


def inputs(number: int) -> list[NewRecord]:
    """One record of each kind, as its owner writes it; partitioned and keyed by rules that are not ours."""
    plant, body = f"p{number % 3}", BytesIO()
    schemaless_writer(body, READING, {"plant": plant, "kwh": number})
    alarm: dict[str, Any] = {"specversion": "1.0", "type": "com.ops.alarm", "source": "/ops", "id": f"a{number}"}
    alarm["data"] = {"plant": plant, "level": 3}
    cloud = [("content-type", b"application/cloudevents+json")]
    return [
        NewRecord("grid.meters", None, body.getvalue()),
        NewRecord("cam.pictures", f"cam{number}".encode(), b"\xff\xd8", [("x-plant", plant.encode())]),
        NewRecord("ops.alarms", b"\xff binary key", json.dumps(alarm).encode(), cloud),
    ]


@pytest.mark.parametrize("partitions", [1, 3])
def test_every_wire_is_rekeyed_and_counted_once(partitions: int) -> None:
    """Events of three foreign topics meet in the task of their plant, over a crash; a replay of it is clean."""
    log = MemoryLog()
    log.create_topics([TopicSpec(topic, 2) for topic in ("grid.meters", "cam.pictures", "ops.alarms")])
    place = Town(*with_relays([Service("watch", handlers=[Watch])]), partitions=partitions, log=log)
    for number in range(6):
        log.append(inputs(number))
        if number == 3:
            place.crash()
    place.time.settle()
    place.crash()
    place.time.settle()
    found = [event for event in place.events("plant.watched", (Watched,)) if isinstance(event, Watched)]
    cameras = {f"cam{n}": 1 for n in range(6)}
    assert Counter(event.saw for event in found) == Counter({"Metered": 6, "Alarmed": 6, **cameras})
    stored = place.stored("watch")
    assert sorted(value for key, value in stored.items() if b"seen" in key) == [b"\x016"] * 3
    assert not place.records("choreo.watch.dead-letters")
    tasks = place.workers[0].tasks
    assert verify(place.services[0], log, place.registry, lambda n: tasks[n].task.entries.backend).clean


def test_what_a_service_emits_is_a_cloud_event_for_anybody() -> None:
    """An output in structured mode is read without Choreo: one JSON object with all that it says."""
    log = MemoryLog()
    log.create_topics([TopicSpec(topic, 1) for topic in ("grid.meters", "cam.pictures", "ops.alarms")])
    place = Town(*with_relays([Service("watch", handlers=[Watch])]), log=log)
    log.append(inputs(1)[2:])
    place.time.settle()
    (record,) = place.records("plant.watched")
    assert json.loads(record.value or b"")["data"] == {"plant": "p1", "saw": "Alarmed"}
    cloud = read_cloud_event(record)
    assert cloud is not None
    assert cloud.attributes["type"] == "plant.Watched"
    assert cloud.attributes["causationid"] == cloud.attributes["correlationid"]
