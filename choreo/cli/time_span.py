"""`--since` and `--until`: from when to when a command reads the log, by the time at which records were written."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

import click

from choreo.cli.options import gathered
from choreo.clock import SystemClock, from_iso
from choreo.errors import ConfigError
from choreo.log.interface import Log
from choreo.log.up_to import places_on, read_between
from choreo.record import Record, TopicPartition
from choreo.saga.durations import parse_duration
from choreo.told import Told, untold


class TimeSpan(NamedTuple):
    """From when (reckoned in) to when (reckoned out), microseconds since 1970; None for no bound."""

    since: int | None = None
    until: int | None = None

    def bounds(
        self, log: Log, places: Iterable[TopicPartition]
    ) -> tuple[dict[TopicPartition, int], dict[TopicPartition, int]]:
        """The offsets from which, and up to which, each partition is read."""
        places = list(places)
        starts, ends = log.starts(places), log.ends(places)
        if self.since is not None:
            starts |= log.offsets_at(places, self.since // 1000)
        if self.until is not None:
            ends |= log.offsets_at(places, -(-self.until // 1000))
        return starts, ends


WHOLE = TimeSpan()


OPTIONS = (
    click.option(
        "--since",
        "--from",
        metavar="TIME",
        help="Only what was written since: 2026-11-22T08:00, or 2h for so long ago.",
    ),
    click.option("--until", "--to", metavar="TIME", help="Only what was written before."),
)


def _span(since: str | None, until: str | None) -> TimeSpan:
    return span_of(since, until, SystemClock().now())


bounded = gathered("span", _span, OPTIONS)
"""Gives a command `--since` and `--until`, and hands them over as `span`."""


def span_of(since: str | None, until: str | None, now: int) -> TimeSpan:
    """What was asked for; `now` in microseconds. Raises ConfigError for what is no time."""
    found = TimeSpan(
        None if since is None else moment_of("--since", since, now),
        None if until is None else moment_of("--until", until, now),
    )
    if found.since is not None and found.until is not None and found.since >= found.until:
        raise ConfigError(f"--since {since} is not before --until {until}", hint="the earlier one first")
    return found


def moment_of(option: str, text: str, now: int) -> int:
    """A time as an option has it, as `moment_in` reads it. Raises ConfigError for what is none."""
    found = moment_in(text, now)
    if found is None:
        hint = "2026-11-22T08:00 (UTC), 2026-11-22T09:00+01:00, or 2h for two hours ago"
        raise ConfigError(f"{option} {text} is no time", hint=hint)
    return found


def moment_in(text: str, now: int) -> int | None:
    """Microseconds since 1970 of an ISO time (UTC without a zone; a day is its first instant), or of so long before
    `now`; None for what is neither.
    """
    with suppress(ValueError):
        return from_iso(text)
    with suppress(ValueError):
        ago = parse_duration(text)
        return None if ago is None else now - ago
    return None


def read_span(log: Log, topics: Iterable[str], span: TimeSpan, told: Told = untold) -> Iterator[Record]:
    """Every committed record of these topics that was written in that time, in order within a partition.

    `told`: offsets read.
    """
    starts, ends = span.bounds(log, places_on(log, topics))
    return chain.from_iterable(read_between(log, starts, ends, told))
