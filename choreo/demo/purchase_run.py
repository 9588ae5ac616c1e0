"""Drives the sample of purchase to pay over deeds: writes them as events, has the saga follow them, says what came
of it.

In wall time: the deeds are history, and the saga has no deadlines. Event time is in the events (`happened_at`).
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple, Protocol

from choreo.clock import Clock, SystemClock
from choreo.demo.bpi import Deed
from choreo.demo.purchases import Purchases
from choreo.demo.purchasing import Purchasing, load_purchasing
from choreo.demo.run import Stage
from choreo.errors import ConfigError, StartError
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id
from choreo.log.interface import Log
from choreo.record import NewRecord, TopicPartition
from choreo.runtime.heap import rare_collections
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import Worker
from choreo.saga.coordinator import Coordinator, coordinator
from choreo.saga.explain import waits_for
from choreo.saga.instance import Instance
from choreo.saga.shelf import deploy
from choreo.saga.spec import Spec, load_spec
from choreo.service.service import Service

BATCH = 5000
"""Records appended at once."""
GLIMPSE_US = 200_000
"""Wall time between two looks at a run."""
POLL_S = 0.05


class Watch(Protocol):
    """Told now and then how many events of all are written, then how many are followed."""

    def __call__(self, what: str, done: int, total: int, /) -> None: ...


def nobody(what: str, done: int, total: int, /) -> None:
    """Nobody watches."""


class Cast(NamedTuple):
    """Who takes part: the sample, its spec, and the coordinator that follows it."""

    purchasing: Purchasing
    spec: Spec
    service: Service


def cast_of_purchasing() -> Cast:
    """The sample and the coordinator of its saga. Raises ConfigError and SpecError."""
    purchasing = load_purchasing()
    spec = load_spec(purchasing.spec, purchasing.catalogue)
    return Cast(purchasing, spec, coordinator(spec, purchasing.catalogue))


def run_purchases(
    stage: Stage, deeds: Sequence[Deed], watch: Watch = nobody, cpu_s: Callable[[], float] = time.process_time
) -> Purchases:
    """Write what the log does not have yet and follow all of it, in one process and one thread.

    Stores and log are left as they are at the end. Raises ConfigError where the log holds the events of other cases,
    StartError where an event could not be followed.
    """
    cast, clock = cast_of_purchasing(), SystemClock()
    began, used = clock.now(), cpu_s()
    create_topics(stage.log, [plan_of(cast.service)], stage.partitions)
    deploy(stage.log, cast.spec, cast.purchasing.spec.read_text(encoding="utf-8"))
    with rare_collections():
        new = write_deeds(stage, cast.purchasing, deeds, clock.now(), watch)
        _follow(stage, cast, clock, watch)
    took, used = clock.now() - began, cpu_s() - used
    stands = _Standing.of(instances(stage, cast), cast.spec)
    return Purchases(
        cases=len({deed.case_id for deed in deeds}),
        events=len(deeds),
        statuses=stands.statuses,
        waiting=stands.waiting,
        new=new,
        wall_s=took / 1_000_000,
        cpu_s=used,
        examples=stands.examples,
    )


def write_deeds(stage: Stage, purchasing: Purchasing, deeds: Sequence[Deed], at: int, watch: Watch = nobody) -> int:
    """Append those that are not there yet, in their order; answers how many. `at`: when it begins, microseconds.

    An event is said when it is written, one microsecond after the one before: times of the data fall back, and may
    lie before 1970. Raises ConfigError where the log holds the events of other cases.
    """
    codec = Codec(stage.registry, (), stage.log.cluster_id())
    there = _written(stage.log, purchasing.topic)
    strange = there.keys() - {deed.case_id for deed in deeds}
    if strange:
        raise ConfigError(
            f"{stage.log.url} already holds events of other cases, {min(strange)} for one",
            hint="give the run a log of its own, e.g. --log embedded:DIR with another DIR",
        )

    def records() -> Iterator[NewRecord]:
        for number, deed in enumerate(deeds):
            if deed.seq >= there.get(deed.case_id, 0):
                said = derive_id(bytes(16), "demo", f"purchasing {deed.case_id}", deed.seq)
                yield codec.encode(
                    purchasing.event(deed), Ids(event_id=said, correlation_id=deed.case_id, at=at + number)
                )

    new, rest = 0, records()
    while batch := list(islice(rest, BATCH)):
        stage.log.append(batch)
        new += len(batch)
        watch("written", new, len(deeds))
    return new


def instances(stage: Stage, cast: Cast) -> Iterator[Instance]:
    """Every instance as the stores of this run hold it. The run is over: nobody else has them open."""
    keys, values = Coordinator.instances.codecs()
    for number in range(stage.log.topics()[cast.purchasing.topic].partitions):
        backend = stage.backends.open(f"{cast.service.name}-{number}")
        try:
            for _, raw in backend.scan(keys.prefix(())):
                yield values.load(raw)
        finally:
            backend.close()


@dataclass(frozen=True)
class _Standing:
    """Counts over instances; events in the order of the steps."""

    statuses: dict[str, int]
    waiting: dict[str, int]
    examples: dict[str, str]

    @classmethod
    def of(cls, found: Iterator[Instance], spec: Spec) -> "_Standing":
        statuses, waiting, examples = Counter[str](), Counter[str](), dict[str, str]()
        for instance in found:
            statuses[instance.status] += 1
            for event in waits_for(spec, instance):
                waiting[event] += 1
                examples[event] = min(instance.key, examples.get(event, instance.key))
        order = [event for step in spec.steps for event in step.completes_on if event in waiting]
        return cls(statuses, {event: waiting[event] for event in order}, examples)


def _written(log: Log, topic: str) -> dict[str, int]:
    """How many events of each case are on the log: the first so many, since each case is written in its order."""
    partitions = [TopicPartition(topic, number) for number in range(log.topics()[topic].partitions)]
    ends = log.ends(partitions)
    found = Counter[str]()
    with log.reader(log.starts(partitions)) as reader:
        while any(reader.position(partition) < end for partition, end in ends.items()):
            found.update(record.key.decode() for record in reader.read(1.0) if record.key is not None)
    return found


def _follow(stage: Stage, cast: Cast, clock: Clock, watch: Watch) -> None:
    """Have the coordinator take every event that is on the log now."""
    inputs = [
        TopicPartition(topic, number)
        for topic in plan_of(cast.service).topics
        for number in range(stage.log.topics()[topic].partitions)
    ]
    ends = stage.log.ends(inputs)
    total, looked, due = sum(ends.values()), clock.now(), clock.now()
    options = RunOptions(start_from="earliest", specs=(cast.spec.digest,))
    worker = Worker(cast.service, Site(stage.log, stage.registry, stage.backends, clock), options)
    try:
        worker.start()
        while not worker.settled or any(worker.position(place) < end for place, end in ends.items()):
            wait_s = min(max(due - clock.now(), 0) / 1_000_000, POLL_S)
            due = worker.step(clock.now(), worker.poll(wait_s))
            _check(worker)
            if clock.now() - looked >= GLIMPSE_US:
                looked = clock.now()
                watch("followed", worker.handled, total)
    except BaseException:
        worker.abandon()
        raise
    worker.stop()


def _check(worker: Worker) -> None:
    for number, live in worker.tasks.items():
        if live.task.halted is not None:
            raise StartError(f"task {number} of {worker.service.name} has stopped: {live.task.halted}")
