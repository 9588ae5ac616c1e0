"""Order sagas a second on a real Kafka, from start to end: four steps, one order in ten declined and compensated.

Two processes with default settings: the four services, and the coordinator. `finished` feeds orders as fast as they are
taken, a bounded number ahead, and counts what came to its end; its CPU is that of both processes and of the broker.
`finished.p99` feeds half of that rate, and looks at each order from its emission until its end can be read.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, perf_counter

from benchmarks.figure import Figure, Size, percentile
from benchmarks.fulfilment import LIMIT, OrderPlaced
from benchmarks.latency import SHOP, SPEC, lay_out
from benchmarks.machine import broker, cpu_s, listening, refuse_dead_letters, scratch, services
from choreo.clock import SystemClock
from choreo.events.codec import Codec
from choreo.events.open import open_registry
from choreo.log.interface import Log, Reader
from choreo.log.open import open_log
from choreo.record import TopicPartition
from choreo.runtime.options import RunOptions
from choreo.saga.lifecycle import SagaChanged, lifecycle_event
from choreo.service.client import fresh_ids

FULL, QUICK = Size(20_000), Size(200)
TARGETS = ([f"{SHOP}:{name}" for name in ("inventory", "payments", "shipping", "carrier")], [SPEC])
WARM_UP = 0.1
"""This part of the orders goes before: a broker that was just started compiles its code meanwhile."""
AHEAD = 2_000
"""Orders that may be under way."""
DECLINED_EVERY = 10
SLICE_S = 0.05
"""Orders of a steady rate are emitted in slices of this length."""
STUCK_AFTER_S = 120.0
ENDED = lifecycle_event("fulfilment")


def figures(size: Size) -> Iterator[Figure]:
    """`finished` (sagas/s), `finished.cpu` (us a saga, the broker's included), `finished.p50` and `.p99` (ms)."""
    with broker() as bootstrap, scratch() as project:
        url = f"kafka://{bootstrap}?prefix={project.name}"
        lay_out(project)
        with services(project, url, TARGETS) as running, open_log(url) as log:
            kafka = listening(int(bootstrap.rpartition(":")[2]))
            processes = [*(one.pid for one in running), *([kafka] if kafka else [])]
            with _orders(log, project) as orders:
                orders.feed_ahead(max(int(size.count * WARM_UP), 1))
                used, began = sum(map(cpu_s, processes)), perf_counter()
                orders.feed_ahead(size.count)
                lasted, used = perf_counter() - began, sum(map(cpu_s, processes)) - used
                rate = size.count / lasted
                times = orders.feed_steadily(max(size.count // 2, 1), rate / 2)
            refuse_dead_letters(log, {})
    terms = {
        "n": size.count,
        "commit_interval_ms": RunOptions().checkpoint_interval_s * 1000,
        "processes": len(TARGETS),
        "ended": dict(orders.ended),
    }
    whose = {"with_broker": kafka is not None}
    yield Figure("finished", rate, "sagas/s", terms=terms)
    yield Figure("finished.cpu", used / size.count * 1e6, "us/saga", terms=terms | whose)
    for share in (0.5, 0.99):
        yield Figure(
            f"finished.p{share * 100:.0f}", percentile(times, share) * 1000, "ms", terms=terms | {"rate": rate / 2}
        )


@contextmanager
def _orders(log: Log, project: Path) -> Iterator["Orders"]:
    topic = ENDED.contract.topic
    partitions = [TopicPartition(topic, number) for number in range(log.topics()[topic].partitions)]
    with log.reader(log.ends(partitions)) as ends:
        yield Orders(log, Codec(open_registry(f"dir:{project / 'schemas'}"), (ENDED,), log.cluster_id()), ends)


class Orders:
    """Emits orders, and hears of their ends."""

    def __init__(self, log: Log, codec: Codec, ends: Reader) -> None:
        self.ended: Counter[str] = Counter()
        """How many sagas came to which end."""
        self._log, self._codec, self._ends, self._clock = log, codec, ends, SystemClock()
        self._emitted = 0
        self._open: dict[str, float] = {}
        self._times: list[float] = []

    def feed_ahead(self, count: int) -> None:
        """Emit orders with at most `AHEAD` of them open; back when all have ended."""
        left = count
        while left:
            now = min(left, AHEAD - len(self._open))
            if now >= min(left, AHEAD // 4):
                self._emit(now)
                left -= now
            self._hear(SLICE_S)
        self._hear_all()

    def feed_steadily(self, count: int, rate: float) -> list[float]:
        """Emit so many orders a second; gives the seconds from emission to end of each, those at the start left out."""
        self._times.clear()
        began, emitted = perf_counter(), 0
        while emitted < count:
            due = min(int((perf_counter() - began) * rate), count)
            if due > emitted:
                self._emit(due - emitted)
                emitted = due
            self._hear(SLICE_S)
        self._hear_all()
        return self._times[int(count * WARM_UP) :]

    def _emit(self, count: int) -> None:
        numbers = range(self._emitted, self._emitted + count)
        self._emitted += count
        orders = [
            OrderPlaced(order_id=f"o{number}", cents=LIMIT + 1 if number % DECLINED_EVERY == 0 else 100)
            for number in numbers
        ]
        now = perf_counter()
        self._open |= dict.fromkeys((order.order_id for order in orders), now)
        self._log.append([self._codec.encode(order, fresh_ids(self._clock.now())) for order in orders])

    def _hear(self, wait_s: float) -> None:
        for record in self._ends.read(wait_s):
            event = self._codec.event(record)
            assert isinstance(event, SagaChanged)
            if event.ended_at is not None and (since := self._open.pop(event.key, None)) is not None:
                self.ended[event.status] += 1
                self._times.append(perf_counter() - since)

    def _hear_all(self) -> None:
        still, deadline = len(self._open), monotonic() + STUCK_AFTER_S
        while self._open:
            self._hear(SLICE_S)
            if len(self._open) < still:
                still, deadline = len(self._open), monotonic() + STUCK_AFTER_S
            if monotonic() > deadline:
                raise TimeoutError(f"{still} sagas do not come to their end")
