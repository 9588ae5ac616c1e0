"""A process whose disk is full: files may not grow beyond a limit (RLIMIT_FSIZE), as with no room left.

python -m tests.badinput.actor log   DIR    the service on an embedded log that may not grow: says how it ended
python -m tests.badinput.actor state DIR    on a memory log, its stores may not grow; then they may: says both
"""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

from choreo.clock import Clock, SystemClock
from choreo.errors import DiskFullError
from choreo.events.registry import DirectoryRegistry, MemoryRegistry, Registry
from choreo.log.embedded import EmbeddedLog
from choreo.log.interface import Log
from choreo.log.memory import MemoryLog
from choreo.replay.verify import verify
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import create_topics
from choreo.runtime.worker import Worker
from choreo.state.rocks import RocksBackends
from tests.badinput.post import caught_up, parcels, post, sorted_parcels, step_until

COUNT = 4_000
PARTITIONS = 2
OPTIONS = RunOptions(start_from="earliest", checkpoint_records=200, batch_records=200)
CLOCK: Clock = SystemClock()
_, HARD = resource.getrlimit(resource.RLIMIT_FSIZE)


def many() -> list[str]:
    """Numbers of parcels, long ones."""
    return [f"{number}-{'x' * 200}" for number in range(COUNT)]


def limit(size: int) -> None:
    """No file may grow beyond this; those that are larger stay as they are."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, HARD))


def life(log: Log, registry: Registry, directory: Path, done: Callable[[Worker], bool]) -> DiskFullError | None:
    """One life of the service, until it is done or says that there is no room."""
    backends = RocksBackends(directory / "state")
    worker = Worker(post, Site(log, registry, backends, CLOCK), OPTIONS)
    try:
        worker.start()
        step_until(worker, lambda: done(worker), CLOCK)
        worker.stop()
    except DiskFullError as error:
        worker.abandon()
        return error
    finally:
        backends.close()
    return None


def ran_dry(worker: Worker) -> bool:
    """Never: this life ends by an error."""
    return False


def full_log(directory: Path) -> None:
    registry = DirectoryRegistry(directory / "schemas")
    with EmbeddedLog(directory / "log") as log:
        create_topics(log, [plan_of(post)], PARTITIONS)
        log.append(parcels(log, registry, *many()))
        limit(2_500_000)
        error = life(log, registry, directory, ran_dry)
        limit(HARD)
        print(json.dumps({"error": str(error), "before": sorted_parcels(log, registry).total()}))


def full_state(directory: Path) -> None:
    log, registry = MemoryLog(CLOCK), MemoryRegistry()
    create_topics(log, [plan_of(post)], PARTITIONS)
    log.append(parcels(log, registry, *many()))
    limit(400_000)
    error = life(log, registry, directory, ran_dry)
    before = sorted_parcels(log, registry).total()
    limit(HARD)
    log.append(parcels(log, registry, *many()))
    again = life(log, registry, directory, lambda worker: caught_up(log))
    found = sorted_parcels(log, registry)
    exact = found == {(number, times): 1 for number in many() for times in (1, 2)}
    backends = RocksBackends(directory / "state")
    clean = verify(post, log, registry, lambda number: backends.open(f"post-{number}")).clean
    backends.close()
    said = {"error": str(error), "before": before, "again": again, "exact": exact, "clean": clean}
    print(json.dumps(said, default=str))


if __name__ == "__main__":
    {"log": full_log, "state": full_state}[sys.argv[1]](Path(sys.argv[2]))
