"""The processes of a chaos run: which live, how each died, and who starts them again."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic, sleep

from tests.chaos.place import Life, Place

POLL_S = 0.02
BETWEEN = ("checkpoint.begun", "checkpoint.appended", "checkpoint.offsets_sent", "checkpoint.committed")
"""Fault points after the beginning of a transaction and before the stores are written."""
POINTS = (*BETWEEN, "checkpoint.stored")
UNREACHABLE = 3
"""The exit code of `choreo` where the log can't be reached."""


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
    cut_off: int = 0
    """Appends from outside that died with the process that served them."""
    gave_up: Counter[str] = field(default_factory=Counter)
    """Not killed: they ended because the broker stayed away too long, and were started again, as a supervisor does."""

    @property
    def between(self) -> int:
        """How many died between begin and store write."""
        return sum(self.at[point] for point in BETWEEN)

    def __str__(self) -> str:
        each = ", ".join(f"{name} {count}" for name, count in sorted(self.of.items()))
        points = ", ".join(f"{point} {count}" for point, count in sorted(self.at.items()))
        gave_up = f"; {dict(self.gave_up)} gave up waiting for the broker" if self.gave_up else ""
        kills = f"{self.of.total()} kills ({each})" + (f", {self.cut_off} inside an append" if self.cut_off else "")
        return f"{kills}, {self.between} of them between begin and store write ({points}){gave_up}"


class Company:
    """One process for each name, started with the arguments that belong to it."""

    def __init__(self, place: Place, arguments: Mapping[str, Sequence[str]], *, broker_dies: bool = False) -> None:
        self.deaths = Deaths()
        self.broker_dies = broker_dies
        self._place = place
        self._arguments = {name: tuple(given) for name, given in arguments.items()}
        self._lives: dict[str, Life] = {}

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
        self.check()
        self._lives[name].kill()
        self.deaths.of[name] += 1

    def end(self, name: str, within_s: float) -> bool:
        """See an armed life to its end; one that did not get to its point in time is killed from outside."""
        life = self._lives[name]
        if not eventually(lambda: life.ended, within_s):
            self.kill(name)
            return False
        if not life.died_of_fault:
            self.check()
            self.kill(name)
            return False
        self.deaths.of[name] += 1
        self.deaths.at[life.fault.partition(":")[0]] += 1
        return True

    def stop(self, *names: str, within_s: float = 40) -> None:
        """SIGTERM: each must drain and end with 0."""
        self.check()
        for name in names:
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
        """Nobody has ended by itself, unless for a broker that was away: those are started again."""
        for name, life in list(self._lives.items()):
            if not life.ended or life.died_of_fault:
                continue
            code = life.process.returncode
            excused = self.broker_dies and code == UNREACHABLE
            assert excused, f"{name} ended by itself ({code}):\n{life.said()[-4000:]}"
            self.deaths.gave_up[name] += 1
            self.start(name)
