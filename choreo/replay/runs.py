"""Many judgements taken together: how many fit, which paths they went, how they ended, how long the steps took.

It grows with what is different, not with how many there are.
"""

import math
from collections import Counter
from dataclasses import dataclass, field

from choreo.replay.conformance import Judgement, Misfit

MOST_PATHS = 10_000
"""Different paths that are kept apart; sagas that go others still are counted together."""
STEP = math.log(1.01)


@dataclass
class Spread:
    """How long something took, in microseconds: quantiles to within one percent, the longest exactly."""

    count: int = 0
    longest: int = 0
    _counts: Counter[int] = field(default_factory=Counter)

    def add(self, micros: int) -> None:
        """One more."""
        self.count += 1
        self.longest = max(self.longest, micros)
        self._counts[round(math.log(micros) / STEP) if micros > 0 else -1] += 1

    def quantile(self, share: float) -> int:
        """So long, or less, took this share of them; 0 where there is none."""
        left = math.ceil(share * self.count)
        for bucket in sorted(self._counts):
            left -= self._counts[bucket]
            if left <= 0:
                return 0 if bucket < 0 else min(round(math.exp(bucket * STEP)), self.longest)
        return 0


@dataclass
class Runs:
    """What many sagas came to."""

    most_misfits: int
    """So many are kept to be told; all are counted."""
    count: int = 0
    fit: int = 0
    unknown: int = 0
    """Sagas whose version of the spec can't be read here."""
    again: int = 0
    crossed: int = 0
    not_replayed: Counter[str] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    misfits: list[Misfit] = field(default_factory=list)
    paths: Counter[tuple[str, ...]] = field(default_factory=Counter)
    other_paths: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    laps: dict[str, Spread] = field(default_factory=dict)
    slow: Counter[str] = field(default_factory=Counter)
    stations: Counter[str] = field(default_factory=Counter)
    ways: dict[tuple[str, str], Spread] = field(default_factory=dict)
    """From one station to each later one of the same saga."""
    slow_ways: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often the step to which a way leads took longer than it may."""
    beside: dict[tuple[str, str], Spread] = field(default_factory=dict)
    follows: dict[tuple[str, str], Spread] = field(default_factory=dict)

    def add(self, one: Judgement) -> None:
        """One more saga."""
        self.count += 1
        self.fit += not one.misfits
        self.again += one.again
        self.crossed += one.crossed
        self.versions[one.version] += 1
        self.ends[one.end] += 1
        if one.not_replayed:
            self.not_replayed[one.not_replayed] += 1
        self.kinds.update(misfit.kind for misfit in one.misfits)
        self.misfits += one.misfits[: max(0, self.most_misfits - len(self.misfits))]
        if one.path in self.paths or len(self.paths) < MOST_PATHS:
            self.paths[one.path] += 1
        else:
            self.other_paths += 1
        for lap in one.laps:
            self.laps.setdefault(lap.step, Spread()).add(lap.took)
            self.slow[lap.step] += lap.slow
        self._walk(one)
        for source, event, micros in one.beside:
            self.beside.setdefault((source, event), Spread()).add(micros)
        for source, event, micros in one.follows:
            self.follows.setdefault((source, event), Spread()).add(micros)

    def _walk(self, one: Judgement) -> None:
        first = dict[str, int]()
        slow = {f"step {lap.step}" for lap in one.laps if lap.slow}
        for name, at in one.stations:
            self.stations[name] += 1
            for earlier, since in first.items():
                self.ways.setdefault((earlier, name), Spread()).add(max(0, at - since))
                self.slow_ways[earlier, name] += name in slow
            first.setdefault(name, at)
