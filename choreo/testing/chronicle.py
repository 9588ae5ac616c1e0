"""The chronicle: what stands on the log of a scenario, each event with who said it and what caused it."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id
from choreo.events.event import Event
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import Position, Record, TopicPartition
from choreo.resilience.dead_letter import DeadLetter, whole
from choreo.resilience.dead_letter import read as read_letter
from choreo.runtime.plan import plan_of
from choreo.saga.lifecycle import SagaChanged
from choreo.saga.lock_events import LockEvent
from choreo.service.service import Service


class Fact(NamedTuple):
    """One event on the log. `key` is its record's; `told` says that the test said it."""

    event: Event
    ids: Ids
    key: bytes | None
    who: str
    told: bool

    @property
    def business(self) -> bool:
        """Whether a service or a saga said it, and it is not about the saga itself."""
        return not self.told and not isinstance(self.event, SagaChanged | LockEvent)


class Buried(NamedTuple):
    """One dead letter, and the event in it; None where it holds none that could be read."""

    letter: DeadLetter
    event: Event | None
    key: bytes | None


class Chronicle:
    """Reads what is new on the topics of some event classes, and on the dead letters of some services."""

    def __init__(self, log: Log, registry: Registry, services: Sequence[Service]) -> None:
        self.facts: list[Fact] = []
        """In the order in which they were emitted."""
        self.buried: list[Buried] = []
        self._log, self._registry, self._services = log, registry, services
        self._speakers = [(service, signature.name) for service in services for signature in service.signatures]
        self._classes: dict[type[Event], None] = {}
        self._sources = {name: source for service in services for name, source in plan_of(service).sources.items()}
        self._codec = Codec(registry, (), log.cluster_id())
        self._places: dict[TopicPartition, int] = {}
        self._told: dict[Position, str] = {}
        self._children: dict[bytes, int] = {}

    def know(self, classes: Iterable[type[Event]]) -> None:
        """Read these classes too, from the beginning of topics that are new."""
        fresh = [cls for cls in classes if cls not in self._classes]
        if not fresh:
            return
        self._classes |= dict.fromkeys(fresh)
        self._codec = Codec(self._registry, self._classes, self._log.cluster_id(), topics=self._sources)
        letters = [f"{service.scope}.dead-letters" for service in self._services]
        known = self._log.topics()
        for name in [*(cls.contract.topic for cls in self._classes), *letters]:
            for number in range(known[name].partitions if name in known else 0):
                self._places.setdefault(TopicPartition(name, number), 0)

    def tell(self, position: Position, verb: str) -> None:
        """The record there is the test's own: it came by `given` or `when`."""
        self._told[position] = verb

    def read(self) -> None:
        """Take in what is new."""
        records: list[Record] = []
        with self._log.reader(self._places) as reader:
            while batch := reader.read(0):
                records += batch
            self._places = {partition: reader.position(partition) for partition in self._places}
        letters = {f"{service.scope}.dead-letters" for service in self._services}
        read = [(record, self._codec.ids(record)) for record in records if record.topic not in letters]
        for _, ids in read:
            if ids.causation_id is not None:
                self._children[ids.causation_id] = self._children.get(ids.causation_id, 0) + 1
        found = [fact for record, ids in read for fact in self._facts(record, ids)]
        self.facts += sorted(found, key=lambda fact: (fact.ids.at, not fact.told))
        self.buried += [self._letter(record) for record in whole(one for one in records if one.topic in letters)]

    def cause(self, fact: Fact) -> Fact | None:
        """The event that it was said upon; None where that is not among the facts."""
        wanted = fact.ids.causation_id
        return next((other for other in self.facts if other.ids.event_id == wanted), None)

    def event(self, record: Record) -> Event | None:
        """The event of a record; None where it is none that could be read here."""
        with suppress(DecodeError):
            if self._codec.event_class(record) is not None:
                return self._codec.event(record)
        return None

    def _facts(self, record: Record, ids: Ids) -> list[Fact]:
        """The record as a fact; none where it is an event of a class that nobody here knows."""
        event = self.event(record)
        verb = self._told.get(record.position)
        return [] if event is None else [Fact(event, ids, record.key, verb or self._speaker(ids), verb is not None)]

    def _speaker(self, ids: Ids) -> str:
        """Who said it: the event_id of an emission is made from its cause, the service, the handler and an index."""
        cause = ids.causation_id
        if cause is not None:
            for service, handler in self._speakers:
                for index in range(self._children[cause] + 8):  # an index may have gone to an unknown class
                    if derive_id(cause, service.name, handler, index) == ids.event_id:
                        return service.name if service.name.startswith("saga.") else f"{service.name}.{handler}"
        return "?"

    def _letter(self, record: Record) -> Buried:
        letter = read_letter(record)
        return Buried(letter, self.event(record._replace(topic=letter.origin.topic)), record.key)
