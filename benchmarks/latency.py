"""One saga alone: how long from its first event to its last, with nothing else to do.

Each service and the coordinator are processes of their own on a real Kafka, with default settings. The clock runs from
before the order is emitted until its `OrderDelivered` is read, read-committed, from the log: four checkpoints in a row
(inventory and payments side by side, coordinator, shipping, carrier). `latency.closed` waits for one more, the
coordinator's word that the saga is completed.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter

from benchmarks.figure import Figure, Size, percentile
from benchmarks.fulfilment import OrderDelivered, OrderPlaced
from benchmarks.machine import HERE, broker, scratch, services
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.events.open import open_registry
from choreo.log.interface import Log, Reader
from choreo.log.open import open_log
from choreo.record import TopicPartition
from choreo.runtime.options import RunOptions
from choreo.saga.lifecycle import lifecycle_event
from choreo.service.client import Client

FULL, QUICK = Size(400), Size(5)
WARM_UP = 2
"""So many times as many sagas go before: a broker that was just started compiles its code meanwhile."""
SPEC, SHOP = "fulfilment.yaml", "fulfilment.py"
TARGETS = ([f"{SHOP}:inventory"], [f"{SHOP}:payments"], [f"{SHOP}:shipping"], [f"{SHOP}:carrier"], [SPEC])
TOO_LONG_S = 60.0


def figures(size: Size) -> Iterator[Figure]:
    """`latency.p50`, `latency.p99` and the same for `latency.closed`, in milliseconds."""
    with broker() as bootstrap, scratch() as project:
        url = f"kafka://{bootstrap}?prefix={project.name}"
        lay_out(project)
        with services(project, url, TARGETS):
            delivered, closed = _one_by_one(project, url, size.count)
    terms = {"n": size.count, "commit_dry_ms": RunOptions().checkpoint_dry_s * 1000, "processes": len(TARGETS)}
    for name, times in (("latency", delivered), ("latency.closed", closed)):
        for share in (0.5, 0.99):
            yield Figure(f"{name}.p{share * 100:.0f}", percentile(times, share) * 1000, "ms", terms=terms)


def lay_out(project: Path) -> None:
    """The project of the saga figures, in a directory of its own."""
    (project / "choreo.toml").write_text(f'[project]\nservices = ["{SHOP}"]\nsagas = "{SPEC}"\n')
    for name in (SPEC, SHOP):
        shutil.copy(HERE / name, project)


def _one_by_one(project: Path, url: str, count: int) -> tuple[list[float], list[float]]:
    """Seconds until delivered and until closed, of each saga but those that warm up."""
    delivered, closed = [], []
    ended = lifecycle_event("fulfilment")
    registry = open_registry(f"dir:{project / 'schemas'}")
    with open_log(url) as log, Client(url, registry=registry) as client:
        codec = Codec(registry, (OrderDelivered, ended), log.cluster_id())
        with _tail(log, "bench.parcels") as parcels, _tail(log, ended.contract.topic) as lifecycle:
            for number in range((WARM_UP + 1) * count):
                order = OrderPlaced(order_id=f"o{number}", cents=100 + number)
                began = perf_counter()
                client.emit(order)
                _await(parcels, codec, lambda event: isinstance(event, OrderDelivered))
                seen = perf_counter()
                _await(lifecycle, codec, lambda event: getattr(event, "status", "") == "completed")
                delivered.append(seen - began)
                closed.append(perf_counter() - began)
    return delivered[-count:], closed[-count:]


def _tail(log: Log, topic: str) -> Reader:
    """Reads what comes to a topic from now on."""
    partitions = [TopicPartition(topic, number) for number in range(log.topics()[topic].partitions)]
    return log.reader(log.ends(partitions))


def _await(reader: Reader, codec: Codec, is_it: Callable[[Event], bool]) -> None:
    """Read until the event comes."""
    deadline = perf_counter() + TOO_LONG_S
    while perf_counter() < deadline:
        for record in reader.read(0.5):
            if codec.event_class(record) and is_it(codec.event(record)):
                return
    raise TimeoutError(f"a saga did not come to its end within {TOO_LONG_S:g} s")
