"""A coordinator with a million sagas in flight: its memory, and how fast it still is.

The coordinator is a process of its own on a real Kafka, with default settings. For each saga it is told of an
OrderPlaced, and some thousands of sagas later of its StockReserved; nobody ever pays, so every saga stays in flight
with its deadlines running. The feeder stays a bounded number of events ahead: what grows is the number of sagas, not
the backlog.
"""

from collections import deque
from collections.abc import Iterator
from time import monotonic, sleep
from typing import NamedTuple

from benchmarks.figure import Baseline, Figure, Size
from benchmarks.fulfilment import OrderEvent, OrderPlaced, StockReserved
from benchmarks.latency import SPEC, lay_out
from benchmarks.machine import broker, cpu_s, rss_mb, say, scratch, services
from choreo.clock import SystemClock
from choreo.events.codec import Codec
from choreo.events.open import open_registry
from choreo.log.interface import Log
from choreo.log.open import open_log
from choreo.record import TopicPartition
from choreo.runtime.options import RunOptions
from choreo.service.client import fresh_ids

FULL, QUICK = Size(1_000_000), Size(500)
BLOCKS = 10
"""Memory and throughput are taken for each tenth of the sagas."""
AHEAD = 20_000
"""Events that the feeder may be ahead of the coordinator."""
BATCH = 2_000
LATER = 5_000
"""So many sagas lie between an order's first event and its second."""
LOOK_EVERY_S = 0.1
STUCK_AFTER_S = 120.0
GROUP = "choreo.saga.fulfilment"


class Block(NamedTuple):
    """What was seen while one tenth of the sagas was started."""

    sagas: int
    """In flight at its end."""
    rss_mb: float
    """The most that was seen."""
    sagas_s: float
    cpu_us: float
    """CPU microseconds a saga."""


def figures(size: Size) -> Iterator[Figure]:
    """`sagas.memory` and `sagas.throughput`: the last tenth, each against the first."""
    with broker() as bootstrap, scratch() as project:
        url = f"kafka://{bootstrap}?prefix={project.name}"
        lay_out(project)
        with services(project, url, [[SPEC]]) as running, open_log(url) as log:
            feeder = Feeder(log, Codec(open_registry(f"dir:{project / 'schemas'}"), (), log.cluster_id()))
            blocks = list(_blocks(feeder, running[0].pid, size.count))
    first, last = blocks[0], blocks[-1]
    terms = {
        "n": size.count,
        "commit_interval_ms": RunOptions().checkpoint_interval_s * 1000,
        "sagas": [block.sagas for block in blocks],
    }
    at = f"at {first.sagas:,} sagas in flight"
    memory = terms | {"series": [round(block.rss_mb) for block in blocks]}
    speed = terms | {"series": [round(block.sagas_s) for block in blocks]}
    cost = terms | {"series": [round(block.cpu_us) for block in blocks]}
    yield Figure("sagas.memory", last.rss_mb, "MB", Baseline(at, first.rss_mb), memory)
    yield Figure("sagas.throughput", last.sagas_s, "sagas/s", Baseline(at, first.sagas_s), speed)
    yield Figure("sagas.cpu", last.cpu_us, "us/saga", Baseline(at, first.cpu_us), cost)


class Feeder:
    """Starts sagas, and keeps within `AHEAD` events of the coordinator."""

    def __init__(self, log: Log, codec: Codec) -> None:
        self.fed = 0
        """Sagas begun."""
        self._log, self._codec, self._clock = log, codec, SystemClock()
        self._open: deque[str] = deque()
        self._inputs = [
            TopicPartition(topic, number)
            for topic in (OrderPlaced.contract.topic, StockReserved.contract.topic)
            for number in range(log.topics()[topic].partitions)
        ]
        self._sent = 0

    def feed(self, count: int) -> None:
        """Begin `count` sagas, and reserve the stock of those that were begun `LATER` before."""
        events: list[OrderEvent | StockReserved] = []
        for _ in range(count):
            name = f"order-{self.fed:09d}"
            self.fed += 1
            self._open.append(name)
            events.append(OrderPlaced(order_id=name, cents=100))
            if len(self._open) > LATER:
                events.append(StockReserved(order_id=self._open.popleft()))
        self._log.append([self._codec.encode(event, fresh_ids(self._clock.now())) for event in events])
        self._sent += len(events)

    def behind(self) -> int:
        """Events that the coordinator has yet to commit."""
        done = self._log.committed(GROUP, self._inputs)
        return self._sent - sum(offset or 0 for offset in done.values())


def _blocks(feeder: Feeder, process: int, count: int) -> Iterator[Block]:
    """Measure each tenth; a block ends when the coordinator is within half of `AHEAD` of the feeder."""
    ahead = min(AHEAD, max(count // BLOCKS // 2, 1))
    for number in range(BLOCKS):
        target = count * (number + 1) // BLOCKS
        before, most, began, cpu = feeder.fed, 0.0, monotonic(), cpu_s(process)
        while feeder.fed < target:
            feeder.feed(min(BATCH, target - feeder.fed))
            most = max(most, _wait(feeder, process, ahead))
        most = max(most, _wait(feeder, process, 0 if number + 1 == BLOCKS else ahead // 2))
        begun, lasted = feeder.fed - before, monotonic() - began
        block = Block(feeder.fed, most, begun / lasted, (cpu_s(process) - cpu) / begun * 1e6)
        say(f"{block.sagas:>9,} sagas {block.rss_mb:6.0f} MB {block.sagas_s:6.0f} sagas/s {block.cpu_us:6.0f} us/saga")
        yield block


def _wait(feeder: Feeder, process: int, ahead: int) -> float:
    """Until no more than `ahead` events are left; answers the most memory (MB) that was seen."""
    most, last, deadline = rss_mb(process), feeder.behind(), monotonic() + STUCK_AFTER_S
    while (behind := feeder.behind()) > ahead:
        most = max(most, rss_mb(process))
        if behind < last:
            last, deadline = behind, monotonic() + STUCK_AFTER_S
        if monotonic() > deadline:
            raise TimeoutError(f"the coordinator stands still, {behind:,} events behind")
        sleep(LOOK_EVERY_S)
    return most
