"""A program in Java beside Choreo: Peer.java, compiled into a temporary directory: Java's Kafka client and Avro."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.java import NotHereError, java
from tests.kafka.broker import LEAST_JAVA, jars

HERE = Path(__file__).parent
QUIET = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
TIMEOUT_S = 90


class NoPeerError(Exception):
    """No Java compiler, or no jars, can be had on this machine; the text says what was tried."""


class Peer:
    """Peer.java, compiled."""

    def __init__(self, classes: Path) -> None:
        try:
            self._path = f"{classes}:{avro()}/*:{jars()}/*"
            self._java = java(LEAST_JAVA)
        except NotHereError as error:
            raise NoPeerError(str(error)) from error
        beside = Path(self._java).resolve().with_name("javac")
        compiler = str(beside) if beside.exists() else shutil.which("javac")
        if compiler is None:
            raise NoPeerError("there is a Java, but no javac")
        _run([compiler, "-nowarn", "-d", str(classes), "-cp", self._path, str(HERE / "Peer.java")])

    def ask(self, *arguments: object, lines: Iterable[str] = ()) -> list[str]:
        """Run it with these arguments and lines of input; answers its lines. Raises AssertionError where it fails."""
        command = [self._java, *QUIET, "-cp", self._path, "Peer", *map(str, arguments)]
        return _run(command, "\n".join(lines)).splitlines()


def avro() -> Path:
    """The directory of Avro's jar; fetched once with Maven into the user's cache, beside Kafka's."""
    found = re.search(r"<avro\.version>(.+)</avro\.version>", (HERE / "pom.xml").read_text())
    assert found
    home = jars().parent / f"avro-{found[1]}"
    if home.is_dir():
        return home
    maven = shutil.which("mvn")
    if maven is None:
        raise NoPeerError(f"no Avro in {home}, and no mvn to fetch it from Maven Central")
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="fetching-") as fetching:
        goal = ["dependency:copy-dependencies", "-DexcludeTransitive=true", f"-DoutputDirectory={fetching}/jars"]
        command = [maven, "-q", "-B", "-f", str(HERE / "pom.xml"), *goal]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        if done.returncode:
            raise NoPeerError(f"mvn could not fetch Avro {found[1]}: {(done.stdout + done.stderr)[-400:]}")
        try:
            Path(fetching, "jars").rename(home)
        except OSError:
            if not home.is_dir():  # else another process was quicker
                raise
    return home


def _run(command: list[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
