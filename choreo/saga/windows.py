"""Cron windows: the minutes of a day, on the clock of the wall, that a cron expression of five fields matches.

The fields are those of cron: minute, hour, day of the month, month, day of the week; lists, ranges, steps and names.
What a wall clock means in a zone is left to `calendars.py`.
"""

import re
from datetime import date
from typing import NamedTuple

MINUTES = 24 * 60
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_RANGE = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/([0-9]+))?")


class BadWindow(ValueError):
    """A text that is no cron window: what is wrong, at which offset of the text, and how long the wrong part is."""

    def __init__(self, says: str, offset: int = 0, length: int = 1) -> None:
        super().__init__(says)
        self.offset, self.length = offset, length


class Field(NamedTuple):
    """One of the five fields: what it counts, its limits, and names for its numbers, from the lowest on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day of the week", 0, 7, WEEKDAYS),
)


class Window(NamedTuple):
    """A parsed expression. `minutes` has a bit for each minute of a day; a week begins with Sunday, 0.

    `either` means that both days are restricted: as in cron, one of them is enough then.
    """

    minutes: int
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either: bool

    def on(self, day: date) -> int:
        """The minutes of this day that match, a bit each."""
        if day.month not in self.months:
            return 0
        fits, falls = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return self.minutes if (fits or falls if self.either else fits and falls) else 0

    @property
    def in_single_minutes(self) -> bool:
        """Whether no two minutes of a day follow one another."""
        return not self.minutes & self.minutes >> 1


def parse_window(text: str) -> Window:
    """Raises BadWindow where the text is no cron expression of five fields."""
    words = list(re.finditer(r"\S+", text))
    if len(words) != len(FIELDS):
        said = f"a window has five fields, minute hour day month weekday; this has {len(words)}"
        raise BadWindow(said, 0, max(1, len(text)))
    minutes, hours, days, months, weekdays = (
        _numbers(word[0], word.start(), field) for word, field in zip(words, FIELDS, strict=True)
    )
    return Window(
        minutes=sum(1 << (hour * 60 + minute) for hour in hours for minute in minutes),
        days=days,
        months=months,
        weekdays=frozenset(day % 7 for day in weekdays),
        either=not (words[2][0].startswith("*") or words[4][0].startswith("*")),
    )


def _numbers(word: str, offset: int, field: Field) -> frozenset[int]:
    """The numbers that a field names."""
    found: set[int] = set()
    for part in word.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise _bad(part, offset, field)
        first, last, step = match.groups()
        if first == "*" and last is None:
            low, high = field.low, field.high
        else:
            low = _number(first, part, offset, field)
            high = _number(last, part, offset, field) if last else field.high if step else low
            if field.names is WEEKDAYS and high == 0 < low:
                high = 7  # sat-sun
        if low > high or step == "0":
            raise _bad(part, offset, field)
        found.update(range(low, high + 1, int(step or 1)))
        offset += len(part) + 1
    return frozenset(found)


def _number(word: str, part: str, offset: int, field: Field) -> int:
    """The number that a word of a part means."""
    if word.lower() in field.names:
        return field.low + field.names.index(word.lower())
    if not (word.isdecimal() and field.low <= int(word) <= field.high):
        raise _bad(part, offset, field)
    return int(word)


def _bad(part: str, offset: int, field: Field) -> BadWindow:
    names = f" or {field.names[0]} to {field.names[-1]}" if field.names else ""
    return BadWindow(
        f"{part or 'nothing'} is no {field.name}: {field.low} to {field.high}{names}, as 1, 1-3, 1,3 or */2",
        offset,
        max(1, len(part)),
    )
