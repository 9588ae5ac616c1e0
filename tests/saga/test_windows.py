"""Cron windows: which minutes of which days an expression matches."""

from datetime import date

import pytest

from choreo.saga.windows import BadWindow, parse_window

MONDAY, SUNDAY = date(2026, 3, 2), date(2026, 3, 1)


def minutes(text: str, day: date) -> list[str]:
    """The matching minutes of a day, as a clock shows them."""
    on = parse_window(text).on(day)
    return [f"{minute // 60}:{minute % 60:02}" for minute in range(24 * 60) if on >> minute & 1]


def days(text: str) -> list[int]:
    """The days of March 2026, which begins with a Sunday, on which a window has minutes."""
    window = parse_window(text)
    return [day for day in range(1, 32) if window.on(date(2026, 3, day))]


def test_the_minutes_that_match_are_open() -> None:
    """Minute and hour, as lists, ranges and steps."""
    assert minutes("* 9-16 * * mon-fri", MONDAY)[::479] == ["9:00", "16:59"]
    assert minutes("* 9-16 * * mon-fri", SUNDAY) == []
    assert minutes("30 9 * * *", SUNDAY) == ["9:30"]
    assert minutes("0,30 */8 * * *", SUNDAY) == ["0:00", "0:30", "8:00", "8:30", "16:00", "16:30"]
    assert minutes("50/5 22-23 * * *", SUNDAY) == ["22:50", "22:55", "23:50", "23:55"]
    assert minutes("1-9/4 0 * * *", SUNDAY) == ["0:01", "0:05", "0:09"]


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("0 0 * * mon", [2, 9, 16, 23, 30]),
        ("0 0 * * 1", [2, 9, 16, 23, 30]),
        ("0 0 * * 0", [1, 8, 15, 22, 29]),
        ("0 0 * * 7", [1, 8, 15, 22, 29]),
        ("0 0 * * SAT-sun", [1, 7, 8, 14, 15, 21, 22, 28, 29]),
        ("0 0 * * 5-7", [1, 6, 7, 8, 13, 14, 15, 20, 21, 22, 27, 28, 29]),
        ("0 0 5,20-22 * *", [5, 20, 21, 22]),
        ("0 0 5 mar *", [5]),
        ("0 0 5 3-4 *", [5]),
        ("0 0 5 apr *", []),
        ("0 0 1-7 * mon", [1, 2, 3, 4, 5, 6, 7, 9, 16, 23, 30]),
        ("0 0 */10 * sun", [1]),
        ("0 0 29-31 * */2", [29, 31]),
    ],
)
def test_the_days_that_match(text: str, matching: list[int]) -> None:
    """As in cron: names and numbers, Sunday is 0 and 7, where both days are restricted one of them is enough."""
    assert days(text) == matching


@pytest.mark.parametrize(
    ("text", "single"),
    [("0 9-16 * * *", True), ("*/2 * * * *", True), ("0,59 * * * *", False), ("* 9 * * *", False), ("0 0 * * *", True)],
)
def test_a_window_for_jobs_is_known(text: str, single: bool) -> None:
    """One that is open for single minutes only: the last one of an hour and the first one of the next are two."""
    assert parse_window(text).in_single_minutes is single


@pytest.mark.parametrize(
    ("text", "said", "offset", "length"),
    [
        ("* 9-16 * *", "a window has five fields, minute hour day month weekday; this has 4", 0, 10),
        ("* * * * * *", "this has 6", 0, 11),
        ("60 * * * *", "60 is no minute: 0 to 59", 0, 2),
        ("*  8,24 * * *", "24 is no hour", 5, 2),
        ("* 17-9 * * *", "17-9 is no hour", 2, 4),
        ("* * 0 * *", "0 is no day of the month: 1 to 31", 4, 1),
        ("* * * 13 *", "13 is no month: 1 to 12 or jan to dec", 6, 2),
        ("* * * * 8", "8 is no day of the week: 0 to 7 or sun to sat", 8, 1),
        ("* * * * monday", "monday is no day of the week", 8, 6),
        ("* * * * mon,,fri", "nothing is no day of the week", 12, 1),
        ("*/0 * * * *", "*/0 is no minute", 0, 3),
        ("*-5 * * * *", "*-5 is no minute", 0, 3),
        ("-5 * * * *", "-5 is no minute", 0, 2),
        ("* * L * *", "L is no day of the month", 4, 1),
    ],
)
def test_what_is_no_window_is_said_at_its_field(text: str, said: str, offset: int, length: int) -> None:
    """Which part of the text is wrong, where it begins and how long it is."""
    with pytest.raises(BadWindow) as raised:
        parse_window(text)
    assert said in str(raised.value)
    assert (raised.value.offset, raised.value.length) == (offset, length)
