"""A figure: one number, its unit, what it is compared with, and under which terms it was measured. A line of JSON."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import ceil, isnan


@dataclass(frozen=True)
class Size:
    """How much a family measures: `count` of whatever it counts, `repeats` of the whole."""

    count: int
    repeats: int = 1


@dataclass(frozen=True)
class Baseline:
    """What a figure is compared with, measured in the same run and in the same unit."""

    what: str
    value: float


@dataclass(frozen=True)
class Figure:
    """One number. `terms`: the size, commit intervals and whatever else it depends on, as JSON has it."""

    name: str
    value: float
    unit: str
    baseline: Baseline | None = None
    terms: Mapping[str, object] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        """The value as a part of the baseline's; None where there is none."""
        return self.value / self.baseline.value if self.baseline is not None and self.baseline.value else None

    def line(self) -> str:
        """The figure as one line of JSON."""
        row: dict[str, object] = {"name": self.name, "value": _short(self.value), "unit": self.unit}
        if self.baseline is not None:
            row["baseline"] = {"what": self.baseline.what, "value": _short(self.baseline.value)}
            row["ratio"] = None if self.ratio is None else _short(self.ratio)
        return json.dumps(row | dict(self.terms))


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of them do not exceed: the nearest-rank percentile."""
    ranked = sorted(values)
    return ranked[max(ceil(share * len(ranked)), 1) - 1]


def _short(value: float) -> float | None:
    """Four significant digits: more would be noise. None for what could not be measured."""
    if isnan(value):
        return None
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)
