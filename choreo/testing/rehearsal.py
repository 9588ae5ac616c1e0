"""A rehearsal: services and sagas at work in virtual time, on a log in memory with one number of partitions."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeVar

from pydantic import ValidationError

from choreo.clock import VirtualClock
from choreo.errors import ConfigError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id, uuid8
from choreo.events.event import Event
from choreo.events.registry import MemoryRegistry
from choreo.log.interface import TopicSpec
from choreo.log.memory import MemoryLog
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.parking import FLYING, PARKED, load
from choreo.runtime.plan import plan_of
from choreo.runtime.relay import with_relays
from choreo.runtime.topics import create_topics
from choreo.runtime.virtual import VirtualTime
from choreo.runtime.worker import Worker
from choreo.service.service import Service
from choreo.service.store import Store
from choreo.state.memory import MemoryBackends
from choreo.testing.cast import Cast, stores_of
from choreo.testing.chronicle import Chronicle

K = TypeVar("K")
V = TypeVar("V")

QUIET_ROUNDS = 2
"""A worker may look at the log in one round and act upon it in the next."""


class Failing(NamedTuple):
    """An input whose handling failed, and which waits for its next attempt."""

    until: int
    """When it is tried again (microseconds)."""
    service: str
    what: str
    attempts: int
    error: str


class Rehearsal:
    """The same road as live: workers, relays, coordinators, checkpoints. Only the log and the clock are made for it."""

    def __init__(self, cast: Cast, partitions: int, start: int) -> None:
        self.partitions = partitions
        self.sagas = cast.sagas
        """The lifecycle event of each saga, by name."""
        self.clock = VirtualClock(start)
        self._cast = cast
        self._log = MemoryLog(self.clock, cluster="scenario")
        self._registry = MemoryRegistry()
        self._codec = Codec(self._registry, (), self._log.cluster_id())
        self._said = 0
        everybody = tuple(with_relays(cast.services))
        self._plans = [plan_of(service) for service in everybody]
        self._read_directly = {topic for service in cast.services for topic in plan_of(service).topics}
        self._workers: list[Worker] = []
        self.chronicle = Chronicle(self._log, self._registry, everybody)
        self._everybody = everybody
        self._make_topics(event for plan in self._plans for event in plan.classes if event.contract.external)
        create_topics(self._log, self._plans, partitions)
        self.chronicle.know(event for plan in self._plans for event in plan.classes)
        self._start()

    def tell(self, event: Event, verb: str) -> None:
        """Put an event of the test on the log, and let everybody do what is to be done at this instant."""
        self._make_topics([type(event)])
        self.chronicle.know([type(event)])
        self._said += 1
        event_id = derive_id(bytes(16), "scenario", type(event).contract.full_name, self._said)
        ids = Ids(event_id, f"story-{uuid8(event_id).hex()[:8]}", at=self.clock.now())
        (position,) = self._log.append([self._codec.encode(event, ids)])
        self.chronicle.tell(position, verb)
        self._settle()
        self.chronicle.read()

    def wait_until(self, moment: int) -> None:
        """Let time pass up to `moment` (microseconds)."""
        self._time.run(moment)
        self._settle()
        self.chronicle.read()

    def restart(self) -> None:
        """Everybody dies without a last commit, and starts again elsewhere: stores are rebuilt from the log."""
        self.close()
        self._start()
        self._settle()
        self.chronicle.read()

    def said(self, cls: type[Event]) -> list[Event]:
        """All events of exactly this class so far, in the order in which they were emitted."""
        return [fact.event for fact in self.chronicle.facts if type(fact.event) is cls]

    def stored(self, store: Store[K, V]) -> dict[K, V]:
        """All entries of a store. Raises ConfigError where none of the services keeps it."""
        keys, values = store.codecs()
        found: dict[K, V] = {}
        keepers = {service.name for service in self._cast.keepers(store)}
        for worker in (worker for worker in self._workers if worker.service.name in keepers):
            for live in worker.tasks.values():
                entries = live.task.entries.backend.scan(prefix=keys.prefix(()))
                found |= {keys.decode(key): values.load(value) for key, value in entries}
        return found

    def stores(self) -> Mapping[tuple[str, str], Mapping[object, object]]:
        """Every store of every service (the coordinators' aside), by service and name."""
        declared = {(s.name, store.name): store for s in self._cast.own for store in stores_of(s)}
        return {name: self.stored(store) for name, store in declared.items()}

    def failing(self) -> list[Failing]:
        """What failed and is to be tried again, by service and time."""
        found = []
        for worker in self._workers:
            for live in worker.tasks.values():
                for _, data in live.task.entries.backend.scan(PARKED.start):
                    waiting = load(data)
                    if waiting.error and waiting.until < FLYING:
                        event = self.chronicle.event(waiting.record) if waiting.record else None
                        what = "a timer" if event is None else type(event).__name__
                        one = Failing(waiting.until, worker.service.name, what, waiting.attempts, waiting.error)
                        found.append(one)
        return sorted(found)

    def close(self) -> None:
        """Stop without a last commit."""
        workers, self._workers = self._workers, []
        for worker in workers:
            worker.abandon()

    def _start(self) -> None:
        options = RunOptions(
            start_from="earliest",
            checkpoint_dry_s=0,
            specs=self._cast.specs,
            inline_calls=True,
        )
        site = Site(self._log, self._registry, MemoryBackends(), self.clock)
        given = self._cast.settings
        self._workers = [_worker(service, site, options, given.get(service.name)) for service in self._everybody]
        for worker in self._workers:
            worker.start()
        self._time = VirtualTime(self.clock, self._workers)

    def _settle(self) -> None:
        """Until nobody does anything more at this instant. A timer that is due now waits until its inputs were polled
        again: a worker alone would do that a little later.
        """
        quiet = 0
        while quiet < QUIET_ROUNDS:
            self._time.settle()
            before = self._done()
            for worker in self._workers:
                worker.step(self.clock.now(), worker.poll())
            quiet = quiet + 1 if self._done() == before else 0

    def _done(self) -> int:
        return sum(worker.handled + worker.checkpoints for worker in self._workers)

    def _make_topics(self, classes: Iterable[type[Event]]) -> None:
        """Topics of events that nobody here publishes.

        A foreign one that is only read through relays has one partition: its ids are made from positions, and so
        are the same whatever the number of partitions is.
        """
        known = self._log.topics()
        for cls in classes:
            contract = cls.contract
            foreign = contract.external and contract.topic not in self._read_directly
            if contract.topic not in known:
                self._log.create_topics([TopicSpec(contract.topic, 1 if foreign else self.partitions)])
                known = self._log.topics()


def _worker(service: Service, site: Site, options: RunOptions, settings: object) -> Worker:
    try:
        return Worker(service, site, options, settings=settings)
    except ValidationError as error:
        replaced = f"using({', '.join(f'{name}=...' for name in service.provide)})"
        raise ConfigError(
            f"the settings of {service.name} lack {', '.join(str(one['loc'][0]) for one in error.errors())}",
            why="only the fixture `scenario` reads the project's configuration",
            hint=f'replace what needs them: {replaced}; or Scenario(..., settings={{"{service.name}": ...}})',
        ) from error
