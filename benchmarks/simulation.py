"""Sagas simulated a second, with faults: the four-step order saga, as `choreo simulate` runs it.

Orders come as densely as on a busy day (50 a virtual second), so that a turn of a worker has more than one to handle.
"""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from os import cpu_count
from random import Random
from time import perf_counter, process_time

from benchmarks.figure import Figure, Size
from benchmarks.fulfilment import OrderPlaced, carrier, inventory, payments, shipping
from benchmarks.machine import HERE
from choreo import Event
from choreo.runtime.heap import rare_collections
from choreo.testing import Faults, Simulation
from choreo.testing.abreast import hold

FULL, QUICK = Size(40), Size(1)
SAGAS = 100
"""In each run."""


def figures(size: Size) -> Iterator[Figure]:
    """`simulation` and `simulation.calm`, without faults: sagas a CPU second over `size.count` seeds in one process.
    `simulation.shared`: sagas a second on the wall where as many processes as there are cores share the seeds, their
    start included.
    """
    for name, faults in (("simulation", Faults()), ("simulation.calm", Faults.none())):
        with rare_collections():
            yield _alone(name, _simulation(faults), size.count)
    yield _shared(size.count)


def _alone(name: str, simulation: Simulation, seeds: int) -> Figure:
    simulation.tried(simulation.ordeal(-1))  # what is made once a process
    began, struck, turns = process_time(), 0, 0
    for seed in range(seeds):
        trial = simulation.tried(simulation.ordeal(seed))
        if trial.broken is not None:
            raise RuntimeError(f"seed {seed}: {trial.broken}")
        struck += len(trial.fate.struck)
        turns += trial.turns
    used, sagas = process_time() - began, seeds * SAGAS
    terms = {
        "n": sagas,
        "seeds": seeds,
        "faults_a_seed": round(struck / seeds, 1),
        "turns_a_saga": round(turns / sagas, 1),
        "cpu_us_a_saga": round(used / sagas * 1e6),
    }
    return Figure(name, sagas / used, "sagas/s", terms=terms)


def _shared(seeds: int) -> Figure:
    began, processes = perf_counter(), cpu_count() or 1
    for seed, holds in enumerate(hold(partial(_simulation, Faults()), range(seeds), processes)):
        if not holds:
            raise RuntimeError(f"seed {seed} does not hold")
    sagas = seeds * SAGAS
    terms = {"n": sagas, "seeds": seeds, "processes": processes}
    return Figure("simulation.shared", sagas / (perf_counter() - began), "sagas/s", terms=terms)


def _simulation(faults: Faults) -> Simulation:
    simulation = Simulation(
        inventory, payments, shipping, carrier, sagas=[HERE / "fulfilment.yaml"], faults=faults, partitions=(3,)
    )

    @simulation.workload
    def customers(random: Random) -> Iterator[tuple[timedelta, Event]]:
        for number in range(SAGAS):
            yield timedelta(seconds=random.expovariate(50)), OrderPlaced(order_id=f"o{number}", cents=number)

    return simulation
