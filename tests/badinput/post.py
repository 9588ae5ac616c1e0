"""A post office for these tests: parcels come in on one topic, are counted, and go out on another."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic

from choreo import Context, Event, Handler, Service, Store, Timer
from choreo.clock import Clock, SystemClock
from choreo.errors import LogUnavailableError
from choreo.events.avro import schema_of
from choreo.events.codec import Codec
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import NewRecord, Record, TopicPartition
from choreo.resilience.dead_letter import DeadLetter, read, whole
from choreo.runtime.loop import run_worker
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.worker import Worker
from choreo.service.client import fresh_ids
from choreo.state.backend import Backends

DEADLINE_S = 30.0
IN, OUT, DEAD = "post.parcels", "post.sorted", "choreo.post.dead-letters"


class Parcel(Event, namespace="post", topic=IN, key="number"):
    number: str
    weight: int = 0


class Sorted(Event, namespace="post", topic=OUT, key="number"):
    number: str
    times: int


class Letter(Event, namespace="post", topic="post.letters", key="number"):
    """Of another topic: it has no business among the parcels."""

    number: str


class Sort(Handler[Parcel]):
    """Counts how often a parcel came by.

    One of weight 13 reminds of itself with a note too large to keep; one of a weight below 0 is forgotten.
    """

    seen = Store[str, int](default=0)
    note = Store[str, str]()
    later = Timer[str]()

    def handle(self, parcel: Parcel, ctx: Context) -> Sorted | None:
        if parcel.weight < 0:
            del self.seen[parcel.number]
            return None
        self.seen[parcel.number] += 1
        if parcel.weight == 13:
            self.later.set(parcel.number, after=timedelta(minutes=1))
        return Sorted(number=parcel.number, times=self.seen[parcel.number])

    @later.due
    def remind(self, number: str, ctx: Context) -> None:
        self.note[number] = "x" * 1_200_000


post = Service("post", handlers=[Sort])


def parcels(log: Log, registry: Registry, *numbers: str) -> list[NewRecord]:
    """Good records."""
    codec = Codec(registry, (), log.cluster_id())
    return [codec.encode(Parcel(number=number), fresh_ids(SystemClock().now(), "story")) for number in numbers]


def framed(registry: Registry, body: bytes, kind: type[Event] = Parcel) -> bytes:
    """A body behind the schema id of `kind`."""
    schema_id = registry.register(kind.contract.full_name, schema_of(kind))
    return b"\0" + schema_id.to_bytes(4, "big") + body


def records_of(log: Log, topic: str) -> list[Record]:
    """All committed records of a topic as of now."""
    partitions = [TopicPartition(topic, number) for number in range(log.topics()[topic].partitions)]
    ends, found, until = log.ends(partitions), [], monotonic() + DEADLINE_S
    with log.reader(dict.fromkeys(partitions, 0)) as reader:
        while any(reader.position(each) < ends[each] for each in partitions):
            assert monotonic() < until, f"{topic} can't be read to its end"
            found += reader.read(0.05)
    return found


def caught_up(log: Log) -> bool:
    """Whether the service has committed all parcels that are there."""
    inputs = [TopicPartition(IN, number) for number in range(log.topics()[IN].partitions)]
    try:
        return dict(log.committed(post.scope, inputs)) == log.ends(inputs)
    except LogUnavailableError:  # a broker that has just started knows of no group yet
        return False


def letters(log: Log) -> list[tuple[DeadLetter, Record]]:
    """The dead letters, each with the record as the service got it."""
    return [(read(record), record) for record in whole(records_of(log, DEAD))]


def sorted_parcels(log: Log, registry: Registry) -> Counter[tuple[str, int]]:
    """What went out: number and times of each, and how often it stands there."""
    codec = Codec(registry, (Sorted,), log.cluster_id())
    events = [codec.event(record) for record in records_of(log, OUT)]
    return Counter((event.number, event.times) for event in events if isinstance(event, Sorted))


def step_until(worker: Worker, done: Callable[[], bool], clock: Clock) -> None:
    """Poll and step by hand. Raises what the worker raises, AssertionError where it is never done."""
    until = monotonic() + DEADLINE_S
    while not done():
        assert monotonic() < until, f"it did not come true within {DEADLINE_S:g} s"
        records = worker.poll(0.02)
        worker.step(clock.now(), records)


@contextmanager
def running(log: Log, registry: Registry, backends: Backends, options: RunOptions | None = None) -> Iterator[Worker]:
    """The service at work in a thread of its own, in real time, until the block ends; its error is raised then."""
    worker = Worker(post, Site(log, registry, backends, SystemClock()), options or RunOptions(start_from="earliest"))
    worker.start()
    stop, raised = threading.Event(), list[BaseException]()

    def run() -> None:
        try:
            run_worker(worker, SystemClock(), stop.is_set)
        except BaseException as error:  # raised again below, in the thread of the test
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield worker
    finally:
        stop.set()
        thread.join(DEADLINE_S)
    assert not thread.is_alive()
    if raised:
        raise raised[0]


def wait_for(condition: Callable[[], bool]) -> None:
    """Until it holds; an AssertionError after DEADLINE_S."""
    until, pause = monotonic() + DEADLINE_S, threading.Event()
    while not condition():
        assert monotonic() < until, f"it did not come true within {DEADLINE_S:g} s"
        pause.wait(0.02)
