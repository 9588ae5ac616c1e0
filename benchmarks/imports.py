"""What it costs to begin: CPU milliseconds of a fresh process, bytecode at hand."""

import json
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.figure import Baseline, Figure, Size, percentile
from benchmarks.machine import python_environment, scratch

FULL, QUICK = Size(15), Size(2)
FIRST_CLASS = """
from choreo import Event
class OrderPlaced(Event, namespace="shop", topic="orders", key="order_id"):
    order_id: str
    total: int
"""
STARTS = {
    "imports.choreo": ("import choreo", 150),
    "imports.first_class": (FIRST_CLASS, 700),
    "imports.help": ("import sys; sys.argv = ['choreo', '--help']; from choreo.cli.main import main; main()", 250),
}
"""Code of each figure, and the milliseconds that it may take."""
_USED = "import json, resource, sys; r = resource.getrusage(resource.RUSAGE_SELF); " + (
    "print(json.dumps(r.ru_utime + r.ru_stime), file=sys.stderr)"
)


def figures(size: Size) -> Iterator[Figure]:
    """`imports.choreo`, `imports.first_class` and `imports.help`: the median of whole processes, Python's start
    included; the baseline is a process that does nothing.
    """
    bare = percentile([_cpu_ms("") for _ in range(size.count)], 0.5)
    for name, (code, limit) in STARTS.items():
        _cpu_ms(code)  # leaves the bytecode behind
        used = percentile([_cpu_ms(code) for _ in range(size.count)], 0.5)
        baseline = Baseline("python -c ''", bare)
        yield Figure(name, used, "ms", baseline, {"n": size.count, "limit_ms": limit})


def _cpu_ms(code: str) -> float:
    """CPU milliseconds of a process that runs this and ends."""
    with scratch() as place:  # no project is found there
        program = f"import atexit; atexit.register(lambda: exec({_USED!r}))\n{code}\n"
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, cwd=place, env=python_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{code!r} ended with {done.returncode}: {done.stderr[-500:]}")
    return float(json.loads(done.stderr.strip().splitlines()[-1])) * 1000
