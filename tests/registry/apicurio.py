"""A real Apicurio Registry for the tests: one process on loopback, its storage in memory."""

import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from tests.java import NotHereError, fetched, java
from tests.kafka.broker import die_with_parent, free_ports

ARTIFACT, VERSION = "io.apicurio:apicurio-registry-app", "3.3.3"
API = "/apis/ccompat/v7"
LEAST_JAVA = 21
START_TIMEOUT_S = 90.0
JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def application() -> Path:
    """The directory of the unpacked application; fetched once with Maven into the user's cache."""

    def goal(place: Path) -> list[str]:
        return ["dependency:copy", f"-Dartifact={ARTIFACT}:{VERSION}:tar.gz:all", f"-DoutputDirectory={place}"]

    return fetched(f"apicurio-registry-{VERSION}", goal, _unpacked)


def _unpacked(place: Path) -> Path:
    (packed,) = place.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(place / "application", filter="data")
    return place / "application"


class Apicurio:
    """One registry as a child process; empty when it starts, forgotten when it ends."""

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="choreo-registry-"))
        self._port, self._management = free_ports(2)
        self.url = f"http://127.0.0.1:{self._port}{API}"
        self._process: subprocess.Popen[bytes] | None = None
        # Linux takes the thread that started a process for its parent, so that thread has to live as long.
        self._spawner = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._spawner.shutdown()
        shutil.rmtree(self._home, ignore_errors=True)

    def _start(self) -> None:
        listening = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self._port,
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": self._management,
        }
        settings = [f"-D{name}={value}" for name, value in listening.items()]
        command = [java(LEAST_JAVA), *JVM, *settings, "-jar", str(application() / "quarkus-run.jar")]
        with (self._home / "registry.log").open("wb") as out:
            self._process = self._spawner.submit(
                subprocess.Popen,
                command,
                cwd=self._home,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                preexec_fn=die_with_parent,
            ).result()
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            if self._process.poll() is not None:
                raise NotHereError(f"Apicurio ended at once: {(self._home / 'registry.log').read_text()[-800:]}")
            try:
                with urllib.request.urlopen(f"{self.url}/subjects", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise NotHereError(f"Apicurio did not serve within {START_TIMEOUT_S:g} s")
