"""Annals: what stands on the log of a simulation, decoded when somebody asks for it.

Stores are read from their changelogs: what is committed is seen whole, also while the worker that keeps it is down.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, TypeVar

from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.event import Event
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import Record, TopicPartition
from choreo.runtime.journal import Page, read_pages
from choreo.runtime.plan import Plan
from choreo.service.service import Service
from choreo.service.store import Store

K = TypeVar("K")
V = TypeVar("V")
Entries = dict[bytes, bytes]


class Annals:
    """Reads each topic once, from the beginning on, as far as it goes now."""

    def __init__(self, log: Log, registry: Registry, plans: Sequence[Plan], extra: Iterable[type[Event]]) -> None:
        self._log, self._plans = log, plans
        classes = dict.fromkeys([*(cls for plan in plans for cls in plan.classes), *extra])
        sources = {name: source for plan in plans for name, source in plan.sources.items()}
        self._codec = Codec(registry, classes, log.cluster_id(), topics=sources)
        self._read: dict[str, dict[TopicPartition, int]] = {}
        """How far each partition of a topic was read."""
        self._events: dict[str, list[tuple[int, Event]]] = {}
        self._by_class: dict[type[Event], tuple[int, list[Any]]] = {}
        self._entries: dict[tuple[str, int], Entries] = {}
        self._changes: dict[str, int] = {}
        """Records seen of each changelog."""
        self._stored: dict[int, tuple[int, dict[Any, Any]]] = {}
        self._causes: dict[bytes, bytes] = {}

    def events(self, cls: type[Event]) -> list[Any]:
        """All events of exactly this class, in the order in which they were emitted."""
        topic = cls.contract.topic
        held = self._events.setdefault(topic, [])
        news = self._news(topic)
        for record in news:
            with suppress(DecodeError):
                if self._codec.event_class(record) is not None:
                    held.append((self._codec.emitted_at(record), self._codec.event(record)))
        if news:
            held.sort(key=lambda pair: pair[0])
        seen, found = self._by_class.get(cls, (-1, []))
        if seen != len(held):
            found = [event for _, event in held if type(event) is cls]
            self._by_class[cls] = (len(held), found)
        return list(found)

    def stored(self, store: Store[K, V], owners: Sequence[Service]) -> dict[K, V]:
        """All committed entries of a store that these services keep."""
        version = sum(self._read_changelog(service.scope) for service in owners)
        seen, found = self._stored.get(id(store), (-1, {}))
        if seen != version:
            keys, values = store.codecs()
            start = keys.prefix(())
            found = {
                keys.decode(key): values.load(value)
                for service in owners
                for number in range(self._count(service))
                for key, value in self._entries.get((service.scope, number), {}).items()
                if key.startswith(start)
            }
            self._stored[id(store)] = (version, found)
        return dict(found)

    def entries(self, service: Service, partition: int) -> Entries:
        """What a task's store must hold, by its changelog."""
        self._read_changelog(service.scope)
        return self._entries.get((service.scope, partition), {})

    def pages(self, scope: str, partition: int) -> list[Page]:
        """The journal of a task."""
        return list(read_pages(self.records(TopicPartition(f"{scope}.journal", partition))))

    def ids(self, record: Record) -> Ids:
        """Of an event. Raises DecodeError."""
        return self._codec.ids(record)

    def causes(self) -> dict[bytes, bytes]:
        """By the id of each event that another one caused, the id of that one."""
        if not self._causes:
            for topic in dict.fromkeys(topic for plan in self._plans for topic in plan.topics):
                for number in range(self._log.topics()[topic].partitions):
                    for record in self.records(TopicPartition(topic, number)):
                        with suppress(DecodeError):
                            ids = self._codec.ids(record)
                            if ids.causation_id is not None:
                                self._causes[ids.event_id] = ids.causation_id
        return self._causes

    def digest(self) -> str:
        """SHA-256 of every record of every topic, offsets and times included: equal for equal runs."""
        found = sha256()
        for name, topic in sorted(self._log.topics().items()):
            for number in range(topic.partitions):
                for record in self.records(TopicPartition(name, number)):
                    found.update(repr(tuple(record)).encode())
        return found.hexdigest()

    def _count(self, service: Service) -> int:
        return self._log.topics()[f"{service.scope}.changelog"].partitions

    def _read_changelog(self, scope: str) -> int:
        """Take in what is new; answers how many records were seen so far."""
        topic = f"{scope}.changelog"
        news = self._news(topic)
        for _, number, _, _, key, value, _ in news:
            entries = self._entries.setdefault((scope, number), {})
            if value is None:
                entries.pop(key or b"", None)
            else:
                entries[key or b""] = value
        self._changes[scope] = self._changes.get(scope, 0) + len(news)
        return self._changes[scope]

    def _news(self, topic: str) -> list[Record]:
        found: list[Record] = []
        read = self._read.get(topic)
        if read is None:
            known = self._log.topics().get(topic)
            if known is None:
                return found
            read = self._read[topic] = {TopicPartition(topic, number): 0 for number in range(known.partitions)}
        ends = self._log.ends(read)
        fresh = {place: offset for place, offset in read.items() if offset < ends[place]}
        if fresh:
            with self._log.reader(fresh) as reader:
                while batch := reader.read(0):
                    found += batch
            read.update({place: ends[place] for place in fresh})
        return found

    def records(self, place: TopicPartition) -> list[Record]:
        """All that a partition holds."""
        found: list[Record] = []
        with self._log.reader({place: 0}) as reader:
            while batch := reader.read(0):
                found += batch
        return found
