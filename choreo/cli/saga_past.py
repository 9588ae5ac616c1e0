"""What sagas went through, read back from the log: their events and orders as the coordinator took them.

Its journal says in which order and when, and which timers fired in between. Where that is not whole any more, the
lifecycle topic says it of what changed something, and of the rest the time at which it was emitted.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from uuid import UUID

from pydantic_core import to_jsonable_python

from choreo.cli.project import Project
from choreo.cli.records import Bodies, read_to_end
from choreo.cli.saga_rows import lifecycle_topic
from choreo.cli.time_span import WHOLE, TimeSpan
from choreo.clock import to_micros
from choreo.errors import DecodeError, DivergenceError, UnknownSchemaError
from choreo.events.codec import Codec
from choreo.log.up_to import places_on
from choreo.record import Record, TopicPartition
from choreo.replay.walk import Rang, Stride, Took, walk
from choreo.runtime.parking import RETRY
from choreo.runtime.plan import plan_of
from choreo.saga.commands import SagaCommand, command_event, order_of
from choreo.saga.coordinator import EARLY_TIMER, Coordinator
from choreo.saga.decision import Command, Migrate, Received
from choreo.saga.refold import History, Past, Tick
from choreo.service.service import Service

FORGOTTEN = "its start is no longer told on the log"
TIMERS = Coordinator.due.codec()
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
        wanted = {key.encode() for key in keys}
        told = self._told(wanted)
        strides = self._strides(wanted)
        if strides is not None:
            return {key: self.lived(key, strides.get(key.encode(), []), told.get(key.encode(), [])) for key in keys}
        inputs = self._inputs(wanted)
        return {key: self._history(key, inputs.get(key.encode(), {}), told.get(key.encode(), [])) for key in keys}

    def lived(self, key: str, strides: Sequence[Stride], told: Sequence[Told]) -> History | str:
        """The history of one key, from what the journal says of it and the decisions since its last start."""
        if not told or not told[0].starts:
            return FORGOTTEN
        moments = {one.caused_by: one for one in told}
        woken = [(n, one.now) for n, one in enumerate(strides) if isinstance(one, Rang) and _is_retry(one.timer)]
        placed: list[tuple[int, Past]] = []
        for number, stride in enumerate(strides):
            if isinstance(stride, Rang):
                if not _is_retry(stride.timer) and timer_key(stride.timer)[1] != EARLY_TIMER:
                    placed.append((number, Tick(stride.now)))
                continue
            for one in self._given(key, stride.record, moments, stride.now):
                place, now = number, stride.now
                decided = moments.get(one.event_id)
                if decided is not None and decided.now > now:  # it failed at first, and was parked until then
                    later = next((n for n, woke in woken if n > number and woke == decided.now), None)
                    place, now = (number, now) if later is None else (later, decided.now)
                placed.append((place, one._replace(now=now)))
        lived = [past for _, past in sorted(placed, key=lambda one: one[0])]
        return _since_start(lived, told[0])

    def key_of(self, stride: Stride) -> bytes | None:
        """The key of the saga that a stride concerns; None for the runtime's own and what has none."""
        if isinstance(stride, Took):
            return stride.record.key
        key: bytes = RETRY.decode(stride.timer) if _is_retry(stride.timer) else timer_key(stride.timer)[0].encode()
        return key

    def inputs_on_log(self, span: TimeSpan) -> int:
        """About how many inputs there are: offsets of the topics that the coordinator reads."""
        log = self._project.past
        starts, ends = span.bounds(log, places_on(log, self._plan.topics))
        return sum(max(0, ends[place] - starts[place]) for place in starts)

    def _strides(self, keys: Collection[bytes]) -> dict[bytes, list[Stride]] | None:
        """What the tasks did for these keys, in their order; None where a journal, or what it names, is not whole."""
        log, scope, found = self._project.past, self._plan.service.scope, dict[bytes, list[Stride]]()
        journal = log.topics().get(f"{scope}.journal")
        if journal is None:
            return None
        try:
            with self._project.progress.of("journal and events", "inputs") as reached:
                done, total = 0, self.inputs_on_log(WHOLE)
                for number in range(journal.partitions):
                    for stride in walk(log, scope, number):
                        done += 1
                        if (key := self.key_of(stride)) in keys:
                            found.setdefault(key or b"", []).append(stride)
                        if done % 1000 == 0:
                            reached(done, max(done, total))
        except DivergenceError:
            return None
        return found

    def _inputs(self, keys: Collection[bytes]) -> dict[bytes, dict[TopicPartition, list[Record]]]:
        """By key and partition, what the coordinator has handled."""
        log = self._project.past
        handled = log.committed(self._plan.service.scope, places_on(log, self._plan.topics))
        found: dict[bytes, dict[TopicPartition, list[Record]]] = {}
        with self._project.progress.of("events", "records") as reached:
            for record in read_to_end(log, self._plan.topics, reached):
                if record.key in keys and record.offset < (handled[record.topic_partition] or 0):
                    found.setdefault(record.key or b"", {}).setdefault(record.topic_partition, []).append(record)
        return found

    def _told(self, keys: Collection[bytes]) -> dict[bytes, list[Told]]:
        """By key, the decisions since the last start."""
        found: dict[bytes, list[Told]] = {}
        for record in read_to_end(self._project.past, [lifecycle_topic(self._saga)]):
            told = told_of(self._bodies, record) if record.key in keys else None
            if told is None:
                continue
            if told.starts:
                found[record.key or b""] = []
            found.setdefault(record.key or b"", []).append(told)
        return found

    def _history(
        self, key: str, inputs: Mapping[TopicPartition, Sequence[Record]], told: Sequence[Told]
    ) -> History | str:
        if not told or not told[0].starts:
            return FORGOTTEN
        moments = {one.caused_by: one for one in told}
        given = [one for record in _in_order(self._codec, inputs) for one in self._given(key, record, moments)]
        history = _since_start(given, told[0])
        if isinstance(history, str):
            return history
        after = [one for one in history.then if not isinstance(one, Tick)]
        return replace(history, then=tuple(_merged(after, told[1:])))

    def _given(
        self, key: str, record: Record, moments: Mapping[bytes, Told], at: int | None = None
    ) -> Iterator[Received | Command]:
        """An input as `decide` got it, `at` this time where its decision is not told of; nothing for an order that did
        nothing, and for what is none of its events.
        """
        try:
            ids = self._codec.ids(record)
        except DecodeError:
            return  # a dead letter of the coordinator's
        told = moments.get(ids.event_id)
        now = told.now if told else ids.at if at is None else at
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


