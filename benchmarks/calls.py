"""2,000 recorded calls of 200 ms in flight in one process: `python -m benchmarks.calls`. Prints one JSON line a figure.

An asynchronous handler whose every event makes one call through a Downstream and emits one event, exactly-once, with
journal and changelog. On the memory log, and on Kafka where KAFKA_BOOTSTRAP says where
(`python -m tests.kafka.broker run -- python -m benchmarks.calls`). The rate counts calls from the first that began
to the last that ended; baselines are a bare asyncio loop that keeps as many sleeps in flight, measured in the same
run, and the ideal, calls in flight / 0.2 s.
"""

import asyncio
import cProfile
import json
import os
import pstats
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import ClassVar

from choreo import Context, Downstream, Event, Handler, Service
from choreo.clock import SystemClock
from choreo.events.codec import Codec
from choreo.events.registry import MemoryRegistry, Registry
from choreo.log.interface import Log
from choreo.log.open import open_log
from choreo.runtime.heap import rare_collections
from choreo.runtime.loop import run_worker
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import Worker
from choreo.service.client import fresh_ids
from choreo.state.memory import MemoryBackends
from choreo.state.rocks import RocksBackends

IN_FLIGHT = 2000
CALL_S = 0.2
CALLS = int(os.environ.get("CALLS", "40000"))
IDEAL = IN_FLIGHT / CALL_S


class RideEvent(Event, namespace="bench", topic="bench.rides", key="ride", abstract=True):
    """Keyed by the ride."""

    ride: str


class RideEnded(RideEvent):
    """A ride is to be charged."""

    kilometres: int


class FareCharged(RideEvent):
    """It was."""

    cents: int


class Bank:
    """Takes 200 ms for each charge; notes when the first began and the last ended."""

    began: ClassVar[float] = 0.0
    ended: ClassVar[float] = 0.0
    calls: ClassVar[int] = 0
    open: ClassVar[int] = 0
    most: ClassVar[int] = 0

    async def charge(self, key: str, cents: int) -> int:
        Bank.began = Bank.began or perf_counter()
        Bank.open += 1
        Bank.most = max(Bank.most, Bank.open)
        await asyncio.sleep(CALL_S)
        Bank.open -= 1
        Bank.calls += 1
        Bank.ended = perf_counter()
        return cents

    @classmethod
    def forget(cls) -> None:
        """Nothing was called yet."""
        cls.began = cls.ended = 0.0
        cls.calls = cls.open = cls.most = 0


class Charge(Handler[RideEnded]):
    """One call and one answer for each ride."""

    bank: Bank
    limits = Downstream("bank", timeout_s=30, concurrency=IN_FLIGHT)
    concurrency = IN_FLIGHT

    async def handle(self, event: RideEnded, ctx: Context) -> FareCharged:
        cents = await self.limits.call("charge", self.bank.charge, event.kilometres * 100)
        return FareCharged(ride=event.ride, cents=cents)


def bare(calls: int) -> float:
    """Calls a second of an event loop that does nothing else."""

    async def caller(times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(CALL_S)

    async def all_of_them() -> None:
        await asyncio.gather(*[caller(calls // IN_FLIGHT) for _ in range(IN_FLIGHT)])

    began = perf_counter()
    asyncio.run(all_of_them())
    return calls / (perf_counter() - began)


def fill(log: Log, registry: Registry, calls: int) -> None:
    """Rides on the log, each of its own key."""
    codec, now = Codec(registry, (), log.cluster_id()), SystemClock().now()
    for first in range(0, calls, 1000):
        rides = range(first, min(first + 1000, calls))
        log.append([codec.encode(RideEnded(ride=f"r{n}", kilometres=1), fresh_ids(now)) for n in rides])


def measured(url: str, calls: int, profile: cProfile.Profile | None = None) -> tuple[float, float]:
    """Calls a second of a whole service, and microseconds of CPU a call."""
    Bank.forget()
    name = f"fares{os.getpid()}"
    clock, registry = SystemClock(), MemoryRegistry()
    service = Service(name, handlers=[Charge], provide={"bank": Bank})
    with open_log(url) as log, tempfile.TemporaryDirectory() as place:
        backends = MemoryBackends() if url == "memory:" else RocksBackends(Path(place))
        worker = Worker(service, Site(log, registry, backends, clock), RunOptions(start_from="earliest"))
        create_topics(log, [worker.plan], 1)
        fill(log, registry, calls)
        worker.start()
        cpu = process_time()
        if profile is not None:
            profile.enable()
        with rare_collections():  # as choreo run does
            run_worker(worker, clock, lambda: Bank.calls >= calls)
        if profile is not None:
            profile.disable()
        cpu = process_time() - cpu
        backends.close()
    print(
        f"{url}: {Bank.calls:,} calls, at most {Bank.most:,} at once, {worker.checkpoints} checkpoints", file=sys.stderr
    )
    return Bank.calls / (Bank.ended - Bank.began), cpu / calls * 1_000_000


def figure(name: str, value: float, unit: str, baseline: float) -> None:
    """One line of the result."""
    line = {"name": name, "value": round(value, 1), "unit": unit, "baseline": round(baseline, 1)}
    print(json.dumps(line | {"ratio": round(value / baseline, 3)}), flush=True)


def main() -> None:
    """All figures."""
    logs = {"memory": "memory:"}
    if bootstrap := os.environ.get("KAFKA_BOOTSTRAP"):
        logs["kafka"] = f"kafka://{bootstrap}"
    loop = bare(CALLS)
    figure("calls.asyncio", loop, "calls/s", IDEAL)
    for name, url in logs.items():
        profile = cProfile.Profile() if os.environ.get("PROFILE") else None
        rate, cpu = measured(url, CALLS, profile)
        figure(f"calls.{name}", rate, "calls/s", loop)
        figure(f"calls.{name}.of_ideal", rate, "calls/s", IDEAL)
        figure(f"calls.{name}.cpu", cpu, "us/call", 1_000_000 / IDEAL)
        if profile is not None:
            pstats.Stats(profile, stream=sys.stderr).sort_stats("tottime").print_stats(45)


if __name__ == "__main__":
    main()
