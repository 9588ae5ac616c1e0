"""The peers' side of `events`: ../shared/bench run in place, and a virtual environment of the bench runner's own."""

import glob
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import NamedTuple

from benchmarks.machine import ROOT, SkippedError, dead_letter_ends, python_environment, refuse_dead_letters, say
from choreo.log.open import open_log

SHARED = Path(os.environ.get("CHOREO_PEERS") or ROOT.parent / "shared" / "bench")
VENV = Path(os.environ.get("CHOREO_BENCH_VENV") or ROOT / ".choreo" / "bench-venv")
QUIX = ("quixstreams==3.28.0", "fastavro>=1.12")
LIMIT_S = 600
LEAVINGS = ("/tmp/state-quix-*", "/tmp/choreo-kill-*")
"""State directories that the programs leave behind; their names hold a group of this run."""


class Peer(NamedTuple):
    """A program that works through the topic, and how often it commits. `command` has places {src} {dst} {group}."""

    name: str
    command: tuple[str, ...]
    commit_ms: float
    environment: tuple[tuple[str, str], ...] = ()


class Outcome(NamedTuple):
    """What one peer did in one run."""

    events_s: float
    cpu_us: float
    """CPU microseconds an event, the client's own threads included."""
    rss_mb: float


def shared(name: str) -> Path:
    """A file of the peers' folder. Raises SkippedError where the folder is absent."""
    found = SHARED / name
    if not found.is_file():
        raise SkippedError(f"{found} is not here: the peers' programs lie beside the checkout, or in $CHOREO_PEERS")
    return found


def quix_python() -> Path:
    """The Python that has Quix Streams, made at the first call. Raises SkippedError where it can't be installed."""
    python = VENV / "bin" / "python"
    if not has_quix():
        say(f"installing {QUIX[0]} into {VENV}")
        VENV.parent.mkdir(parents=True, exist_ok=True)
        for command in ([sys.executable, "-m", "venv", str(VENV)], [str(python), "-m", "pip", "-q", "install", *QUIX]):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SkippedError(f"no Quix Streams: {' '.join(command)}: {(done.stdout + done.stderr)[-400:]}")
    return python


def load(bootstrap: str, topic: str, count: int) -> None:
    """Fill the topic with the workload's orders."""
    command = [sys.executable, str(shared("load.py")), topic, str(count)]
    subprocess.run(command, env=_environment(bootstrap), stdout=subprocess.DEVNULL, check=True)


def run(peer: Peer, bootstrap: str, topic: str, count: int, place: Path) -> Outcome:
    """One peer from the beginning of the topic to its end. Raises RuntimeError where it does not get there."""
    before = {found for pattern in LEAVINGS for found in glob.glob(pattern)}
    command = [sys.executable, str(shared("peer.py")), peer.name, topic, str(count), "--", *peer.command]
    environment = _environment(bootstrap) | {"LOGS": str(place), "LIMIT": str(LIMIT_S), "TMPDIR": str(place)}
    with open_log(f"kafka://{bootstrap}") as log:
        refused_before = dead_letter_ends(log)
    done = subprocess.run(command, env=environment | dict(peer.environment), stdout=subprocess.PIPE, check=True)
    for found in {found for pattern in LEAVINGS for found in glob.glob(pattern)} - before:
        shutil.rmtree(found, ignore_errors=True)
    told = json.loads(done.stdout)
    if told["done"] < count:
        said = (place / f"{peer.name}.log").read_text()[-1500:]
        raise RuntimeError(f"{peer.name} did not get through: {told}\n{said}")
    with open_log(f"kafka://{bootstrap}") as log:
        refuse_dead_letters(log, refused_before)
    # one that was through before its second commit has no rate of its own: its start counts, too
    return Outcome(told.get("rate", told["done"] / told["total_s"]), told.get("cpu_us", nan), told.get("rss_mb", nan))


def _environment(bootstrap: str) -> dict[str, str]:
    return python_environment(BROKER=bootstrap)


def has_quix() -> bool:
    """Whether Quix Streams is installed already."""
    python = VENV / "bin" / "python"
    command: Sequence[str] = [str(python), "-c", "import quixstreams"]
    return python.exists() and subprocess.run(command, capture_output=True, check=False).returncode == 0
