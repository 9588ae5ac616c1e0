"""Threads of one process share one arena of glibc's heap, unless the environment says otherwise."""

import os
import subprocess
import sys

import pytest

ARENAS = """
import ctypes, threading
from choreo.runtime.heap import share_one_arena
if {wanted}:
    share_one_arena()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
together = threading.Barrier(4)
def take():
    together.wait()
    for _ in range(2000):
        libc.malloc(1000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def arenas(*, wanted: bool, **said: str) -> int:
    env = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"} | said
    code = ARENAS.format(wanted=wanted)
    told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=60)
    return told.stdout.count("<heap nr=")


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are glibc's")
def test_threads_share_one_arena() -> None:
    assert arenas(wanted=False) > 1
    assert arenas(wanted=True) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="arenas are glibc's")
def test_the_environment_goes_first() -> None:
    assert arenas(wanted=True, MALLOC_ARENA_MAX="3") > 1
