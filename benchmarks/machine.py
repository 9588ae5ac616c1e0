"""What a figure runs on: a broker, a project in a directory of its own, processes and what they use."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from choreo.log.interface import Log, TopicSpec
from choreo.log.open import open_log
from choreo.record import TopicPartition
from tests.java import NotHereError
from tests.kafka.broker import JVM, any_broker

HERE = Path(__file__).parent
ROOT = HERE.parent
LOOK_EVERY_S = 0.05
STARTED_WITHIN_S = 60.0
STOPPED_WITHIN_S = 40.0
ALL_TIERS = tuple(option for option in JVM if "Tiered" not in option)
"""The tests' broker stops at the first compiler, to be there soon; one that is measured compiles as by default."""
_LISTENS = "0A"
_TICK = os.sysconf("SC_CLK_TCK")


class SkippedError(Exception):
    """This figure can't be measured here; the text says what is missing."""


def say(text: str) -> None:
    """Tell the person at the console; standard output holds figures only."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def broker() -> Iterator[str]:
    """The address of a Kafka: KAFKA_BOOTSTRAP, or one that lives as long as the block. Raises SkippedError."""
    given = os.environ.get("KAFKA_BOOTSTRAP")
    if given:
        yield given
        return
    try:
        started = any_broker(ALL_TIERS)
    except NotHereError as error:
        raise SkippedError(f"no Kafka: {error}") from error
    try:
        _wake(started.bootstrap)
        yield started.bootstrap
    finally:
        started.__exit__()


def _wake(bootstrap: str) -> None:
    """Have a new broker make its own topics: a peer that is the first to ask may wait a minute for them, or give up."""
    name = TopicPartition("bench.wake", 0)
    with open_log(f"kafka://{bootstrap}") as log:
        log.create_topics([TopicSpec(name.topic, 1)])
        log.committed(name.topic, [name])
        log.writer(name.topic).close()


@contextmanager
def scratch(prefix: str = "choreo-bench-") -> Iterator[Path]:
    """A directory that is gone afterwards."""
    made = Path(tempfile.mkdtemp(prefix=prefix))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def dead_letter_ends(log: Log) -> dict[TopicPartition, int]:
    """The end of each partition that holds dead letters, of every service on this log."""
    topics = [topic for name, topic in log.topics().items() if name.endswith(".dead-letters")]
    return log.ends([TopicPartition(topic.name, number) for topic in topics for number in range(topic.partitions)])


def refuse_dead_letters(log: Log, before: Mapping[TopicPartition, int]) -> None:
    """Raise RuntimeError where any came since `before`: what was refused is quick, and says nothing of the others.

    A broker may be shared: what lies there from others, and from earlier runs, is none of this figure's.
    """
    new = {place.topic for place, end in dead_letter_ends(log).items() if end > before.get(place, 0)}
    if new:
        raise RuntimeError(f"some of the workload became dead letters: {', '.join(sorted(new))}")


def python_environment(**more: str) -> dict[str, str]:
    """For a Python process: this checkout comes first, and no setting of the caller's reaches it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHOREO_")}
    return kept | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])} | more


def until(what: str, holds: Callable[[], bool], within_s: float = STARTED_WITHIN_S) -> None:
    """Wait for something that other processes do. Raises TimeoutError, which says what."""
    deadline = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        time.sleep(LOOK_EVERY_S)


@contextmanager
def services(project: Path, log_url: str, commands: Sequence[Sequence[str]]) -> Iterator[list[subprocess.Popen[bytes]]]:
    """`choreo run TARGET...` in `project`, a process for each; all of them work before the block begins."""
    with ExitStack() as opened:
        running, outputs = [], []
        for number, targets in enumerate(commands):
            output = project / f"process-{number}.log"
            said = opened.enter_context(output.open("wb"))
            command = [sys.executable, "-m", "choreo", "run", *targets, "--log", log_url, "--start-from", "earliest"]
            process = subprocess.Popen(command, cwd=project, env=python_environment(), stdout=said, stderr=said)
            opened.callback(_stop, process)
            running.append(process)
            outputs.append(output)
            # one after the other: the first makes the topics that the next would make at the same time
            until(f"{' '.join(targets)} in {output}", lambda: "running " in _said(running, outputs))
        yield running


def _said(running: Sequence["subprocess.Popen[bytes]"], outputs: Sequence[Path]) -> str:
    """What the last of these processes said. Raises RuntimeError where one has ended."""
    for process, output in zip(running, outputs, strict=True):
        if process.poll() is not None:
            raise RuntimeError(f"a process of the figure ended with {process.returncode}: {output.read_text()[-2000:]}")
    return outputs[-1].read_text()


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_s(process: int) -> float:
    """CPU seconds that a process has used, all its threads together."""
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def listening(port: int) -> int | None:
    """The process of this machine that listens on a TCP port; None where there is none that may be looked at."""
    tables = (
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    )
    sockets = {
        f"socket:[{row[9]}]" for row in tables if row[3] == _LISTENS and int(row[1].rpartition(":")[2], 16) == port
    }
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(os.readlink(file) in sockets for file in (process / "fd").iterdir()):
                return int(process.name)
    return None


def rss_mb(process: int) -> float:
    """Memory of a process that lies in RAM (MB)."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {process} has no memory: it has ended")
