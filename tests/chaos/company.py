"""The processes of a chaos run: which live, how each died, and who starts them again."""

import signal
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import monotonic, sleep

from tests.chaos.place import Life, Place

POLL_S = 0.02
BETWEEN = ("checkpoint.begun", "checkpoint.appended", "checkpoint.offsets_sent", "checkpoint.committed")
"""Fault points after the beginning of a transaction and before the stores are written."""
POINTS = (*BETWEEN, "checkpoint.stored")


def eventually(done: Callable[[], bool], within_s: float) -> bool:
    """Whether it came true in time; looks every 20 ms."""
    until = monotonic() + within_s
    while not done():
        if monotonic() > until:
            return False
        sleep(POLL_S)
    return True


@dataclass
class Deaths:
    """Every kill -9: how often which process, and at which fault point those died that killed themselves."""

    of: Counter[str] = field(default_factory=Counter)
    at: Counter[str] = field(default_factory=Counter)

    @property
    def between(self) -> int:
        """How many died between begin and store write."""
        return sum(self.at[point] for point in BETWEEN)

    def __str__(self) -> str:
        each = ", ".join(f"{name} {count}" for name, count in sorted(self.of.items()))
        points = ", ".join(f"{point} {count}" for point, count in sorted(self.at.items()))
        return f"{self.of.total()} kills ({each}), {self.between} of them between begin and store write ({points})"


class Company:
    """One process for each name, started with the arguments that belong to it."""

    def __init__(self, place: Place, arguments: Mapping[str, Sequence[str]]) -> None:
        self.deaths = Deaths()
        self._place = place
        self._arguments = {name: tuple(given) for name, given in arguments.items()}
        self._lives: dict[str, Life] = {}
        self._lock = Lock()

    def __enter__(self) -> "Company":
        return self

    def __exit__(self, *error: object) -> None:
        for life in self._lives.values():
            if not life.ended:
                life.kill()

    @property
    def names(self) -> list[str]:
        return list(self._lives)

    def life(self, name: str) -> Life:
        return self._lives[name]

    def start(self, name: str, fault: str = "") -> Life:
        """Begin its next life; armed with `fault` it ends itself there."""
        life = self._lives[name] = Life(self._place, self._arguments[name], name, fault)
        return life

    def kill(self, name: str) -> None:
        """kill -9 from outside. What ended by itself before that is a failure."""
        life = self._lives[name]
        self._expect_alive(name, life)
        life.kill()
        with self._lock:
            self.deaths.of[name] += 1

    def end(self, name: str, within_s: float) -> bool:
        """See an armed life to its end; one that did not get to its point in time is killed from outside."""
        life = self._lives[name]
        if not eventually(lambda: life.ended, within_s):
            self.kill(name)
            return False
        if not life.died_of_fault:
            raise AssertionError(f"{name} ended by itself ({life.process.returncode}):\n{life.said()[-4000:]}")
        with self._lock:
            self.deaths.of[name] += 1
            self.deaths.at[life.fault.partition(":")[0]] += 1
        return True

    def stop(self, *names: str, within_s: float = 40) -> None:
        """SIGTERM: each must drain and end with 0."""
        for name in names:
            self._expect_alive(name, self._lives[name])
            self._lives[name].ask_to_stop()
        for name in names:
            life = self._lives[name]
            code = life.wait(within_s)
            assert code == 0, f"{name} ended with {code} when it was asked to stop:\n{life.said()[-4000:]}"
            del self._lives[name]

    def stacks(self) -> str:
        """End all, and hear where everybody stood: for a run that does not go on."""
        return "\n".join(f"{name}:\n{life.stacks()}" for name, life in self._lives.items() if not life.ended)

    def check(self) -> None:
        """Nobody has ended by itself."""
        for name, life in list(self._lives.items()):
            self._expect_alive(name, life)

    def _expect_alive(self, name: str, life: Life) -> None:
        if life.ended and not (life.fault and life.process.returncode == -signal.SIGKILL):
            raise AssertionError(f"{name} ended by itself ({life.process.returncode}):\n{life.said()[-4000:]}")
