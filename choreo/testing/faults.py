"""Faults: how often what may go wrong does, and fate, which says where it strikes.

A fault is named by where it strikes: the n-th visit of a worker to a site. So a list of faults replays a run exactly,
and one fault can be left out of it without a change of dice for the others.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from random import Random
from typing import Literal, NamedTuple, cast

from choreo.errors import ConfigError

Site = Literal["checkpoint", "call", "fetch", "turn"]
Kind = Literal["crash", "wreck", "stall", "fail", "lose", "slow", "delay", "leave"]
CHECKPOINT_PLACES = ("begun", "appended", "offsets_sent", "committed", "stored")
CALL_PLACES = ("before", "after")
SECOND = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Faults:
    """How often what goes wrong: shares from 0 to 1, seconds where the name ends in `_s`. 0 turns one off."""

    crash: float = 0.01
    """Of checkpoints (anywhere from their beginning to the write of the stores) and of outside calls (before or after):
    the worker dies there, as by kill -9."""
    disk_lost: float = 0.25
    """Of crashes: the machine is gone too, and the stores are rebuilt from the log elsewhere."""
    down_s: float = 90
    """A worker that died or left is back after at most this long, mostly much sooner. Above 45 s others take over."""
    stall: float = 0.002
    """Of checkpoints and outside calls: the process stands still there for at most `down_s`, while the others go on."""
    rebalance: float = 0.01
    """Of the turns of a worker: it leaves its group in good order, and comes back later."""
    duplicate: float = 0.05
    """Of the workload's events: it comes again within a minute, the same bytes under the same ids."""
    delay: float = 0.05
    """Of fetches: what is new in one partition is seen later than the rest."""
    delay_s: float = 5
    """A fetch or a slow call takes at most this long."""
    call_fails: float = 0.1
    """Of outside calls: not made; the handler gets a TimeoutError."""
    call_outcome_lost: float = 0.02
    """Of outside calls: made, and yet the handler gets a TimeoutError."""
    call_slow: float = 0.05
    """Of outside calls that are awaited: they take up to `delay_s`."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0 or (value > 1 and not field.name.endswith("_s")):
                raise ConfigError(f"Faults({field.name}={value}): a share is a number from 0 to 1", hint="0 is never")

    @classmethod
    def none(cls) -> "Faults":
        """Nothing ever goes wrong."""
        return cls(**{field.name: 0 for field in fields(cls)})


class Fault(NamedTuple):
    """One fault that strikes."""

    kind: Kind
    site: Site
    who: str
    """The worker: service and number."""
    nth: int
    """Which of its visits to this site, from 1."""
    where: str
    """Where in the site: a place of the checkpoint, a side of the call, a partition."""
    micros: int
    """How long it lasts (microseconds), where it does."""

    def __str__(self) -> str:
        lasting = f" for {self.micros / SECOND:.3f} s" if self.micros else ""
        return f"{self.kind.upper()} at {self.site} {self.nth}{f' ({self.where})' if self.where else ''}{lasting}"


class Fate(ABC):
    """Says at each visit to a site what strikes there, and remembers it."""

    def __init__(self) -> None:
        self.struck: list[Fault] = []
        self._visits: dict[tuple[Site, str], int] = {}

    def visit(self, site: Site, who: str, where: str = "") -> Fault | None:
        """The fault that strikes this worker at this visit. Asking is the visit."""
        place = (site, who)
        nth = self._visits[place] = self._visits.get(place, 0) + 1
        fault = self._strikes(site, who, nth, where)
        if fault is not None:
            self.struck.append(fault)
        return fault

    @abstractmethod
    def _strikes(self, site: Site, who: str, nth: int, where: str) -> Fault | None: ...


class Chance(Fate):
    """Faults at their natural rates. Each worker has dice of its own at each site: others do not shift them."""

    def __init__(self, seed: int, faults: Faults) -> None:
        super().__init__()
        self._seed, self._faults = seed, faults
        self._dice: dict[tuple[Site, str], Random] = {}
        one = faults
        crash, wreck = one.crash * (1 - one.disk_lost), one.crash * one.disk_lost
        away: list[tuple[Kind, float]] = [("crash", crash), ("wreck", wreck), ("stall", one.stall)]
        self._odds: dict[Site, list[tuple[Kind, float]]] = {
            "checkpoint": away,
            "call": [*away, ("fail", one.call_fails), ("lose", one.call_outcome_lost), ("slow", one.call_slow)],
            "fetch": [("delay", one.delay)],
            "turn": [("leave", one.rebalance)],
        }

    def _strikes(self, site: Site, who: str, nth: int, where: str) -> Fault | None:
        dice = self._dice.get((site, who))
        if dice is None:
            dice = self._dice[site, who] = Random(f"{self._seed}/{site}/{who}")
        drawn = dice.random()
        for kind, share in self._odds[site]:
            drawn -= share
            if drawn < 0:
                return Fault(kind, site, who, nth, self._where(site, kind, where, dice), self._lasts(kind, dice))
        return None

    def _where(self, site: Site, kind: Kind, where: str, dice: Random) -> str:
        if site == "checkpoint":
            return dice.choice(CHECKPOINT_PLACES)
        return dice.choice(CALL_PLACES) if site == "call" and kind in ("crash", "wreck") else where

    def _lasts(self, kind: Kind, dice: Random) -> int:
        """Two thirds of absences are short: a restart. The rest is long enough for others to take over."""
        if kind in ("delay", "slow"):
            return round(dice.uniform(0, self._faults.delay_s) * SECOND)
        if kind in ("fail", "lose"):
            return 0
        longest = self._faults.down_s
        return round(dice.uniform(0, longest if dice.random() < 1 / 3 else longest / 30) * SECOND)


class Listed(Fate):
    """These faults and no others, each at its visit."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__()
        self._faults = {(fault.site, fault.who, fault.nth): fault for fault in faults}

    def _strikes(self, site: Site, who: str, nth: int, where: str) -> Fault | None:
        return self._faults.get((site, who, nth))


def fault_from(fields: Sequence[object]) -> Fault:
    """A fault as JSON holds it. Raises ValueError."""
    kinds = (str, str, str, int, str, int)
    if len(fields) != len(kinds) or not all(isinstance(one, kind) for one, kind in zip(fields, kinds, strict=True)):
        raise ValueError(f"{fields!r} is no fault: kind, site, worker, visit, place, microseconds")
    return Fault(*cast(tuple[Kind, Site, str, int, str, int], tuple(fields)))
