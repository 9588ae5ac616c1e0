"""Seeds abreast: runs of a simulation shared out among processes. Only whether a run holds comes back from them."""

import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context

from choreo.runtime.heap import rare_collections
from choreo.testing.simulation import Simulation

Load = Callable[[], Simulation]
"""Finds the simulation in a process that has just begun; it must be picklable."""

_here: list[Simulation] = []
"""What this process tries, where it is one of those that the runs are shared among."""
_for_life = ExitStack()


def hold(load: Load, seeds: Sequence[int], processes: int) -> Iterator[bool]:
    """Whether the run of each seed holds, in the order of the seeds, worked out by so many processes.

    A run that raises does not hold: tried again here, it raises the same. Raises BrokenProcessPool where a process
    dies. Whoever stops asking ends the processes after the runs at hand.
    """
    # Begun anew everywhere, never forked: what the caller holds open (threads, stores) is nobody else's.
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (load,))
    try:
        yield from pool.map(_holds, seeds)
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(load: Load) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who interrupts means the command, which ends this process
    _here.append(load())
    _for_life.enter_context(rare_collections())


def _holds(seed: int) -> bool:
    simulation = _here[0]
    try:
        return simulation.tried(simulation.ordeal(seed)).broken is None
    except Exception:  # told by the process that asks, which tries it again
        return False
