"""The figures by name: each family is a module that yields figures, at full size or at that of a smoke test."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from importlib import import_module

from benchmarks.figure import Figure, Size
from benchmarks.machine import HERE, ROOT, SkippedError, python_environment

PROGRAM_FULL, PROGRAM_QUICK = Size(2_000), Size(50)


@dataclass(frozen=True)
class Family:
    """Figures that are measured together. Their module is loaded when they are."""

    name: str
    module: str
    about: str
    function: str = "figures"
    kafka: bool = False
    """Whether it needs a broker."""

    def sizes(self) -> tuple[Size, Size]:
        """At full size, and at that of a smoke test."""
        module = import_module(f"benchmarks.{self.module}")
        return module.FULL, module.QUICK

    def lines(self, size: Size) -> Iterator[str]:
        """Measure, and give each figure as one line of JSON. Raises SkippedError where something is missing."""
        measure: Callable[[Size], Iterator[Figure]] = getattr(import_module(f"benchmarks.{self.module}"), self.function)
        for figure in measure(size):
            yield figure.line()


class Program(Family):
    """A family that is a program of its own: `python -m benchmarks.MODULE N` prints such lines."""

    def sizes(self) -> tuple[Size, Size]:
        return PROGRAM_FULL, PROGRAM_QUICK

    def lines(self, size: Size) -> Iterator[str]:
        if not (HERE / f"{self.module}.py").is_file():
            raise SkippedError(f"benchmarks/{self.module}.py is not here")
        command = [sys.executable, "-m", f"benchmarks.{self.module}", str(size.count)]
        told = subprocess.run(command, cwd=ROOT, env=python_environment(), stdout=subprocess.PIPE, check=True)
        yield from told.stdout.decode().splitlines()


FAMILIES = {
    family.name: family
    for family in (
        Family("events", "events", "exactly-once on Kafka, against the raw loop and Quix Streams", kafka=True),
        Family("embedded", "in_process", "events/s on the embedded log, one core", "embedded"),
        Family("memory", "in_process", "events/s on the log in memory, one core", "memory"),
        Family("latency", "latency", "one saga alone, from its first event to its last", kafka=True),
        Family("sagas", "sagas", "a coordinator with a million sagas in flight", kafka=True),
        Family("finished", "finished", "order sagas a second from start to end, one in ten compensated", kafka=True),
        Family("items", "items", "CPU an event of a saga with a step for each of many items"),
        Family("simulation", "simulation", "sagas/s simulated with faults, by one core and by all"),
        Family("restore", "restore", "keys/s from a changelog into RocksDB", kafka=True),
        Family("replay", "replay", "replaying and verifying a service, and any point of its past"),
        Family("footprint", "footprint", "peak memory of commands that read the log again, at N events and at 4 N"),
        Family("archives", "archives", "records/s into an archive and out of it, against fastavro's own writer"),
        Family("imports", "imports", "CPU of `import choreo`, a first event class, `choreo --help`"),
        Program("calls", "calls", "recorded calls in flight, against the ideal rate"),
        Family("logs", "logs", "the logs in this process"),
        Family("state", "state", "keys, values, timers, entries"),
        Family("profile", "steps", "CPU an event by step, with py-spy, which it installs", kafka=True),
    )
}


def sized(family: Family, *, quick: bool, count: int | None) -> Size:
    """How much to measure: the full size or the quick one, with another count where one is given."""
    full, small = family.sizes()
    chosen = small if quick else full
    return chosen if count is None else replace(chosen, count=count)
