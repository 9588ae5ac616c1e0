"""A small town for runtime tests: two services, one topic each, on the memory log in virtual time."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from choreo.clock import SystemClock, VirtualClock
from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, unpack
from choreo.events.event import Event
from choreo.events.registry import MemoryRegistry
from choreo.log.interface import Log
from choreo.log.memory import MemoryLog
from choreo.record import Record, TopicPartition
from choreo.runtime.options import FaultPoint, RunOptions, Site, no_faults
from choreo.runtime.outside import Outside
from choreo.runtime.topics import create_topics
from choreo.runtime.virtual import VirtualTime
from choreo.runtime.worker import Worker
from choreo.service.client import fresh_ids
from choreo.service.service import Service
from choreo.state.backend import Backends
from choreo.state.memory import MemoryBackends

NOON = 1_772_452_800_000_000
"""2026-03-02 12:00 UTC in microseconds."""


class Town:
    """Services at work in virtual time; restarts keep log and disks."""

    def __init__(
        self,
        *services: Service,
        partitions: int = 1,
        log: Log | None = None,
        backends: Mapping[str, Backends] | None = None,
        reach: FaultPoint = no_faults,
        outside: Outside | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.services = services
        self.clock = VirtualClock(NOON)
        self.log = log if log is not None else MemoryLog(SystemClock())
        self.registry = MemoryRegistry()
        self.backends: Mapping[str, Backends] = backends or {service.name: MemoryBackends() for service in services}
        self.partitions = partitions
        self.reach = reach
        self.outside = outside
        self.options = dict(options or {})
        """Options of the workers, over those of virtual time; they hold from the next start on."""
        self.specs: tuple[str, ...] = ()
        """Digests of the saga specs at work, the latest first."""
        self.start()

    def start(self) -> None:
        options = RunOptions(start_from="earliest", checkpoint_dry_s=0, inline_calls=True, specs=self.specs)
        options = replace(options, **self.options)
        self.workers = [Worker(s, self.site(s), options, reach=self.reach, outside=self.outside) for s in self.services]
        create_topics(self.log, [worker.plan for worker in self.workers], self.partitions)
        for worker in self.workers:
            worker.start()
        self.time = VirtualTime(self.clock, self.workers)

    def site(self, service: Service) -> Site:
        return Site(self.log, self.registry, self.backends[service.name], self.clock)

    def crash(self) -> None:
        """Everybody dies without committing, and starts again."""
        for worker in self.workers:
            worker.abandon()
        self.start()

    def lose_stores(self) -> None:
        """Everybody dies without committing, loses their disks and starts again."""
        for worker in self.workers:
            worker.abandon()
        self.backends = {service.name: MemoryBackends() for service in self.services}
        self.start()

    def tell(self, *events: Event, ids: Ids | None = None) -> None:
        codec = Codec(self.registry, (), self.log.cluster_id())
        self.log.append([codec.encode(event, ids or fresh_ids(self.clock.now(), "story")) for event in events])
        self.time.settle()

    def step(self, *events: Event) -> None:
        """Some steps of every worker, for tests in which something outside is never at rest."""
        if events:
            codec = Codec(self.registry, (), self.log.cluster_id())
            self.log.append([codec.encode(event, fresh_ids(self.clock.now(), "story")) for event in events])
        for _ in range(6):
            for worker in self.workers:
                worker.step(self.clock.now(), worker.poll())

    def wait(self, seconds: float) -> None:
        self.time.run(self.clock.now() + round(seconds * 1_000_000))

    def records(self, topic: str) -> list[Record]:
        partitions = {TopicPartition(topic, n): 0 for n in range(self.log.topics()[topic].partitions)}
        with self.log.reader(partitions) as reader:
            found: list[Record] = []
            while batch := reader.read(0):
                found += batch
        return found

    def events(self, topic: str, classes: Iterable[type[Event]]) -> list[Event]:
        codec = Codec(self.registry, tuple(classes), self.log.cluster_id())
        found = []
        for record in self.records(topic):
            with suppress(DecodeError):
                if codec.event_class(record) is not None:
                    found.append(codec.event(record))
        return found

    def ids(self, topic: str) -> list[Ids]:
        return [unpack(dict(record.headers)["choreo"]) for record in self.records(topic)]

    def stored(self, service: str) -> dict[bytes, bytes]:
        """All logical entries of a service, over its tasks."""
        from choreo.state.changelog import entries

        worker = next(w for w in self.workers if w.service.name == service)
        return {key: value for live in worker.tasks.values() for key, value in entries(live.task.entries.backend)}


def sequence(town: Town, classes: Sequence[type[Event]], topic: str) -> list[Any]:
    """Type names in log order."""
    return [type(event).__name__ for event in town.events(topic, classes)]
