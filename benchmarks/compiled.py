"""The compiled wheel of this checkout (hatch_build.py), unpacked where a benchmark's process finds it first."""

import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

from benchmarks.machine import ROOT, SkippedError, python_environment, say
from choreo.state.lock import DirectoryLock

PLACE = ROOT / ".choreo" / "bench-compiled"
LONGEST_S = 900.0
"""So long somebody else's compiling is waited for."""


def compiled_environment() -> dict[str, str]:
    """As `python_environment`, for a process that uses the compiled wheel. Raises SkippedError as `compiled_site`."""
    paths = os.pathsep.join([str(compiled_site()), str(ROOT)])
    return python_environment() | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}  # else the current directory comes first


def compiled_site() -> Path:
    """A directory with Choreo compiled from the sources as they are, built anew where they have changed.

    Of several processes that need it one builds it, and the others wait. Raises SkippedError where nothing can be
    compiled.
    """
    site = PLACE / _digest()
    with closing(DirectoryLock(PLACE.with_suffix(".lock"), LONGEST_S)):
        _build(site)
    return site


def _build(site: Path) -> None:
    if not site.is_dir():
        say(f"compiling Choreo into {PLACE}: one to two minutes")
        shutil.rmtree(PLACE, ignore_errors=True)
        wheels, unpacked = PLACE / "wheels", PLACE / "unpacked"
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
        done = subprocess.run(
            command, cwd=ROOT, env=os.environ | {"CHOREO_COMPILED": "1"}, capture_output=True, text=True, check=False
        )
        if done.returncode:
            needed = "hatchling, the COMPILERS of hatch_build.py and a C compiler make one"
            raise SkippedError(f"no compiled wheel ({needed}): {done.stderr[-600:]}")
        with zipfile.ZipFile(next(wheels.glob("choreo-*.whl"))) as wheel:
            wheel.extractall(unpacked)
        unpacked.rename(site)


def _digest() -> str:
    """Of everything that a wheel is made from, and of the Python that it is made for."""
    found = hashlib.blake2b(sys.version.encode(), digest_size=8)
    for path in sorted([*(ROOT / "choreo").rglob("*.py"), ROOT / "pyproject.toml", ROOT / "hatch_build.py"]):
        found.update(path.read_bytes())
    return found.hexdigest()