def told_of(bodies: Bodies, record: Record) -> Told | None:
    """The decision of which a record of a lifecycle topic tells; None for what is none."""
    try:
        body = bodies.read(record)
        caused_by, starts = UUID(str(body["caused_by"])).bytes, body["change"][0] == STARTED
        return Told(caused_by, to_micros(body["at"]), str(body["digest"]), starts)
    except (DecodeError, UnknownSchemaError, KeyError, ValueError, IndexError):
        return None  # `choreo sagas list` counts them


def _since_start(lived: Sequence[Past], started: Told) -> History | str:
    """All that came, and the timers, from the event on with which it started; before that only what was early."""
    first = next(
        (n for n, one in enumerate(lived) if not isinstance(one, Tick) and one.event_id == started.caused_by), None
    )
    if first is None or not isinstance(start := lived[first], Received):
        return "the event with which it started is no longer on the log"
    early = tuple(one for one in lived[:first] if isinstance(one, Received))
    return History(started.digest, start, early, tuple(lived[first + 1 :]))


def _is_retry(timer: bytes) -> bool:
    """Whether it is the waking of a parked key, and no timer of a saga."""
    return timer.startswith(RETRY.start)


def timer_key(timer: bytes) -> tuple[str, str]:
    """The saga's key and the name of its timer."""
    key: tuple[str, str] = TIMERS.decode(timer)
    return key


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
