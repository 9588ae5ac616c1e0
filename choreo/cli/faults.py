"""Planted crashes for chaos runs: CHOREO_FAULT="PLACE:N" kills this process the N-th time it reaches PLACE."""

import os
import signal
import sys
from collections.abc import Mapping

from choreo.errors import ConfigError
from choreo.runtime.options import FaultPoint, no_faults

VARIABLE = "CHOREO_FAULT"
KILLED = 137
"""The exit code where nothing but the process itself can end it: what a shell says of a kill -9."""


def fault_point(environment: Mapping[str, str]) -> FaultPoint:
    """What the runtime tells the names of its places to. Without the variable it does nothing. Raises ConfigError."""
    wanted = environment.get(VARIABLE, "")
    if not wanted:
        return no_faults
    place, _, count = wanted.partition(":")
    if not count.isdecimal() or int(count) < 1:
        raise ConfigError(f"{VARIABLE}={wanted} is not PLACE:N", hint=f"{VARIABLE}=checkpoint.appended:3")
    left = int(count)

    def reach(name: str) -> None:
        nonlocal left
        if name == place:
            left -= 1
            if left == 0:
                sys.stderr.write(f"fault {place}: kill -9 {os.getpid()}\n")
                sys.stderr.flush()
                if hasattr(signal, "SIGKILL"):
                    os.kill(os.getpid(), signal.SIGKILL)
                os._exit(KILLED)  # Windows has no SIGKILL; a signal that `choreo run` drains on would be no crash

    return reach
