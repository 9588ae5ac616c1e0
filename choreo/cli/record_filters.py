"""Which records or dead letters a command means: the filters that lists and orders share."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

import click

from choreo.clock import SystemClock, to_micros
from choreo.errors import ConfigError
from choreo.saga.durations import parse_duration

OPTIONS = (
    click.option("--where", metavar="CEL", help="Only those for which this is true: event.total > 100"),
    click.option("--since", metavar="TIME", help="Only from then on: 2026-03-02T09:00Z, or 2h ago as 2h."),
    click.option("--until", metavar="TIME", help="Only before then."),
    click.option("--limit", type=click.IntRange(min=1), help="At most so many."),
)


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
        now = SystemClock().now()
        since, until = (moment_of(text, now) if text else None for text in (self.since, self.until))
        if since is not None and until is not None and since >= until:
            raise ConfigError(f"--since {self.since} is not before --until {self.until}")
        return since, until


def moment_of(text: str, now: int) -> int:
    """A time as an option has it (microseconds): ISO 8601, UTC where it names no zone, or how long before `now`."""
    try:
        moment = datetime.fromisoformat(text)
        return to_micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except ValueError:
        pass
    try:
        micros = parse_duration(text)
    except ValueError:
        micros = None
    if micros is None:
        raise ConfigError(f"{text} is no time", hint="2026-03-02T09:00Z, or 2h for two hours ago")
    return now - micros


def filtered(function: Callable[..., int | None]) -> Callable[..., int | None]:
    """Gives a command the options of `RecordFilters`, and hands them over as `filters`."""
    names = [one.name for one in fields(RecordFilters)]

    @functools.wraps(function)
    def packed(*arguments: Any, **options: Any) -> int | None:
        given = {name: options.pop(name) for name in names}
        return function(*arguments, filters=RecordFilters(**given), **options)

    for option in reversed(OPTIONS):
        packed = option(packed)
    return packed
