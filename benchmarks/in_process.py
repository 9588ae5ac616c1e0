"""Typed, stateful handling on the logs that need no broker: events a second of one process, held to one core.

`python -m benchmarks.in_process URL N` is the process that is measured; it prints what it used as JSON.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from time import perf_counter, process_time

from benchmarks.compiled import compiled_environment
from benchmarks.figure import Figure, Size
from benchmarks.kill_program import FixedIds, counting
from benchmarks.machine import ROOT, python_environment, refuse_dead_letters, scratch
from benchmarks.orders import orders
from choreo.clock import SystemClock
from choreo.log.interface import TopicSpec
from choreo.log.open import open_log
from choreo.runtime.heap import rare_collections
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import plan_of
from choreo.runtime.running import open_backends
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import Worker

FULL, QUICK = Size(300_000, repeats=3), Size(1_000)
SOURCE, TARGET, PARTITIONS = "orders", "reserved", 4
BATCH = 5_000


def embedded(size: Size) -> Iterator[Figure]:
    """`embedded`: on the embedded log, with RocksDB behind the stores; the best of the repeats."""
    with scratch() as place:
        yield from _figures("embedded", size, lambda run: f"embedded:{place / run}")


def memory(size: Size) -> Iterator[Figure]:
    """`memory`: on the log in memory, which is what scenarios and simulations run on; the best of the repeats."""
    yield from _figures("memory", size, lambda run: "memory:")


def _figures(name: str, size: Size, url: Callable[[str], str]) -> Iterator[Figure]:
    """Of the source as it is, then of the compiled wheel."""
    yield from _best(name, size, url, python_environment())
    yield from _best(f"{name}.compiled", size, url, compiled_environment())


def _best(name: str, size: Size, url: Callable[[str], str], environment: dict[str, str]) -> Iterator[Figure]:
    runs = []
    for number in range(size.repeats):
        command = [sys.executable, "-m", "benchmarks.in_process", url(f"{name}-{number}"), str(size.count)]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
        runs.append(json.loads(done.stdout))
    best = max(runs, key=lambda run: run["events_s"])
    terms = {
        "n": size.count,
        "repeats": size.repeats,
        "cores": 1,
        "commit_interval_ms": RunOptions().checkpoint_interval_s * 1000,
    }
    yield Figure(name, best["events_s"], "events/s", terms=terms)
    yield Figure(f"{name}.cpu", min(run["cpu_us"] for run in runs), "us/event", terms=terms)


def handle_all(url: str, count: int) -> dict[str, float]:
    """Handle `count` orders that lie on the log already; answers events a second and CPU microseconds an event."""
    clock = SystemClock()
    service = counting("bench", SOURCE, TARGET)
    with open_log(url, clock) as log:
        log.create_topics([TopicSpec(SOURCE, PARTITIONS)])
        create_topics(log, [plan_of(service)], PARTITIONS)
        made = orders(SOURCE, count)
        while batch := list(islice(made, BATCH)):
            log.append(batch)
        backends = open_backends(url)
        worker = Worker(service, Site(log, FixedIds(), backends, clock), RunOptions(start_from="earliest"))
        worker.start()
        while not worker.ready:
            worker.step(clock.now(), worker.poll())
        with rare_collections():  # as `choreo run` does
            began, cpu = perf_counter(), process_time()
            while worker.handled < count:
                worker.step(clock.now(), worker.poll(0.1))
            worker.stop()
            lasted, used = perf_counter() - began, process_time() - cpu
        backends.close()
        refuse_dead_letters(log, {})
    return {"events_s": count / lasted, "cpu_us": used / count * 1e6}


def held_to_one_core() -> None:
    """Hold this process to one core, the threads of RocksDB too; where the system can't, the figure is the same."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


if __name__ == "__main__":
    held_to_one_core()
    print(json.dumps(handle_all(sys.argv[1], int(sys.argv[2]))))
