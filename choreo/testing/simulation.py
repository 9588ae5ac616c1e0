"""Simulation: all services and sagas under crashes, delays, duplicates and failing calls, run after run from a seed."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import TypeVar

from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.service.needs import Needs
from choreo.service.service import Service
from choreo.testing.cast import Cast, cast_of, catalogue_of
from choreo.testing.fakes import Snapshot
from choreo.testing.faults import SECOND, Fault, Faults
from choreo.testing.ordeal import Ordeal, Told, read_ordeal
from choreo.testing.report import failed
from choreo.testing.seeds import KeptSeed
from choreo.testing.shrinking import Budget, shrunk
from choreo.testing.trial import Check, Trial
from choreo.testing.world import Watched, World

Workload = Callable[[Random], Iterator[tuple[timedelta, Event]]]
Invariant = Callable[[World], None]
W = TypeVar("W", bound=Workload)
I = TypeVar("I", bound=Invariant)  # noqa: E741  # an invariant
SHRINK_TRIES = 300
KEPT = Path(".choreo") / "simulations"
"""Where the runs that fail are kept, below the working directory."""


class Simulation:
    """Services and sagas that are run through ordeals: events of the workloads, and faults at their rates.

    Everything runs as live (workers, checkpoints, groups), but on a log in memory and in virtual time. The same seed
    gives the same run, byte for byte. Each run draws a number of `partitions` and of `workers` of each service.

    What the services are provided with (`payments.using(gateway=FakeGateway)`) stands for the outside world: a class
    or function is called once a run, whatever crashes; any other object is set back after each run, as a Scenario does.
    """

    def __init__(
        self,
        *services: Service,
        sagas: Iterable[str | Path] = (),
        faults: Faults | None = None,
        partitions: Sequence[int] = (1, 3),
        workers: Sequence[int] = (1, 2),
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self._services, self._specs = services, tuple(sagas)
        self._faults = faults if faults is not None else Faults()
        self._partitions, self._workers = tuple(partitions), tuple(workers)
        self._settings = settings or {}
        self._workloads: list[Workload] = []
        self._always: list[Invariant] = []
        self._at_rest: list[Invariant] = []
        self._cast: Cast | None = None
        for name, numbers in (("partitions", self._partitions), ("workers", self._workers)):
            if not numbers or min(numbers) < 1:
                raise ConfigError(f"Simulation: {name}={numbers} can't be", hint="numbers of 1 or more")

    def workload(self, make: W) -> W:
        """What comes from outside: yields (wait, event), the wait counted from the event before. Its dice are given."""
        self._workloads.append(make)
        return make

    def always(self, check: I) -> I:
        """Must hold after every checkpoint: raises AssertionError where it doesn't."""
        self._always.append(check)
        return check

    def at_rest(self, check: I) -> I:
        """Must hold when nobody has anything to do any more and all timers have fired: raises AssertionError else."""
        self._at_rest.append(check)
        return check

    def run(self, seed: int) -> World:
        """One run, from a seed, or from the file that the fixture `seed` was given by --choreo-from.

        Raises AssertionError where an invariant or a promise of the runtime does not hold: with the shortest run that
        still fails so, its story as a table, and the file that replays it.
        """
        __tracebackhide__ = True
        if isinstance(seed, KeptSeed):
            return self._run(self.kept(seed.file))
        return self._run(self.ordeal(seed))

    def replay(self, file: Path) -> World:
        """The run that a file holds. Raises as `run` does, and ConfigError for a file that is none of it."""
        __tracebackhide__ = True
        return self._run(self.kept(file))

    def ordeal(self, seed: int) -> Ordeal:
        """What comes from outside in the run of this seed; its faults are yet to be drawn."""
        if not self._workloads:
            raise ConfigError("a simulation without a workload has nothing to do", hint="@simulation.workload")
        dice = Random(f"{seed}/ordeal")
        partitions, workers = dice.choice(self._partitions), dice.choice(self._workers)
        events: list[tuple[int, Event]] = []
        for number, make in enumerate(self._workloads):
            at = 0
            for wait, event in make(Random(f"{seed}/workload/{number}")):
                if wait < timedelta() or not isinstance(event, Event):
                    raise ConfigError(f"workload {make.__name__}: {wait}, {event!r} is not (wait, event)")
                at += wait // timedelta(microseconds=1)
                events.append((at, event))
        told = [Told(at, number, event) for number, (at, event) in enumerate(events)]
        again = [
            one._replace(at=one.at + round(dice.uniform(0, 60) * SECOND), again=True)
            for one in told
            if dice.random() < self._faults.duplicate
        ]
        return Ordeal(seed, partitions, workers, tuple(sorted([*told, *again], key=lambda one: (one.at, one.number))))

    def kept(self, file: Path) -> Ordeal:
        """The run that a file holds. Raises ConfigError."""
        return read_ordeal(file, catalogue_of(self._whole_cast().services))

    def tried(self, ordeal: Ordeal) -> Trial:
        """One run, to its end or to the first thing that does not hold."""
        cast, needs = _opened(self._whole_cast())
        fakes = Snapshot(made for one in cast.own for made in (make() for make in one.provide.values()))
        with _quiet():
            trial = Trial(cast, ordeal, self._faults)
            world = TrialWorld(trial)
            try:
                trial.run(_bound(self._always, world), _bound(self._at_rest, world))
            finally:
                trial.close()
                fakes.restore()
                for one in needs:
                    one.close()
        return trial

    def _run(self, ordeal: Ordeal) -> World:
        __tracebackhide__ = True
        trial = self.tried(ordeal)
        if trial.broken is None:
            return TrialWorld(trial)
        short = self.shortened(trial)
        file = KEPT / f"seed-{ordeal.seed}.json"
        short.ordeal.having(short.ordeal.told, tuple(short.fate.struck)).write(file)
        raise failed(short, trial, file)

    def shortened(self, trial: Trial) -> Trial:
        """The shortest run found that breaks the same as this one did."""
        assert trial.broken is not None  # only what fails is made shorter
        same, best, budget = trial.broken.same_as, trial, Budget(SHRINK_TRIES)

        def breaks(told: tuple[Told, ...], faults: tuple[Fault, ...]) -> bool:
            nonlocal best
            found = self.tried(trial.ordeal.having(told, faults))
            if found.broken is None or not same(found.broken):
                return False
            best = found
            return True

        told, faults = trial.ordeal.told, tuple(trial.fate.struck)
        if not breaks(told, faults):
            return trial  # what its own list does not replay: the services are not deterministic
        faults = () if breaks(told, ()) else shrunk(faults, lambda some: breaks(told, some), budget)
        told = shrunk(told, lambda some: breaks(some, faults), budget)
        # A fault at a late visit needs all that leads there: where an early one breaks the same, less does.
        sooner = self._sooner(faults, lambda some: breaks(told, some), budget)
        if sooner != faults:
            told = shrunk(told, lambda some: breaks(some, sooner), budget)
        shrunk(sooner, lambda some: breaks(told, some), budget)
        return best

    @staticmethod
    def _sooner(
        faults: tuple[Fault, ...], breaks: Callable[[tuple[Fault, ...]], bool], budget: Budget
    ) -> tuple[Fault, ...]:
        """The same faults, each at the first of its visits at which it still breaks the same."""
        for place, fault in enumerate(faults):
            for nth in range(1, fault.nth):
                moved = (*faults[:place], fault._replace(nth=nth), *faults[place + 1 :])
                if not budget.take():
                    return faults
                if breaks(moved):
                    faults = moved
                    break
        return faults

    def _whole_cast(self) -> Cast:
        if self._cast is None:
            self._cast = cast_of(self._services, self._specs, {}, self._settings)
        return self._cast


class TrialWorld(World):
    """What happened so far in a run."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    @property
    def _watched(self) -> Watched:
        return self.trial


def _bound(checks: Sequence[Invariant], world: World) -> list[Check]:
    return [(check.__name__, lambda check=check: check(world)) for check in checks]  # type: ignore[misc]  # in a loop


def _opened(cast: Cast) -> tuple[Cast, list[Needs]]:
    """What stands for the outside world, made once for the whole run: it outlives every crash."""
    services, opened = [], []
    for service in cast.services:
        if service.provide:
            needs = Needs(service, cast.settings.get(service.name))
            opened.append(needs)
            made = {name: needs.get(name, "the simulation") for name in service.provide}
            service = copy(service)  # not made anew: its signatures are worked out already
            service.provide = {name: (lambda one=one: one) for name, one in made.items()}
        services.append(service)
    return replace(cast, services=tuple(services)), opened


@contextmanager
def _quiet() -> Iterator[None]:
    """What the runtime warns of is what the simulation does to it."""
    logger = logging.getLogger("choreo.runtime")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
