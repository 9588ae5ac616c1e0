"""What sagas went through, read back from the log: their events and orders as the coordinator took them.

The coordinator's input topics hold the events, its lifecycle topic says in which order and when each was decided upon,
and where a timer fired in between.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

from pydantic_core import to_jsonable_python

from choreo.cli.project import Project
from choreo.cli.records import Bodies, read_to_end
from choreo.cli.saga_rows import lifecycle_topic
from choreo.clock import to_micros
from choreo.errors import DecodeError, UnknownSchemaError
from choreo.events.codec import Codec
from choreo.record import Record, TopicPartition
from choreo.runtime.plan import plan_of
from choreo.saga.commands import SagaCommand, command_event, order_of
from choreo.saga.decision import Command, Migrate, Received
from choreo.saga.refold import History, Past, Tick
from choreo.service.service import Service

STARTED = "started"
"""The first change of an instance, as `decide` says it."""


class Told(NamedTuple):
    """One decision, as the lifecycle topic tells of it. `now` in microseconds."""

    caused_by: bytes
    now: int
    digest: str
    starts: bool


class Pasts:
    """The histories of some sagas of one coordinator."""

    def __init__(self, project: Project, coordinator: Service) -> None:
        self._project = project
        self._saga = coordinator.name.removeprefix("saga.")
        self._plan = plan_of(coordinator)
        self._handled = {event.contract.full_name for event in self._plan.by_event}
        log, classes, sources = project.past, self._plan.classes, self._plan.sources
        self._codec = Codec(project.registry, classes, log.cluster_id(), topics=sources)
        self._bodies = Bodies(project.registry)

    def of(self, keys: Collection[str]) -> dict[str, History | str]:
        """The history of each key; or why it can't be told. Raises LogUnavailableError."""
        inputs = self._inputs({key.encode() for key in keys})
        told = self._told({key.encode() for key in keys})
        return {key: self._history(key, inputs.get(key.encode(), {}), told.get(key.encode(), [])) for key in keys}

    def _inputs(self, keys: Collection[bytes]) -> dict[bytes, dict[TopicPartition, list[Record]]]:
        """By key and partition, what the coordinator has handled."""
        log = self._project.past
        known = log.topics()
        topics = [topic for topic in self._plan.topics if topic in known]
        places = [TopicPartition(topic, number) for topic in topics for number in range(known[topic].partitions)]
        handled = log.committed(self._plan.service.scope, places)
        found: dict[bytes, dict[TopicPartition, list[Record]]] = {}
        with self._project.progress.of("events", "records") as reached:
            for record in read_to_end(log, topics, reached):
                if record.key in keys and record.offset < (handled[record.topic_partition] or 0):
                    found.setdefault(record.key or b"", {}).setdefault(record.topic_partition, []).append(record)
        return found

    def _told(self, keys: Collection[bytes]) -> dict[bytes, list[Told]]:
        """By key, the decisions since the last start."""
        found: dict[bytes, list[Told]] = {}
        for record in read_to_end(self._project.past, [lifecycle_topic(self._saga)]):
            if record.key not in keys:
                continue
            try:
                body = self._bodies.read(record)
                caused_by, starts = UUID(str(body["caused_by"])).bytes, body["change"][0] == STARTED
                told = Told(caused_by, to_micros(body["at"]), str(body["digest"]), starts)
            except (DecodeError, UnknownSchemaError, KeyError, ValueError, IndexError):
                continue  # no lifecycle event: `choreo sagas list` counts them
            if starts:
                found[record.key or b""] = []
            found.setdefault(record.key or b"", []).append(told)
        return found

    def _history(
        self, key: str, inputs: Mapping[TopicPartition, Sequence[Record]], told: Sequence[Told]
    ) -> History | str:
        if not told or not told[0].starts:
            return "its start is no longer told on the log"
        moments = {one.caused_by: one for one in told}
        given = [one for record in _in_order(self._codec, inputs) for one in self._given(key, record, moments)]
        first = next((n for n, one in enumerate(given) if one.event_id == told[0].caused_by), None)
        if first is None or not isinstance(start := given[first], Received):
            return "the event with which it started is no longer on the log"
        early = tuple(one for one in given[:first] if isinstance(one, Received))
        return History(told[0].digest, start, early, tuple(_merged(given[first + 1 :], told[1:])))

    def _given(self, key: str, record: Record, moments: Mapping[bytes, Told]) -> Iterator[Received | Command]:
        """An input as `decide` got it; nothing for an order that did nothing, and for what is none of its events."""
        try:
            ids = self._codec.ids(record)
        except DecodeError:
            return  # a dead letter of the coordinator's
        told = moments.get(ids.event_id)
        now = told.now if told else ids.at
        try:
            cls = self._codec.event_class(record)
            event = None if cls is None else self._codec.event(record)
        except DecodeError:
            yield from self._as_written(key, record, now)
            return
        if isinstance(event, SagaCommand):
            order = order_of(event)
            refused = isinstance(order, Migrate) and told is not None and told.digest != order.digest
            if told is not None and not refused:
                yield Command(order, ids.event_id, now, ids.at, event.who, event.why)
        elif event is not None and event.contract.full_name in self._handled:
            name, fields = event.contract.full_name, event.model_dump(mode="json")
            yield Received(name, key, ids.event_id, now, ids.at, fields, ids.correlation_id, ids.cancelled)

    def _as_written(self, key: str, record: Record, now: int) -> Iterator[Received]:
        """An event that its class can't read any more: the fields that it was written with."""
        try:
            name, body = self._bodies.name(record), self._bodies.read(record)
        except (DecodeError, UnknownSchemaError):
            return
        if name in self._handled and name != command_event(self._saga).contract.full_name:
            ids = self._codec.ids(record)
            fields = to_jsonable_python(body)
            yield Received(name, key, ids.event_id, now, ids.at, fields, ids.correlation_id, ids.cancelled)


def _in_order(codec: Codec, inputs: Mapping[TopicPartition, Sequence[Record]]) -> Iterator[Record]:
    """Of the heads of all inputs always the one that was emitted first, as a task takes them."""
    heads = dict.fromkeys(inputs, 0)
    while heads:
        place = min(heads, key=lambda one: (codec.emitted_at(inputs[one][heads[one]]), one))
        yield inputs[place][heads[place]]
        heads[place] += 1
        if heads[place] == len(inputs[place]):
            del heads[place]


def _merged(given: Sequence[Received | Command], told: Sequence[Told]) -> Iterator[Past]:
    """Inputs with the times of their decisions, and the timers between them.

    One that changed nothing then is told of nowhere: it is taken to have come when it was emitted, behind the one that
    it lies behind.
    """
    decided = {one.caused_by: (one.now, number) for number, one in enumerate(told)}
    placed: list[tuple[int, int, int, Past]] = []
    now, number = 0, -1
    for count, one in enumerate(given):
        if one.event_id in decided:
            now, number = decided.pop(one.event_id)
        else:
            now = max(now, one.at)
        placed.append((now, number, count, one if one.now == now else one._replace(now=now)))
    ticks = [(moment, number, -1, Tick(moment)) for moment, number in decided.values()]
    for *_, past in sorted([*placed, *ticks], key=lambda one: one[:3]):
        yield past
