"""Replaying a service on the embedded log, one core: against a loop that only consumes, decodes and validates.

`python -m benchmarks.replay URL N` is the process that is measured; it prints what it found as JSON. The workload is
that of `embedded`: each order changes one entry and emits one event.
"""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Any

import fastavro
from pydantic import BaseModel

from benchmarks.compiled import compiled_environment
from benchmarks.figure import Baseline, Figure, Size, percentile
from benchmarks.in_process import PARTITIONS, SOURCE, TARGET, handle_all, held_to_one_core
from benchmarks.kill_program import ORDER, FixedIds, counting, whole_order
from benchmarks.machine import ROOT, python_environment, scratch
from choreo.log.interface import Log
from choreo.log.open import open_log
from choreo.log.up_to import read_up_to
from choreo.record import Position, TopicPartition
from choreo.replay.contrast import served
from choreo.replay.emissions import Emissions, Place
from choreo.replay.past import Past
from choreo.replay.sandbox import Sandbox
from choreo.replay.scratch import ScratchBackends
from choreo.replay.shadow import Shadow
from choreo.replay.verify import Verification
from choreo.runtime.heap import rare_collections
from choreo.state.rocks import RocksBackends, RocksSnapshots

FULL, QUICK = Size(1_000_000), Size(2_000)
POINTS = 20
"""So many points of the past are asked for, at random."""


def figures(size: Size) -> Iterator[Figure]:
    """Of the source as it is, then of the compiled wheel (`replay.compiled`...): `replay`, `.compared` (every event
    held against the log) and `.verify` (changelog and stores too), in events/s against the bare loop; `.of_live`
    against the live run, `.shadow` against `.compared`; `.point` (s): the state of the service at a random input, the
    slowest of POINTS.
    """
    yield from _figures("replay", size, python_environment())
    yield from _figures("replay.compiled", size, compiled_environment())


def _figures(name: str, size: Size, environment: dict[str, str]) -> Iterator[Figure]:
    with scratch() as place:
        command = [sys.executable, "-m", "benchmarks.replay", f"embedded:{place / 'log'}", str(size.count)]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    terms = {"n": size.count, "cores": 1}
    bare = Baseline("consume, fastavro, pydantic", found["bare"])
    yield Figure(name, found["replay"], "events/s", bare, terms)
    yield Figure(f"{name}.compared", found["compared"], "events/s", bare, terms)
    yield Figure(f"{name}.verify", found["verify"], "events/s", bare, terms)
    yield Figure(f"{name}.of_live", found["verify"], "events/s", Baseline("the live run", found["live"]), terms)
    compared = Baseline("replay, events compared", found["compared"])
    yield Figure(f"{name}.shadow", found["shadow"], "events/s", compared, terms)
    yield Figure(f"{name}.point", found["point"], "s", terms=terms | {"points": POINTS, "p50": found["point_p50"]})


def measured(url: str, count: int) -> dict[str, float]:
    """Events a second of everything, and seconds for points of the past."""
    live = handle_all(url, count)
    service, state = counting("bench", SOURCE, TARGET), Path(url.partition(":")[2]) / "state"
    with open_log(url) as log, rare_collections():
        task = f"{service.name}-"
        sandbox = Sandbox(
            service,
            log,
            FixedIds(),
            snapshots=lambda number: [RocksSnapshots(state, f"{task}{number}")],
            scratch=lambda: ScratchBackends(state),
        )
        found = {"live": 1e6 / live["cpu_us"], "bare": _rate(count, lambda: _bare(log))}
        found["replay"] = _rate(count, lambda: _replayed(sandbox))
        found["verify"] = _rate(count, lambda: _verified(sandbox, state))
        found |= {
            "compared": _rate(count, lambda: _compared(sandbox)),
            "shadow": _rate(count, lambda: _shadowed(sandbox)),
        }
        points = list(_points(sandbox, log))
    return found | {"point": max(points), "point_p50": percentile(points, 0.5)}


def _rate(count: int, work: Callable[[], None]) -> float:
    """Events a second of CPU."""
    began = process_time()
    work()
    return count / (process_time() - began)


def _bare(log: Log) -> None:
    model: type[BaseModel] = whole_order(SOURCE)
    schema, validate = fastavro.parse_schema(ORDER), model.__pydantic_validator__.validate_python
    places = [TopicPartition(SOURCE, number) for number in range(PARTITIONS)]
    for records, _ in read_up_to(log, log.starts(places), log.ends(places)):
        for record in records:
            datum: Any = fastavro.schemaless_reader(io.BytesIO((record.value or b"")[5:]), schema, None)
            validate(datum)


def _replayed(sandbox: Sandbox) -> None:
    for number in range(sandbox.partitions):
        with sandbox.redoing(number) as (rebuild, _):
            for _ in rebuild.run():
                pass


def _verified(sandbox: Sandbox, state: Path) -> None:
    backends = RocksBackends(state)
    verdict = Verification(sandbox, lambda number: backends.open(f"{sandbox.service.name}-{number}")).run()
    backends.close()
    if not verdict.clean or verdict.emissions < verdict.inputs:
        raise RuntimeError(f"not verified: {verdict}")


def _compared(sandbox: Sandbox) -> None:
    backends = sandbox.scratch()
    emissions = Emissions(sandbox.service, sandbox.codec(), backends, sandbox.log)
    for number in range(sandbox.partitions):
        with sandbox.redoing(number) as (rebuild, _):
            for page, _, outputs in rebuild.run():
                emissions.published(Place(number, page.checkpoint), outputs)
    if next(emissions.compare(), None) is not None:
        raise RuntimeError("the events differ")
    backends.close()


def _shadowed(sandbox: Sandbox) -> None:
    report = Shadow(sandbox, served(sandbox.service)).run()
    if not report.clean or report.emissions < report.inputs:
        raise RuntimeError(f"not the same: {report}")


def _points(sandbox: Sandbox, log: Log) -> Iterator[float]:
    """Seconds until the state at each of some inputs is at hand."""
    dice = Random(7)
    for _ in range(POINTS):
        place = TopicPartition(SOURCE, dice.randrange(PARTITIONS))
        point = Position(*place, dice.randrange(log.ends([place])[place]))
        began = perf_counter()
        with Past(sandbox, place.partition).at(point):
            yield perf_counter() - began


if __name__ == "__main__":
    held_to_one_core()
    print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
