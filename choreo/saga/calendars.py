"""Business calendars: how much open time has passed, and when it opens next. Pure: times are microseconds since 1970.

Open are the minutes of a wall clock that a cron window matches. Where clocks are set forward the hour that is left out
is open nowhere, where they are set back the hour that comes twice counts twice. The rules of a zone come from the
package `tzdata` and from nowhere else: its release is as much an input of a decision as the code is, and a lock file
holds both. Whatever machine replays a log with the same packages works out the same times.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from importlib.resources import files
from zoneinfo import ZoneInfo

from choreo.saga.windows import MINUTES, Window, parse_window

SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = MINUTES * MINUTE
STRETCH = 6 * DAY
"""No zone has changed its clocks twice within this time since 1970: tests/saga/test_calendars.py holds tzdata to it."""
HORIZON = 100 * 365 * DAY
"""What has not come by then never comes."""
RANGE = ".."
"""Between the first and the last of several days."""
EPOCH = date(1970, 1, 1).toordinal()
EVERY_YEAR = range(date(2000, 1, 1).toordinal(), date(2028, 1, 1).toordinal())
"""Days with every date on every weekday, leap days too."""


@dataclass(frozen=True)
class Calendar:
    """Open are the minutes of `open` that are not in `closed`: cron windows, and in `closed` dates and ranges of dates,
    their last day included, as well.
    """

    zone: str
    open: tuple[str, ...]
    closed: tuple[str, ...] = ()

    def after(self, start: int, duration: int) -> int:
        """When `duration` microseconds of open time have passed since `start`; `start` itself for none at all.

        Raises ValueError where that takes more than a hundred years.
        """
        if duration <= 0:
            return start
        left = duration
        for opens, closes in self._open_times(start):
            if closes - opens >= left:
                return opens + left
            left -= closes - opens
        raise ValueError(f"so much open time does not pass within a hundred years ({self.zone})")

    def next_open(self, start: int) -> int:
        """The first open moment from `start` on. Raises ValueError where there is none for a hundred years."""
        for opens, _ in self._open_times(start):
            return opens
        raise ValueError(f"the calendar does not open within a hundred years ({self.zone})")

    @property
    def opens_ever(self) -> bool:
        """Whether its windows leave anything open, single closed dates aside."""
        return any(self._minutes(date.fromordinal(day)) for day in EVERY_YEAR)

    @property
    def single_minutes(self) -> tuple[str, ...]:
        """Those of its windows that never are open for two minutes in a row: cron as it is written for jobs."""
        return tuple(text for text, window in zip(self.open, self._windows, strict=True) if window.in_single_minutes)

    # -- the open times, one after the other ---------------------------------------------------------------------------

    def _open_times(self, start: int) -> Iterator[tuple[int, int]]:
        """From when to when it is open, from `start` on; neighbours may touch."""
        for begin, end, offset in self._stretches(start):
            for opens, closes in self._on_the_wall(begin + offset, end + offset):
                yield opens - offset, closes - offset

    def _stretches(self, start: int) -> Iterator[tuple[int, int, int]]:
        """Times without a gap in which the zone keeps one offset: begin, end, microseconds ahead of UTC."""
        begin, offset = start, self._offset(start)
        while begin < start + HORIZON:
            end = begin + STRETCH
            after = self._offset(end)
            if after != offset:
                end = self._change(begin, end, offset)
            yield begin, end, offset
            begin, offset = end, after

    def _change(self, begin: int, end: int, offset: int) -> int:
        """The moment between `begin` and `end` from which on the offset is another one."""
        before, since = begin // SECOND, -(-end // SECOND)  # clocks are changed at whole seconds
        while since - before > 1:
            middle = (before + since) // 2
            if self._offset(middle * SECOND) == offset:
                before = middle
            else:
                since = middle
        return since * SECOND

    def _offset(self, at: int) -> int:
        ahead = datetime.fromtimestamp(at // SECOND, self._rules).utcoffset()
        assert ahead is not None
        return ahead // timedelta(microseconds=1)

    def _on_the_wall(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """The open times between two times of the wall, both as microseconds since 1970 on that wall."""
        for day in range(begin // DAY, (end - 1) // DAY + 1):
            midnight, today = day * DAY, date.fromordinal(EPOCH + day)
            if any(first <= today <= last for first, last in self._closed_days):
                continue
            for first, last in _runs(self._minutes(today)):
                opens, closes = max(begin, midnight + first * MINUTE), min(end, midnight + last * MINUTE)
                if opens < closes:
                    yield opens, closes

    def _minutes(self, day: date) -> int:
        """The open minutes of a day, a bit each."""
        minutes = 0
        for window in self._windows:
            minutes |= window.on(day)
        for window in self._closed_windows:
            minutes &= ~window.on(day)
        return minutes

    # -- what the texts mean -------------------------------------------------------------------------------------------

    @cached_property
    def _rules(self) -> ZoneInfo:
        return zone_rules(self.zone)

    @cached_property
    def _windows(self) -> tuple[Window, ...]:
        return tuple(parse_window(text) for text in self.open)

    @cached_property
    def _closed_windows(self) -> tuple[Window, ...]:
        return tuple(parse_window(text) for text in self.closed if not are_days(text))

    @cached_property
    def _closed_days(self) -> tuple[tuple[date, date], ...]:
        return tuple(days_in(text) for text in self.closed if are_days(text))


@dataclass(frozen=True)
class OpenTime:
    """So many microseconds of a calendar's open time."""

    micros: int
    calendar: Calendar


@dataclass(frozen=True)
class Opening:
    """The wait until a calendar is open."""

    calendar: Calendar


Span = int | OpenTime | Opening
"""How long something takes: microseconds, or what a calendar makes of them."""


def end_of(span: Span, start: int) -> int:
    """When a span that begins at `start` is over. Raises ValueError where a calendar knows no such time."""
    if isinstance(span, OpenTime):
        return span.calendar.after(start, span.micros)
    if isinstance(span, Opening):
        return span.calendar.next_open(start)
    return start + span


def are_days(text: str) -> bool:
    """Whether a text of `closed` is a day or a range of days, not a window: a window has spaces."""
    return RANGE in text or len(text.split()) == 1


def days_in(text: str) -> tuple[date, date]:
    """The first and the last day of `2026-12-25` or `2026-12-24..2026-12-31`. Raises ValueError for anything else."""
    first, mark, last = (part.strip() for part in text.partition(RANGE))
    days = _day(first), _day(last if mark else first)
    if days[1] < days[0]:
        raise ValueError(f"{text} ends before it begins")
    return days


def _day(text: str) -> date:
    with suppress(ValueError):
        found = date.fromisoformat(text)
        if found.isoformat() == text:  # Python reads other forms of ISO 8601 too
            return found
    raise ValueError(f"{text or 'nothing'} is no day")


@cache
def zones() -> frozenset[str]:
    """The names of all time zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


@cache
def zone_rules(name: str) -> ZoneInfo:
    """The rules of a zone, never those of the operating system. `name` is one of `zones`."""
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


@cache
def _runs(minutes: int) -> tuple[tuple[int, int], ...]:
    """The minutes of a day as runs without a gap: the first, and the one after the last."""
    found = []
    while minutes:
        first = (minutes & -minutes).bit_length() - 1
        rest = minutes >> first
        length = (~rest & (rest + 1)).bit_length() - 1
        found.append((first, first + length))
        minutes &= ~(((1 << length) - 1) << first)
    return tuple(found)
