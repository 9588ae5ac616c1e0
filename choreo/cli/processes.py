"""`choreo run --workers N`: the same command N times, one process each, started and stopped together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from types import FrameType

from choreo.cli.news import say
from choreo.cli.project import Project
from choreo.errors import ConfigError
from choreo.telemetry.endpoint import LOOPBACK, Address, Endpoint
from choreo.telemetry.family import FamilyWatch

LOOK_EVERY_S = 0.2
KILL_AFTER_S = 5.0
"""This long after the drain deadline a child that still lives is killed."""


def require_kafka(project: Project, count: int) -> None:
    """Raises ConfigError for a log that one process owns."""
    if not project.config.log.url.startswith("kafka:"):
        raise ConfigError(
            f"--workers {count} needs Kafka",
            at=project.config.log.url,
            why="an embedded log belongs to one process",
            hint="--workers 1, or --log kafka://HOST:PORT",
        )


def health_of_children(health: Address, count: int) -> list[Address]:
    """Where each of `count` children serves its own health: on the ports behind that of all, for this machine only.

    Raises ConfigError where there are no such ports.
    """
    if not 0 < health.port <= 65_535 - count:
        raise ConfigError(
            f"--health {health} leaves no ports for {count} processes",
            why=f"port P serves all of them together, P+1 to P+{count} one each",
            hint=f"a port from 1 to {65_535 - count:,}",
        )
    return [Address(LOOPBACK, health.port + 1 + number) for number in range(count)]


def run_processes(project: Project, count: int, arguments: Sequence[str], health: Address | None = None) -> int:
    """Run `choreo ARGUMENTS --worker 0..N-1`. Ends when all have ended; one that fails stops the others.

    With `health` each child serves its own, and this process that of all. Answers the exit code of the first that
    failed.
    """
    children_health = health_of_children(health, count) if health is not None else []
    config = project.config
    environment = os.environ | {"CHOREO_LOG_URL": config.log.url, "CHOREO_REGISTRY_URL": config.registry_url()}
    environment["CHOREO_HEALTH_LISTEN"] = ""  # one address is for one process
    if config.profile:
        environment["CHOREO_PROFILE"] = config.profile
    chosen = ["--config", str(config.file)] if config.file else []
    verbose = ["-v"] if project.output.verbose else []
    command = [sys.executable, "-m", "choreo", *arguments, *chosen, *verbose]
    own = [["--worker", str(number)] for number in range(count)]
    for each, address in zip(own, children_health, strict=False):
        each += ["--health", str(address)]
    endpoint = Endpoint(health, FamilyWatch(children_health)) if health is not None else nullcontext()
    children = [subprocess.Popen([*command, *each], env=environment) for each in own]
    say(f"started {count} processes: {', '.join(str(child.pid) for child in children)}")
    with endpoint:
        return _Family(children, config.run.drain_s).wait()


class _Family:
    """Child processes that live and end together."""

    def __init__(self, children: Sequence["subprocess.Popen[bytes]"], drain_s: float) -> None:
        self._children = children
        self._drain_s = drain_s
        self._stopped_at: float | None = None

    def wait(self) -> int:
        before = {number: signal.signal(number, self._asked) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            return self._watch()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for child in self._children:
                if child.poll() is None:
                    child.kill()
                child.wait()

    def _asked(self, number: int, frame: FrameType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._stopped_at is None:
            self._stopped_at = time.monotonic()
            for child in self._children:
                if child.poll() is None:
                    child.terminate()

    def _watch(self) -> int:
        code = 0
        while any(child.poll() is None for child in self._children):
            failed = [child for child in self._children if child.poll() not in (None, 0)]
            if failed and not code:
                code = abs(failed[0].returncode)
                say(f"process {failed[0].pid} ended with {failed[0].returncode}: stopping the others")
                self._stop()
            if self._stopped_at is not None and time.monotonic() - self._stopped_at > self._drain_s + KILL_AFTER_S:
                break
            time.sleep(LOOK_EVERY_S)
        return code or next((abs(child.returncode) for child in self._children if child.returncode), 0)
