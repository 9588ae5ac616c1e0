"""How a worker runs: settings and the parts that it is given."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from choreo.clock import Clock
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.runtime.observer import Observer
from choreo.runtime.reporter import Reporter
from choreo.state.backend import Backends

StartFrom = Literal["earliest", "latest"] | int | None
"""Where a group begins that has committed nothing: an int is a time in milliseconds since 1970."""


@dataclass(frozen=True)
class Site:
    """Where workers run: the parts that the services of one process share."""

    log: Log
    registry: Registry
    backends: Backends
    clock: Clock
    observer: Observer = field(default_factory=Reporter)
    """Is told what happens; by default it goes to the log `choreo.runtime`."""


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Defaults suit a live service; a virtual-time run sets `checkpoint_dry_s` to 0."""

    start_from: StartFrom = None
    worker: int = 0
    """Which of `--workers N` this is: part of its stable identity."""
    checkpoint_dry_s: float = 0.001
    """Commit this long after the input ran dry; later where inputs keep coming, see runtime/pace.py."""
    checkpoint_interval_s: float = 0.25
    """Commit at the latest after this."""
    checkpoint_quiet_s: float = 0.25
    """Commit this long after the input ran dry where nothing was written and nothing emitted: only the place moved."""
    checkpoint_records: int = 20_000
    checkpoint_bytes: int = 16 << 20
    checkpoint_flights_s: float = 0.02
    """Wait this long for handlings that wait for calls before they are saved in flight."""
    snapshot_every_inputs: int = 10_000
    """Keep a copy of a task's store after so many inputs, for replays to start from; 0: never."""
    batch_records: int = 1000
    at_hand_records: int = 10_000
    """With so many at hand a task has the log keep the rest of each input of which a twentieth of this is, until none
    is; with a fifth of it in all, it asks for everything again. Never one of which nothing is at hand: what it holds
    may have to go before all that is.
    """
    session_timeout_s: float = 45.0
    tombstones_kept_s: float = 86_400.0
    """delete.retention.ms of the changelogs: a store away for more than half of it is restored anew."""
    inline_calls: bool = False
    """Make asynchronous calls to their end at once: for virtual time."""
    call_threads: int = 0
    """Calls that block, at once; 0: four a processor, 32 at most."""
    build: str = ""
    """Which code this is, in the journal, so that a replay knows; empty: a digest of the handlers' source files."""
    specs: tuple[str, ...] = ()
    """Digests of the saga specs at work: in the journal."""


FaultPoint = Callable[[str], None]
"""Told the name of a place where a crash would be telling; a chaos run dies there."""


def no_faults(name: str) -> None:
    """Live on."""
