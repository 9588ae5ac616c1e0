"""How fast a store comes back from its changelog: keys a second into RocksDB, from Kafka and from the embedded log."""

from collections.abc import Iterator
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.figure import Figure, Size
from benchmarks.machine import broker, scratch
from choreo.log.interface import Log, TopicSpec
from choreo.log.open import open_log
from choreo.record import TopicPartition
from choreo.state.changelog import changelog_records
from choreo.state.meta import TaskMeta
from choreo.state.restore import Restore
from choreo.state.rocks import RocksBackends

FULL, QUICK = Size(1_000_000, repeats=3), Size(2_000)
CHANGELOG = TopicPartition("bench.changelog", 0)
META = TaskMeta("bench", "c", "t", 1, changelog_offset=0, checkpoint=0, last_now=0, written_at=0, build="b")
BATCH = 10_000
STEP = 20_000
"""Records that are restored between two looks at everything else, as `Opening` does it."""


def figures(size: Size) -> Iterator[Figure]:
    """`restore.kafka` and `restore.embedded`, the best of the repeats: keys of 22 bytes, values of 41."""
    with broker() as bootstrap, scratch() as place:
        yield from _from(f"kafka://{bootstrap}?prefix={place.name}", "kafka", place, size)
    with scratch() as place:
        yield from _from(f"embedded:{place / 'log'}", "embedded", place, size)


def _from(url: str, name: str, place: Path, size: Size) -> Iterator[Figure]:
    with open_log(url) as log:
        log.create_topics([TopicSpec(CHANGELOG.topic, 1)])
        for start in range(0, size.count, BATCH):
            keys = [b"\x01s\x00s%017d\x00" % number for number in range(start, min(start + BATCH, size.count))]
            log.append(changelog_records(*CHANGELOG, dict.fromkeys(keys, b"\x01" + b"v" * 40)))
        runs = [_restore(log, place / f"state-{number}", size.count) for number in range(size.repeats)]
    terms = {"n": size.count, "repeats": size.repeats}
    yield Figure(f"restore.{name}", max(rate for rate, _ in runs), "keys/s", terms=terms)
    yield Figure(f"restore.{name}.cpu", min(cpu for _, cpu in runs), "us/key", terms=terms)


def _restore(log: Log, place: Path, count: int) -> tuple[float, float]:
    """Keys a second, and CPU microseconds a key. Raises RuntimeError where one is missing afterwards."""
    backends = RocksBackends(place)
    backend = backends.open("task")
    began, cpu = perf_counter(), process_time()
    work = Restore(log, backend, CHANGELOG, META)
    while not work.step(STEP):
        pass
    lasted, used = perf_counter() - began, process_time() - cpu
    found = sum(1 for _ in backend.scan(b"\x01s\x00"))
    backends.close()
    if found != count:
        raise RuntimeError(f"{found:,} of {count:,} keys came back")
    return count / lasted, used / count * 1e6
