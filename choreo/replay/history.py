"""The history of one story: what came from outside, what services emitted upon it, and where its sagas stand."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from pydantic import BaseModel

from choreo.errors import ConfigError, DecodeError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids
from choreo.events.event import Event
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.log.up_to import read_whole
from choreo.record import Record
from choreo.replay.origin import author_of, authors
from choreo.runtime.plan import Plan, plan_of
from choreo.saga.commands import SagaCommand
from choreo.saga.lifecycle import SagaChanged
from choreo.saga.lock_events import LockEvent
from choreo.service.service import Service
from choreo.told import Told, untold

MOST_NAMED = 5
STARTED = "started"
"""The first change of every saga; later ones may be of other stories: those of operators."""


class Line(NamedTuple):
    """One event of the story; `by` is the service that emitted it, None where it came from outside."""

    event: Event
    ids: Ids
    by: str | None


@dataclass
class History:
    """One story, in the order in which it was emitted."""

    lines: list[Line] = field(default_factory=list)
    before: list[Line] = field(default_factory=list)
    """What came from outside in other stories under a key that this one speaks of."""
    ends: dict[tuple[str, str], str] = field(default_factory=dict)
    """How its sagas stand, by name and key."""


class _Ends:
    """How the sagas of a story stand, by the last change of each. Another saga may start under a key later on."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[int, SagaChanged]] = {}

    def __contains__(self, saga: tuple[str, str]) -> bool:
        return saga in self._last

    def know(self, change: SagaChanged, ids: Ids) -> None:
        """A change that is of the story."""
        self._last.setdefault((change.saga, change.key), (ids.at, change))
        self.hear(change, ids)

    def hear(self, change: SagaChanged, ids: Ids) -> None:
        """A change that is of the story where its saga is."""
        at, last = self._last.get((change.saga, change.key), (0, None))
        if last is not None and last.started_at == change.started_at and at <= ids.at:
            self._last[change.saga, change.key] = ids.at, change

    def statuses(self) -> dict[tuple[str, str], str]:
        """By name and key."""
        return {saga: str(change.status) for saga, (_, change) in self._last.items()}


class Archive:
    """The events of some services on a log."""

    def __init__(self, log: Log, registry: Registry, services: Sequence[Service]) -> None:
        plans = [plan_of(service) for service in services]
        self._log, self._services = log, services
        self._handled = {event for plan in plans for event in plan.by_event}
        self._classes = {event for plan in plans for event in plan.classes}
        sources = {name: source for plan in plans for name, source in plan.sources.items()}
        self._codec = Codec(registry, self._classes, log.cluster_id(), topics=sources)
        self._speakers = list(authors(services))
        self._taken = {plan.service.name.removeprefix("saga."): set(plan.by_event) for plan in plans if _is_saga(plan)}
        """What the coordinator of each saga takes."""

    @property
    def events(self) -> Mapping[str, type[Event]]:
        """The classes of the events of these services, by full name."""
        return {one.contract.full_name: one for one in self._classes}

    def story(self, wanted: str, told: Told = untold) -> str:
        """The correlation id that is meant: by itself or its beginning, by the key of a saga or the id of an event.

        Raises ConfigError where nothing or several are.
        """
        exact, begun = set[str](), set[str]()
        for event, ids in self._events(told):
            keyed = isinstance(event, SagaChanged) and event.key == wanted and event.change[:1] == (STARTED,)
            if keyed or wanted in (ids.correlation_id, str(UUID(bytes=ids.event_id))):
                exact.add(ids.correlation_id)
            elif ids.correlation_id.startswith(wanted) and len(begun) < MOST_NAMED:
                begun.add(ids.correlation_id)
        if wanted in exact:
            return wanted
        found = sorted(exact or begun)
        if len(found) == 1:
            return found[0]
        raise ConfigError(
            f"{wanted} is in {len(found)} stories" if found else f"there is no story {wanted}",
            why=", ".join(found[:MOST_NAMED]) or "no event has it as correlation id or id, no saga as key",
            hint="choreo sagas list names the keys of sagas" if not found else "give a correlation id",
        )

    def history(self, correlation_id: str, told: Told = untold) -> History:
        """All of it, and what was said to its sagas from outside: orders of operators, and events under their keys.

        What lies on the log twice, put there again or emitted upon that, is one event.

        Empty where no event has this correlation id.
        """
        found, ends, met = History(), _Ends(), set[bytes]()
        for event, ids in self._events(told):
            if ids.correlation_id == correlation_id and ids.event_id not in met:
                met.add(ids.event_id)
                self._add(found, ends, event, ids)
        first = min((line.ids.at for line in found.lines), default=0)
        spoken = {text for line in found.lines for text in texts_in(line.event)}
        for event, ids in self._events(untold):
            if ids.correlation_id == correlation_id or ids.event_id in met:
                continue
            if isinstance(event, SagaChanged):
                ends.hear(event, ids)
            elif ids.causation_id is None and ids.at > first and self._to_one_of(ends, event):
                met.add(ids.event_id)
                found.lines.append(Line(event, ids, None))
            elif ids.causation_id is None and ids.at <= first and self._prepared(event, spoken):
                met.add(ids.event_id)
                found.before.append(Line(event, ids, None))
        found.lines.sort(key=lambda line: line.ids.at)
        found.ends = ends.statuses()
        return found

    def _add(self, found: History, ends: "_Ends", event: Event, ids: Ids) -> None:
        if isinstance(event, SagaChanged):
            ends.know(event, ids)
        elif not isinstance(event, LockEvent):
            by = self._speaker(ids)
            if by is not None or type(event) in self._handled:
                found.lines.append(Line(event, ids, by))

    def _prepared(self, event: Event, spoken: Set[str]) -> bool:
        """Whether it was given under a key of which the story speaks."""
        return type(event) in self._handled and not _own_key(event).isdisjoint(spoken)

    def _to_one_of(self, ends: "_Ends", event: Event) -> bool:
        """Whether it was said to a saga of the story: by an operator, or by whom nobody here had asked."""
        if isinstance(event, SagaCommand):
            return (event.contract.namespace.removeprefix("choreo.saga."), event.key) in ends
        taken = [saga for saga, classes in self._taken.items() if type(event) in classes]
        return any((saga, key) in ends for saga in taken for key in _own_key(event))

    def _speaker(self, ids: Ids) -> str | None:
        if ids.causation_id is None:
            return None
        author = author_of(ids.event_id, ids.causation_id, self._speakers)
        return None if author is None else author.service

    def _events(self, told: Told) -> Iterator[tuple[Event, Ids]]:
        topics = dict.fromkeys(event.contract.topic for event in self._classes if event.contract.topic)
        for records in read_whole(self._log, topics, told):
            yield from (one for one in map(self._read, records) if one is not None)

    def _read(self, record: Record) -> tuple[Event, Ids] | None:
        try:
            if self._codec.event_class(record) is None:
                return None
            return self._codec.event(record), self._codec.ids(record)
        except DecodeError:
            return None


def texts_in(value: object) -> Iterator[str]:
    """Every text in it, however deep it lies."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, BaseModel):
        for _, part in value:
            yield from texts_in(part)
    elif isinstance(value, dict):
        yield from texts_of([*value, *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        yield from texts_of(value)


def texts_of(values: Iterable[object]) -> Iterator[str]:
    """Every text in these."""
    for value in values:
        yield from texts_in(value)


def _own_key(event: Event) -> set[str]:
    return {str(getattr(event, name)) for name in event.contract.key}


def _is_saga(plan: Plan) -> bool:
    return plan.service.name.startswith("saga.")
