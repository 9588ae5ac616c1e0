"""Carries a finished run into another process, which verifies it: `python -m tests.replay.carry FILE`.

The other process has another PYTHONHASHSEED: what rested on the order of a set in the live run comes out otherwise.
"""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreo.demo.run import Stage, cast_of
from choreo.demo.shop import load_shop
from choreo.events.registry import MemoryRegistry, Registry
from choreo.log.interface import Topic
from choreo.record import Record, TopicPartition
from choreo.replay.verify import verify
from choreo.state.backend import Backend
from choreo.state.changelog import entries
from choreo.state.memory import MemoryBackends


@dataclass
class Carried:
    """A run as plain values: the records of every topic, the schemas, the entries of every task."""

    cluster: str
    topics: dict[str, int]
    records: dict[TopicPartition, list[Record]]
    ends: dict[TopicPartition, int]
    schemas: dict[int, dict[str, Any]]
    entries: dict[str, dict[bytes, bytes]]

    def cluster_id(self) -> str:
        return self.cluster

    def ends_of(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return {partition: self.ends[partition] for partition in partitions}


class CarriedRegistry(MemoryRegistry):
    """The schemas under the ids that they had."""

    def __init__(self, schemas: dict[int, dict[str, Any]]) -> None:
        super().__init__()
        self._carried = schemas

    def schema(self, schema_id: int) -> dict[str, Any]:
        return self._carried[schema_id]


class CarriedReader:
    """Reads carried records."""

    def __init__(self, run: Carried, start: Mapping[TopicPartition, int]) -> None:
        self._run = run
        self._at = dict.fromkeys(start, 0)

    def read(self, timeout_s: float, limit: int = 5000) -> list[Record]:
        found: list[Record] = []
        for partition, at in self._at.items():
            found += self._run.records[partition][at : at + limit]
            self._at[partition] = at + limit
        return found

    def position(self, partition: TopicPartition) -> int:
        rest = self._run.records[partition][self._at[partition] :]
        return rest[0].offset if rest else self._run.ends[partition]

    def close(self) -> None: ...


class CarriedLog:
    """As much of a log as a replay asks for."""

    def __init__(self, run: Carried) -> None:
        self._run = run
        self.cluster_id = run.cluster_id
        self.ends = run.ends_of

    def topics(self) -> dict[str, Topic]:
        return {name: Topic(name, count, "") for name, count in self._run.topics.items()}

    def reader(self, start: Mapping[TopicPartition, int]) -> CarriedReader:
        return CarriedReader(self._run, start)


def pack(stage: Stage) -> Carried:
    """A finished run, ready to be carried."""
    topics = {name: topic.partitions for name, topic in stage.log.topics().items()}
    places = [TopicPartition(name, number) for name, count in topics.items() for number in range(count)]
    records: dict[TopicPartition, list[Record]] = {}
    for place in places:
        with stage.log.reader({place: 0}) as reader:
            records[place] = []
            while batch := reader.read(0):
                records[place] += batch
    tasks = [f"{service.name}-{n}" for service in cast_of(load_shop()).services for n in range(stage.partitions)]
    kept = {}
    for task in tasks:
        backend = stage.backends.open(task)
        kept[task] = dict(entries(backend))
        backend.close()
    schemas = {schema_id: stage.registry.schema(schema_id) for schema_id in stage.registry.ids()}
    return Carried(stage.log.cluster_id(), topics, records, stage.log.ends(places), schemas, kept)


def verify_elsewhere(stage: Stage, directory: Path, hash_seed: int) -> dict[str, dict[str, Any]]:
    """The verdict on each service, from a process with this PYTHONHASHSEED."""
    file = directory / "run.pickle"
    file.write_bytes(pickle.dumps(pack(stage)))
    environment = os.environ | {"PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, "-m", "tests.replay.carry", str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def opener(run: Carried, service: str) -> Callable[[int], Backend]:
    """The carried entries of a service's tasks."""

    def open_task(number: int) -> Backend:
        backend = MemoryBackends().open(f"{service}-{number}")
        backend.write(run.entries[f"{service}-{number}"])
        return backend

    return open_task


def main(file: str) -> None:
    run: Carried = pickle.loads(Path(file).read_bytes())
    registry: Registry = CarriedRegistry(run.schemas)
    found = {}
    for service in cast_of(load_shop()).services:
        verdict = verify(service, CarriedLog(run), registry, opener(run, service.name))  # type: ignore[arg-type]  # enough
        found[service.name] = {
            "clean": verdict.clean,
            "inputs": verdict.inputs,
            "entries": verdict.entries,
            "faults": verdict.divergences + [str(difference) for difference in verdict.differences[:5]],
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
