"""Sagas simulated a second, with faults: the four-step order saga, one process, CPU time.

Orders come as densely as on a busy day (50 a virtual second), so that a turn of a worker has more than one to handle.
"""

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from time import process_time

from benchmarks.figure import Figure, Size
from benchmarks.fulfilment import OrderPlaced, carrier, inventory, payments, shipping
from benchmarks.machine import HERE
from choreo import Event
from choreo.testing import Faults, Simulation

FULL, QUICK = Size(40), Size(1)
SAGAS = 100
"""In each run."""


def figures(size: Size) -> Iterator[Figure]:
    """`simulation` and `simulation.calm`, without faults: sagas a CPU second over `size.count` seeds."""
    for name, faults in (("simulation", Faults()), ("simulation.calm", Faults.none())):
        simulation = _simulation(faults)
        simulation.tried(simulation.ordeal(-1))  # what is made once a process
        began, struck, turns = process_time(), 0, 0
        for seed in range(size.count):
            trial = simulation.tried(simulation.ordeal(seed))
            if trial.broken is not None:
                raise RuntimeError(f"seed {seed}: {trial.broken}")
            struck += len(trial.fate.struck)
            turns += trial.turns
        used, sagas = process_time() - began, size.count * SAGAS
        terms = {
            "n": sagas,
            "seeds": size.count,
            "faults_a_seed": round(struck / size.count, 1),
            "turns_a_saga": round(turns / sagas, 1),
            "cpu_us_a_saga": round(used / sagas * 1e6),
        }
        yield Figure(name, sagas / used, "sagas/s", terms=terms)


def _simulation(faults: Faults) -> Simulation:
    simulation = Simulation(
        inventory, payments, shipping, carrier, sagas=[HERE / "fulfilment.yaml"], faults=faults, partitions=(3,)
    )

    @simulation.workload
    def customers(random: Random) -> Iterator[tuple[timedelta, Event]]:
        for number in range(SAGAS):
            yield timedelta(seconds=random.expovariate(50)), OrderPlaced(order_id=f"o{number}", cents=number)

    return simulation
