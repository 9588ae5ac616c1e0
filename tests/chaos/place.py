"""Where a chaos run takes place: a project directory of its own with the sample shop in it, and its commands."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreo.events.registry import DirectoryRegistry

ROOT = Path(__file__).parents[2]
SERVICES = ("orders", "inventory", "payments", "shipping", "notifications", "world")
SHOP = tuple(f"services.shop.{name}" for name in SERVICES)
SETTINGS = """\
[project]
services = [{services}]

[log]
url = "{log}"

[registry]
url = "dir:registry"

[run]
state_dir = "state"
start_from = "earliest"

[kafka]
"linger.ms" = 0  # records are on the broker before the next fault point: a death there leaves them undecided
"""


@dataclass(frozen=True)
class Place:
    """A project directory whose choreo.toml names the shop, the log and where stores and schemas lie."""

    directory: Path
    log_url: str

    @classmethod
    def make(cls, directory: Path, log_url: str, services: Sequence[str] = SHOP) -> "Place":
        """Set it up; the services are those of this checkout."""
        directory.mkdir(parents=True, exist_ok=True)
        for part in ("services", "saga_specs"):
            (directory / part).symlink_to(ROOT / part, target_is_directory=True)
        named = ", ".join(f'"{name}"' for name in services)
        (directory / "choreo.toml").write_text(SETTINGS.format(services=named, log=log_url))
        return cls(directory, log_url)

    @property
    def registry(self) -> DirectoryRegistry:
        return DirectoryRegistry(self.directory / "registry")

    @property
    def state(self) -> Path:
        return self.directory / "state"

    @property
    def log_directory(self) -> Path:
        """Where an embedded log lies."""
        return Path(self.log_url.removeprefix("embedded:"))

    def ask(self, *arguments: str, code: int = 0, timeout_s: float = 300) -> list[dict[str, Any]]:
        """What a listing of `choreo` shows: one object a line. The command must end with `code`."""
        return [json.loads(line) for line in self.output(*arguments, code=code, timeout_s=timeout_s).splitlines()]

    def output(self, *arguments: str, code: int = 0, timeout_s: float = 300) -> str:
        """What a command of `choreo` prints with --json. It must end with `code`."""
        command = [sys.executable, "-m", "choreo", *arguments, "--log", self.log_url, "--json"]
        options: dict[str, Any] = {"cwd": self.directory, "env": environment(), "timeout": timeout_s}
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
        assert done.returncode == code, f"choreo {arguments} ended with {done.returncode}:\n{done.stderr[-4000:]}"
        return str(done.stdout)


def environment(fault: str = "") -> dict[str, str]:
    """Nothing of the caller's own settings; `fault` is PLACE:N."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHOREO_")}
    return kept | {"PYTHONPATH": str(ROOT), "PYTHONFAULTHANDLER": "1"} | ({"CHOREO_FAULT": fault} if fault else {})


class Life:
    """One process of `choreo run`, from its start to its end. Its stderr goes to a file that later lives share."""

    def __init__(self, place: Place, arguments: tuple[str, ...], name: str, fault: str = "") -> None:
        self.fault = fault
        self._path = place.directory / f"{name}.log"
        command = [sys.executable, "-m", "choreo", "run", *arguments]
        with self._path.open("ab") as out:
            self._began = out.tell()
            self.process = subprocess.Popen(
                command, cwd=place.directory, env=environment(fault), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def died_of_fault(self) -> bool:
        """Whether it was killed at its fault point, and said so before."""
        last_words = f"fault {self.fault.partition(':')[0]}: kill -9 {self.process.pid}"
        return bool(self.fault) and self.process.poll() == -signal.SIGKILL and last_words in self.said().splitlines()

    @property
    def running(self) -> bool:
        """Whether it has said that it runs."""
        return "running " in self.said()

    def said(self) -> str:
        """What it wrote."""
        with self._path.open("rb") as file:
            file.seek(self._began)
            return file.read().decode("utf-8", "replace")

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stacks(self) -> str:
        """End it, and hear where each of its threads stood."""
        before = len(self.said())
        self.process.send_signal(signal.SIGABRT)
        self.process.wait()
        return self.said()[before:]

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        self.process.terminate()

    def wait(self, timeout_s: float = 40) -> int:
        """Its exit code."""
        return self.process.wait(timeout_s)
