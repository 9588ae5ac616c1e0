"""Peak memory of the commands that read the log again, each a process of its own: at N events and at four times N.

What is flat has about the same peak at both. Where a command prints a table or a bar, it prints them into a file.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from benchmarks import clerk
from benchmarks.figure import Baseline, Figure, Size
from benchmarks.machine import HERE, SkippedError, python_environment, scratch
from choreo.clock import SystemClock
from choreo.events.codec import Codec
from choreo.events.envelope import Ids, derive_id
from choreo.events.registry import DirectoryRegistry
from choreo.log.embedded import EmbeddedLog
from choreo.log.interface import TopicSpec
from choreo.record import NewRecord

FULL, QUICK = Size(200_000), Size(400)
SMALLER = 4
"""The baseline of each figure is the same command on the log of so many times fewer events."""
NAMES_IN = 4
"""One name, and so one entry, for so many events."""
PARTITIONS, BATCH = 4, 5_000
SETTINGS = """\
[project]
services = ["clerk"]

[log]
url = "embedded:log"

[registry]
url = "dir:registry"

[run]
state_dir = "state"
start_from = "earliest"
"""
WHY = ("--why", "measured", "--yes")
COMMANDS = {
    "run": ("run", "--until-idle"),
    "verify": ("replay", "verify"),
    "state": ("replay", "state", "clerk"),
    "state_diff": ("replay", "state", "clerk", "--diff", "2020-01-01", "2100-01-01"),
    "state_step": ("replay", "state", "clerk", "--step"),
    "shadow": ("replay", "shadow", "clerk", "--code", "same"),
    "trace": ("trace", "name-1"),
    "letters": ("dead-letters", "list"),
    "archive": ("archives", "write", "--to", "archive"),
    "rebuild": ("replay", "rebuild", "clerk", *WHY),
    "emit": ("replay", "emit", "answered", "--to", "copies", *WHY),
    "redrive": ("dead-letters", "redrive", "--service", "clerk", *WHY),
}
"""What is measured, in an order in which nothing stands in the way of what follows."""


def figures(size: Size) -> Iterator[Figure]:
    """`footprint.COMMAND` (MB) at N events, against the same at a quarter of them."""
    if not Path("/proc/self/status").exists():
        raise SkippedError("the peak of a process is read from /proc, which is not here")
    with scratch() as place:
        small = _peaks(place / "small", size.count // SMALLER)
        for name, (peak, took_s) in _peaks(place / "large", size.count).items():
            baseline = Baseline(f"at {size.count // SMALLER:,} events", small[name][0])
            terms = {"n": size.count, "names": size.count // NAMES_IN, "seconds": round(took_s, 1)}
            yield Figure(f"footprint.{name}", peak, "MB", baseline, terms)


def _peaks(place: Path, count: int) -> dict[str, tuple[float, float]]:
    """The peak of each command (MB) and how long it took (s), on a log of so many events."""
    place.mkdir()
    (place / "choreo.toml").write_text(SETTINGS, encoding="utf-8")
    for folder in (place, place / "same"):
        folder.mkdir(exist_ok=True)
        shutil.copy(HERE / "clerk.py", folder / "clerk.py")
    _ask(place, count)
    return {name: _peak(place, command) for name, command in COMMANDS.items()}


def _ask(place: Path, count: int) -> None:
    """Put so many questions on a new log."""
    registry = DirectoryRegistry(place / "registry")
    with EmbeddedLog(place / "log") as log:
        log.create_topics([TopicSpec(clerk.Asked.contract.topic, PARTITIONS), TopicSpec("copies", PARTITIONS)])
        codec = Codec(registry, (), log.cluster_id())
        records = _questions(codec, count)
        while batch := list(islice(records, BATCH)):
            log.append(batch)


def _questions(codec: Codec, count: int) -> Iterator[NewRecord]:
    names = max(count // NAMES_IN, 1)
    for number in range(count):
        name = f"name-{number % names}"
        event = clerk.Asked(name=name, number=number, words=f"what about {number * 7919 % 1_000_003}? " * 4)
        ids = Ids(derive_id(bytes(16), "bench", name, number), name, at=SystemClock().now())
        yield codec.encode(event, ids)


def _peak(place: Path, command: Sequence[str]) -> tuple[float, float]:
    """Run it. Raises RuntimeError with what it said where it does not end with 0."""
    kept, began = place / "peak", time.perf_counter()
    with (place / "said").open("wb") as said, (place / "complained").open("wb") as complained:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.peak", str(kept), *command],
            cwd=place,
            env=python_environment(),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=complained,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"choreo {' '.join(command)}: {(place / 'complained').read_text()[-2000:]}")
    return int(kept.read_text()) / 1024, time.perf_counter() - began
