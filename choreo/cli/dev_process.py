"""The process in which `choreo dev` runs a project once: a fresh interpreter, so that it has the code as it is now.

It is started ahead of time, for Choreo's own imports, and loads the project's code when it is told to begin. Two pipes
tie it to the one that started it: news come from it, and the end of the other, by whatever cause, ends it.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from multiprocessing.connection import Connection, wait
from time import monotonic

from choreo.cli.output import note
from choreo.cli.project import Asked

GRACE_S = 5.0
"""This long after the drain deadline a run that still lives is killed."""
JOIN_S = 0.1
NOT_DRAINED = 1


class News(Enum):
    """What a run tells of itself. LOADED: the code is sound, workers begin. RUNNING: all tasks are open."""

    LOADED = "loaded"
    RUNNING = "running"


class Run:
    """One run, as seen by the one who started it."""

    def __init__(self, asked: Asked, targets: Sequence[str], drain_s: float) -> None:
        context = multiprocessing.get_context("spawn")  # the same on every system, and nothing of ours is inherited
        theirs, self._tie = context.Pipe(duplex=False)
        self._news, telling = context.Pipe(duplex=False)
        self._process = context.Process(target=run_once, args=(asked, tuple(targets), drain_s, theirs, telling))
        self._process.start()
        theirs.close()
        telling.close()
        self._loaded = False
        self._drain_s = drain_s

    @property
    def exit_code(self) -> int | None:
        """How it ended, None while it lives; -N where signal N ended it."""
        return self._process.exitcode

    def begin(self) -> None:
        """Have it load the project and run it."""
        with suppress(OSError):  # it is gone, which `exit_code` tells
            self._tie.send(None)

    def news(self, timeout_s: float) -> News | None:
        """What it tells next, within this time; None where it tells nothing or has ended."""
        if not wait([self._news, self._process.sentinel], timeout_s) or not self._news.poll():
            return None
        try:
            said: News = self._news.recv()
        except EOFError:
            self._process.join()
            return None
        self._loaded = True
        return said

    def end(self, hurry: threading.Event) -> bool:
        """Have it commit what is begun and end; answers whether it did so in time, and before `hurry` was set.

        One that has begun no work yet is not waited for.
        """
        at_work = self._loaded and self._process.is_alive()
        self._tie.close()
        if not self._loaded:
            self._process.terminate()
        until = monotonic() + self._drain_s + GRACE_S
        while self._process.is_alive() and monotonic() < until and not hurry.is_set():
            self._process.join(JOIN_S)
        self._process.kill()
        self._process.join()
        self._news.close()
        return not at_work or self._process.exitcode == 0


def run_once(asked: Asked, targets: Sequence[str], drain_s: float, tie: Connection, news: Connection) -> None:
    """What the process does: once told to begin, the whole run, until the other end of `tie` is closed.

    Exits with the run's exit code.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the other one decides what it means
    from choreo.cli.dev_work import work  # a second of imports: what is done ahead of time

    try:
        tie.recv()
    except EOFError:
        return
    sys.dont_write_bytecode = True  # Python takes code compiled within the same second for current when sizes agree
    stop = threading.Event()
    threading.Thread(target=_await_end, args=(tie, stop, drain_s), name="tie", daemon=True).start()
    sys.exit(work(asked, targets, stop, lambda: news.send(News.LOADED), lambda: news.send(News.RUNNING)))


def _await_end(tie: Connection, stop: threading.Event, drain_s: float) -> None:
    with suppress(EOFError):
        tie.recv()
    stop.set()
    time.sleep(drain_s)  # a run that drains in time ends meanwhile, and this thread with it
    note(f"not drained within {drain_s:g} s: what was not committed is done again by the next start")
    os._exit(NOT_DRAINED)
