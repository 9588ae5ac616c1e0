"""Business calendars: open time, held against a clock that goes minute by minute."""

import importlib
import zoneinfo
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from choreo.clock import to_micros
from choreo.saga.calendars import (
    DAY,
    HORIZON,
    MINUTE,
    STRETCH,
    Calendar,
    Opening,
    OpenTime,
    end_of,
    zone_rules,
    zones,
)

HOUR = 60 * MINUTE
OFFICE = Calendar("Europe/Berlin", ("* 9-16 * * mon-fri",))
ALWAYS = Calendar("Europe/Berlin", ("* * * * *",))


def at(text: str, zone: str = "Europe/Berlin") -> int:
    """Microseconds of a time on the wall of a zone; `+` behind it: the second time that the wall shows it."""
    told = datetime.fromisoformat(text.removesuffix("+")).replace(tzinfo=zone_rules(zone), fold=text.endswith("+"))
    return to_micros(told)


def wall(micros: int, zone: str = "Europe/Berlin") -> str:
    """What the wall shows, as `at` reads it."""
    told = datetime.fromtimestamp(micros // 1_000_000, zone_rules(zone))
    return told.replace(tzinfo=None).isoformat(" ", "minutes") + "+" * told.fold


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        ("2026-03-03 10:00", 2, "2026-03-03 12:00"),  # a Tuesday
        ("2026-03-03 07:00", 2, "2026-03-03 11:00"),
        ("2026-03-03 16:00", 2, "2026-03-04 10:00"),
        ("2026-03-06 16:00", 2, "2026-03-09 10:00"),  # over a weekend
        ("2026-03-03 10:00", 7, "2026-03-03 17:00"),  # just the rest of the day
        ("2026-03-07 12:00", 40, "2026-03-13 17:00"),
        ("2026-03-03 10:00", 240, "2026-04-14 10:00"),  # 10d, over the night when the clocks are set forward
        ("2026-03-07 12:00", 0, "2026-03-07 12:00"),
    ],
)
def test_only_open_time_counts(start: str, hours: int, end: str) -> None:
    """Nights and weekends pass without counting; the end of the last open minute is the end."""
    assert wall(OFFICE.after(at(start), hours * HOUR)) == end


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-03 10:00", "2026-03-03 10:00"),
        ("2026-03-03 08:59", "2026-03-03 09:00"),
        ("2026-03-03 17:00", "2026-03-04 09:00"),
        ("2026-03-06 18:00", "2026-03-09 09:00"),
        ("2026-03-28 12:00", "2026-03-30 09:00"),
    ],
)
def test_the_next_opening(start: str, end: str) -> None:
    """An open moment is its own; a closed one waits for the first open one."""
    assert wall(OFFICE.next_open(at(start))) == end


def test_a_part_of_a_minute_counts_as_such() -> None:
    """Times between the minutes are kept to the microsecond."""
    assert OFFICE.after(at("2026-03-03 16:59") + 7, 2 * MINUTE) == at("2026-03-04 09:01") + 7


def test_closed_days_and_windows_are_closed() -> None:
    """A day, the same days of every year, and hours out of the open ones."""
    closed = ("2026-12-28", "* * 25,26 dec *", "* 12 * * *")
    calendar = Calendar("Europe/Berlin", ("* 9-16 * * mon-fri",), closed)
    assert wall(calendar.after(at("2026-12-24 16:00"), 5 * HOUR)) == "2026-12-29 14:00"
    assert wall(calendar.after(at("2027-12-24 16:00"), 5 * HOUR)) == "2027-12-27 14:00"


def test_a_range_of_days_is_closed_from_its_first_to_its_last() -> None:
    """Both ends are closed, over a change of the year too; the days around it are open."""
    works = Calendar("Europe/Berlin", ("* 9-16 * * *",), ("2026-12-24..2027-01-01", "2027-01-03"))
    assert wall(works.next_open(at("2026-12-23 18:00"))) == "2027-01-02 09:00"
    assert wall(works.after(at("2026-12-23 16:00"), HOUR + 8 * HOUR)) == "2027-01-02 17:00"
    assert wall(works.next_open(at("2027-01-02 18:00"))) == "2027-01-04 09:00"


def test_a_night_without_an_hour_has_an_hour_less() -> None:
    """Where the clocks are set forward the hour that is left out is not there to count, nor to open."""
    night = Calendar("Europe/Berlin", ("* 1-3 * * *",))
    assert wall(night.after(at("2026-03-29 00:00"), 2 * HOUR)) == "2026-03-29 04:00"
    assert wall(Calendar("Europe/Berlin", ("* 2 * * *",)).next_open(at("2026-03-29 00:00"))) == "2026-03-30 02:00"


