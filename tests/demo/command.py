"""The command line at work, in a process of its own."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any


def cpu_s() -> float:
    """Seconds of CPU that the commands have used until now."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def choreo(*words: str, cwd: Path, within_s: float, **environment: str) -> list[Any]:
    """Run a command; the JSON objects that it prints."""
    command = [sys.executable, "-m", "choreo", *words, "--json"]
    env = os.environ | environment
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=within_s, check=False)
    assert done.returncode == 0, done.stderr
    found, rest = [], done.stdout.strip()
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        found.append(value)
        rest = rest[end:].lstrip()
    return found
