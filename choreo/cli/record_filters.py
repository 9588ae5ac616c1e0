"""Which records, dead letters or rows a command means: the filters that lists and orders share."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click

from choreo.cli.options import Function, gathered
from choreo.cli.time_span import span_of
from choreo.clock import SystemClock


@dataclass(frozen=True)
class RecordFilters:
    """What was asked for; empty means everything."""

    where: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int | None = None

    @property
    def given(self) -> bool:
        """Whether anything but the limit was asked for."""
        return any((self.where, self.since, self.until))

    @property
    def asked(self) -> dict[str, str]:
        """As they were given, for who reads of it later."""
        return {one.name: str(value) for one in fields(self) if (value := getattr(self, one.name)) is not None}

    def bounds(self) -> tuple[int | None, int | None]:
        """From when on and before when (microseconds). Raises ConfigError for what is no time."""
        return span_of(self.since, self.until, SystemClock().now())


def options(example: str) -> tuple[Callable[[Any], Any], ...]:
    """What a person may give; `example` is a condition."""
    return (
        click.option("--where", metavar="CEL", help=f"Only those for which this is true: {example}"),
        click.option("--since", metavar="TIME", help="Only from then on: 2026-03-02T09:00Z, or 2h ago as 2h."),
        click.option("--until", metavar="TIME", help="Only before then."),
        click.option("--limit", type=click.IntRange(min=1), help="At most so many."),
    )


def filtered_by(example: str) -> Callable[[Function], Function]:
    """Gives a command the options of `RecordFilters`, and hands them over as `filters`; `example` is a condition."""
    return gathered("filters", RecordFilters, options(example))


filtered = filtered_by("event.total > 100")