def test_an_hour_that_comes_twice_counts_twice() -> None:
    """Where the clocks are set back both of the hours are open."""
    night = Calendar("Europe/Berlin", ("* 2 * * *",))
    assert wall(night.after(at("2026-10-25 00:00"), HOUR + HOUR // 2)) == "2026-10-25 02:30+"
    assert wall(night.after(at("2026-10-25 00:00"), 2 * HOUR + MINUTE)) == "2026-10-26 02:01"
    half = Calendar("Europe/Berlin", ("0-29 2 * * *",))
    assert wall(half.next_open(at("2026-10-25 02:45"))) == "2026-10-25 02:00+"


FIELD = st.sampled_from
WINDOW = st.builds(
    " ".join,
    st.tuples(
        FIELD(("*", "0", "*/7", "30-59", "0,45")),
        FIELD(("*", "0-3", "2", "9-16", "*/5", "23", "1-2,22-23")),
        FIELD(("*", "*", "29-31", "1,15", "*/2")),
        FIELD(("*", "*", "mar,oct", "1-11")),
        FIELD(("*", "*", "mon-fri", "sun", "sat-sun")),
    ),
)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "UTC")
TURNS = (
    date(2026, 3, 8),
    date(2026, 3, 28),
    date(2026, 4, 4),
    date(2026, 10, 3),
    date(2026, 10, 24),
    date(2026, 11, 1),
)
STARTS = st.builds(
    lambda day, days, seconds: (
        to_micros(datetime(day.year, day.month, day.day, tzinfo=UTC)) + days * DAY + seconds * 1_000_000
    ),
    st.sampled_from(TURNS),
    st.integers(-3, 2),
    st.integers(0, 86_399),
)
CLOSED = st.lists(st.sampled_from(("2026-03-29", "2026-10-25", "2026-11-01", "* 12 * * *", "* * * * wed")), max_size=2)


def open_minutes(calendar: Calendar, start: int, days: int) -> list[int]:
    """Every open minute of the clock (the microseconds at which it begins), found by asking each of them."""
    rules, found = zone_rules(calendar.zone), []
    for minute in range(start // MINUTE, start // MINUTE + days * 24 * 60):
        shown = datetime.fromtimestamp(minute * 60, rules)
        if _is_open(calendar, shown):
            found.append(minute * MINUTE)
    return found


def _is_open(calendar: Calendar, shown: datetime) -> bool:
    if any(_matches(text, shown) for text in calendar.closed):
        return False
    return any(_matches(text, shown) for text in calendar.open)


def _matches(text: str, shown: datetime) -> bool:
    """A cron expression held against one moment, by a reading of its own."""
    if " " not in text:
        return text == shown.date().isoformat()
    minute, hour, day, month, weekday = text.split()
    if not (_has(minute, shown.minute, 0) and _has(hour, shown.hour, 0) and _has(month, shown.month, 1)):
        return False
    days = _has(day, shown.day, 1), _has(weekday, shown.isoweekday() % 7, 0) or _has(weekday, shown.isoweekday(), 0)
    return all(days) if "*" in day + weekday else any(days)


NAMED = {"mon": 1, "wed": 3, "fri": 5, "sat": 6, "sun": 7, "mar": 3, "oct": 10}


def _has(field: str, number: int, least: int) -> bool:
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        if span == "*" and (number - least) % int(step or 1) == 0:
            return True
        if span != "*":
            low, high = (int(NAMED.get(one, one)) for one in (first, last or first))
            if low <= number <= high:
                return True
    return False


@settings(max_examples=40, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    windows=st.lists(WINDOW, min_size=1, max_size=2),
    closed=CLOSED,
    start=STARTS,
    minutes=st.integers(1, 2_000),
)
@example(zone="Europe/Berlin", windows=["* * * * *"], closed=[], start=1_774_738_800_000_000, minutes=300)
@example(zone="Europe/Berlin", windows=["0 2 29-31 mar,oct *"], closed=[], start=1_772_928_000_000_000, minutes=602)
def test_it_is_what_a_clock_would_count(
    zone: str, windows: list[str], closed: list[str], start: int, minutes: int
) -> None:
    """Around the days when clocks are set, `after` and `next_open` are what counting each minute gives."""
    calendar, days = Calendar(zone, tuple(windows), tuple(closed)), 3
    counted = open_minutes(calendar, start, days)
    end = start // MINUTE * MINUTE + days * DAY
    if counted:
        assert calendar.next_open(start) == max(start, counted[0])
    skipped = start - counted[0] if counted and counted[0] < start else 0  # the part of a minute before the start
    left = minutes * MINUTE
    if skipped + left <= len(counted) * MINUTE:
        whole, part = divmod(skipped + left, MINUTE)
        expected = counted[whole] + part if part else counted[whole - 1] + MINUTE
        assert calendar.after(start, left) == expected
    elif calendar.opens_ever:
        too_long = len(counted) * MINUTE - skipped + 1  # by the least there is: rare minutes add up in centuries only
        assert too_long <= left
        assert calendar.after(start, too_long) > end


def test_what_never_comes_is_said() -> None:
    """A calendar that never opens, and a duration beyond a hundred years, end in a sentence, not in a search."""
    never = Calendar("UTC", ("* * 30 feb *",))
    assert (never.opens_ever, OFFICE.opens_ever) == (False, True)
    assert not Calendar("UTC", ("* 9 * * *",), ("* 5-9 * * *",)).opens_ever
    assert Calendar("UTC", ("* * 29 2 sun",)).opens_ever
    with pytest.raises(ValueError, match="does not open within a hundred years"):
        never.next_open(0)
    with pytest.raises(ValueError, match="does not pass within a hundred years"):
        Calendar("UTC", ("0 0 1 1 *",)).after(0, 101 * MINUTE)
    assert Calendar("UTC", ("0 0 1 1 *",)).after(0, 99 * MINUTE) < HORIZON


def test_a_span_ends_by_its_calendar() -> None:
    """Plain microseconds pass always; open time and openings ask their calendar."""
    start = at("2026-03-06 16:00")
    assert end_of(5, start) == start + 5
    assert end_of(OpenTime(2 * HOUR, OFFICE), start) == OFFICE.after(start, 2 * HOUR)
    assert end_of(Opening(OFFICE), start + 2 * HOUR) == OFFICE.next_open(start + 2 * HOUR)


def test_ten_days_of_office_hours_are_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Days are looked at, not minutes, and the zone is asked once in six days: ten days of 24 open hours are 42."""
    asked = {"days": 0, "offsets": 0}

    def counting(name: str, method: str) -> None:
        really = getattr(Calendar, method)

        def counted(calendar: Calendar, given: object) -> object:
            asked[name] += 1
            return really(calendar, given)

        monkeypatch.setattr(Calendar, method, counted)

    counting("days", "_minutes")
    counting("offsets", "_offset")
    OFFICE.after(at("2026-05-05 10:00"), 10 * DAY)
    assert 42 <= asked["days"] <= 60
    assert asked["offsets"] <= 10


def test_the_zones_are_those_of_the_package(tmp_path: Path) -> None:
    """The rules come from `tzdata`, whose release a lock file holds, whatever the operating system has."""
    (tmp_path / "Europe").mkdir()
    (tmp_path / "Europe" / "Vienna").write_bytes(files("tzdata").joinpath("zoneinfo", "UTC").read_bytes())
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    zoneinfo.ZoneInfo.clear_cache()
    zone_rules.cache_clear()
    try:
        summer = datetime(2026, 7, 1)
        assert zoneinfo.ZoneInfo("Europe/Vienna").utcoffset(summer) == timedelta(0)
        assert zone_rules("Europe/Vienna").utcoffset(summer) == timedelta(hours=2)
    finally:
        zoneinfo.reset_tzpath()
        zoneinfo.ZoneInfo.clear_cache()
        zone_rules.cache_clear()
    assert {"Europe/Berlin", "UTC", "America/Argentina/Ushuaia"} <= zones()


def test_no_zone_changes_twice_in_a_stretch() -> None:
    """What `Calendar` takes for granted of the zones: since 1970 six days have one change of offset at most."""
    pure = importlib.import_module("zoneinfo._zoneinfo").ZoneInfo  # the one in Python shows its transitions
    short = []
    for name in sorted(zones()):
        with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
            zone = pure.from_file(file, key=name)
        changes, before = [], None
        for when, rule in zip(zone._trans_utc, zone._ttinfos, strict=True):
            if rule.utcoff != before:
                changes.append(when)
            before = rule.utcoff
        short += [name for one, two in pairwise(changes) if two > 0 and (two - one) * 10**6 <= STRETCH]
    assert len(zones()) > 500
    assert short == []
