"""Where the time of `events` goes: CPU microseconds an event by step.

py-spy samples the stacks of the counting program while it works through the topic, without stopping it for the GIL. The
share of a step in the samples of the working thread is scaled to the CPU that this thread used; what the other threads
(librdkafka, RocksDB) used is read from /proc by their names.
"""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figure import Figure, Size
from benchmarks.machine import HERE, SkippedError, broker, python_environment, say, scratch, until
from benchmarks.peers import VENV, load
from choreo.log.open import open_log
from choreo.record import TopicPartition

FULL, QUICK = Size(600_000), Size(10_000)
SAMPLES_S = 250
TOO_LONG_S = 600
TICK = os.sysconf("SC_CLK_TCK")
PY_SPY = "py-spy>=0.4"
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("commit", ("KafkaTransaction.commit", "KafkaTransaction.send_offsets", "KafkaWriter.begin")),
    ("produce", ("KafkaTransaction.append",)),
    ("store", ("RocksBackend.write",)),
    ("changelog", ("changelog_records", "Entries.take")),
    ("journal", ("Page.", "runtime/journal.py")),
    ("poll", ("KafkaMember.poll",)),
    ("ids in", ("Codec.ids", "foreign_ids")),
    ("decode", ("Codec.event_class", "Codec.event")),
    ("encode", ("Codec.encode", "Handlings._encode")),
    ("state", ("BoundStore.", "Entries.read", "Entries.apply")),
    ("handle", ("Count.handle",)),
    ("task", ("runtime/",)),
)
"""A sample belongs to the first step of which one of these stands in its stack: "function (file"."""
STARTED_SHARE, ENDED_SHARE = 0.1, 0.9
"""Between these parts of the topic the samples are taken: neither the start nor the end counts."""


def figures(size: Size) -> Iterator[Figure]:
    """`profile.STEP` for each step, `profile.THREADS` for the clients' own threads, and `profile.total`."""
    spy = _py_spy()
    with broker() as bootstrap, scratch() as place:
        topic = f"{place.name}-orders"
        load(bootstrap, topic, size.count)
        used, samples, handled = _sampled(spy, bootstrap, topic, size.count, place)
    terms = {"n": size.count, "sampled_events": handled}
    total = sum(samples.values())
    working = used.pop("python")
    tick_us = 1e6 / TICK / handled
    for step in (*(name for name, _ in STEPS), "other"):
        share = samples[step] / max(total, 1)
        yield Figure(f"profile.{step}", working * share * tick_us, "us/event", terms=terms)
    for thread, cpu in used.items():
        yield Figure(f"profile.threads.{thread}", cpu * tick_us, "us/event", terms=terms)
    yield Figure("profile.total", (working + sum(used.values())) * tick_us, "us/event", terms=terms)


def _sampled(spy: Path, bootstrap: str, topic: str, count: int, place: Path) -> tuple[Counter[str], Counter[str], int]:
    """CPU ticks by thread, samples by step, and how many events were handled meanwhile."""
    group, target = f"choreo.profile-{place.name}", f"{place.name}-out"
    with open_log(f"kafka://{bootstrap}") as log, (place / "program.log").open("wb") as said:
        inputs = [TopicPartition(topic, number) for number in range(log.topics()[topic].partitions)]

        def done() -> int:
            return sum(offset or 0 for offset in log.committed(group, inputs).values())

        record = [str(spy), "record", "--nonblocking", "-f", "raw", "-r", str(SAMPLES_S), "-d", str(TOO_LONG_S)]
        command = [sys.executable, str(HERE / "kill_program.py"), topic, target, group]
        environment = python_environment(BROKER=bootstrap, TMPDIR=str(place))
        program = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        try:
            until("the program", lambda: _alive(program) and done() > count * STARTED_SHARE, TOO_LONG_S)
            stacks = place / "stacks"
            before, first = _threads(program.pid), done()
            recorder = subprocess.Popen([*record, "-p", str(program.pid), "-o", str(stacks)], stdout=said, stderr=said)
            until("the program", lambda: _alive(program) and done() > count * ENDED_SHARE, TOO_LONG_S)
            used, last = _threads(program.pid) - before, done()
            recorder.send_signal(signal.SIGINT)  # which makes it write down what it has
            recorder.wait(60)
        finally:
            program.terminate()
            program.wait(60)
    if not stacks.is_file():
        raise SkippedError(f"py-spy may not look at another process here: {(place / 'program.log').read_text()[-300:]}")
    return used, by_step(stacks.read_text()), last - first


def by_step(stacks: str) -> Counter[str]:
    """Samples of the working thread by step; each line is `frame;frame;... count`."""
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        if "run_worker" in stack:
            found[_step(stack)] += int(count)
    return found


def _step(stack: str) -> str:
    return next((name for name, signs in STEPS if any(sign in stack for sign in signs)), "other")


def _threads(process: int) -> Counter[str]:
    """CPU ticks by thread: Python's, librdkafka's, RocksDB's."""
    used: Counter[str] = Counter()
    for task in Path(f"/proc/{process}/task").iterdir():
        name, _, rest = (task / "stat").read_text().partition("(")[2].rpartition(")")
        fields = rest.split()
        kind = "librdkafka" if name.startswith("rdk") else "rocksdb" if name.startswith("rocksdb") else "python"
        used[kind] += int(fields[11]) + int(fields[12])
    return used


def _alive(program: "subprocess.Popen[bytes]") -> bool:
    if program.poll() is not None:
        raise RuntimeError(f"the counting program ended with {program.returncode}")
    return True


def _py_spy() -> Path:
    """The sampler, installed beside the peers at the first call. Raises SkippedError."""
    found = VENV / "bin" / "py-spy"
    if not found.is_file():
        say(f"installing {PY_SPY} into {VENV}")
        for command in (
            [sys.executable, "-m", "venv", str(VENV)],
            [str(VENV / "bin" / "python"), "-m", "pip", "-q", "install", PY_SPY],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SkippedError(f"no py-spy: {(done.stdout + done.stderr)[-400:]}")
    return found
