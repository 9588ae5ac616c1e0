"""The calendars that a spec names: read from its table, checked, and looked up for the durations of its steps.

What a calendar makes of a duration is in `calendars.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from choreo.saga.calendars import Calendar, Opening, OpenTime, Span, end_of, is_date, zones
from choreo.saga.keys import Keys
from choreo.saga.problems import Place, Problems, did_you_mean
from choreo.saga.raw import Limit, RawCalendar, RawSpec, RawStep
from choreo.saga.shapes import CALENDAR_KEYS, NO_CALENDAR, Shape
from choreo.saga.windows import BadWindow, parse_window
from choreo.saga.yaml import Table, Text

EXAMPLE = "calendars: {office: {zone: Europe/Berlin, open: '* 9-16 * * mon-fri'}}"
SOME_DAY = 1_767_225_600_000_000
"""2026-01-01: a duration that does not pass from then on never does, for windows come again every year."""


def read_calendars(keys: Keys) -> tuple[RawCalendar, ...]:
    """What stands under `calendars:` of a spec."""
    node = keys.node("calendars", Shape.CALENDARS)
    if node is None:
        return ()
    if not isinstance(node, Table):
        keys.problems.add(node.place, "wrong-shape", "calendars takes a table: name -> calendar", EXAMPLE)
        return ()
    found = []
    for name, value in node.entries.values():
        if not isinstance(value, Table):
            keys.problems.add(value.place, "wrong-shape", f"calendar {name.value} takes a table", EXAMPLE)
            continue
        inner = Keys(value, keys.problems, f"calendar {name.value}", CALENDAR_KEYS)
        zone, opens, closed = inner.text("zone"), inner.names("open"), inner.names("closed")
        if zone is not None and opens:
            found.append(RawCalendar(name, zone, opens, closed))
    return tuple(found)


@dataclass(frozen=True)
class Almanac:
    """The sound calendars of one spec by name; `usual` is that of a step that names none."""

    calendars: Mapping[str, Calendar]
    usual: Text | None
    problems: Problems

    @classmethod
    def of(cls, raw: RawSpec, problems: Problems) -> "Almanac":
        """Checks the calendars, and that those which the saga and its steps name are there."""
        checked = {one.name.value: _calendar(one, problems) for one in raw.calendars}
        for text in (raw.calendar, *(step.calendar for step in raw.steps)):
            if text is not None and text.value not in (*checked, NO_CALENDAR):
                known = f"the calendars are {', '.join(checked)}" if checked else f"add {EXAMPLE}"
                cure = did_you_mean(text.value, checked, known)
                problems.add(text.place, "unknown-calendar", f"there is no calendar {text.value}", cure)
        return cls({name: one for name, one in checked.items() if one is not None}, raw.calendar, problems)

    def span(self, step: RawStep, written: Limit | Text | None) -> Span | None:
        """What a duration of a step, or its `opens`, means by the step's calendar; None for no limit."""
        named = step.calendar or self.usual
        calendar = self.calendars.get(named.value) if named is not None else None
        if isinstance(written, Text):
            if calendar is not None:
                return Opening(calendar)
            if named is None or named.value == NO_CALENDAR:
                said = f"step {step.name.value} has no calendar that opens"
                self.problems.add(written.place, "no-calendar", said, "add calendar: NAME to the step or the saga")
            return None
        if written is None or written.micros is None or calendar is None:
            return written.micros if written is not None else None
        span = OpenTime(written.micros, calendar)
        try:
            end_of(span, SOME_DAY)
        except ValueError as error:
            place = named.place if named is not None else step.name.place
            self.problems.add(place, "never-passes", str(error), "a shorter duration, or wider windows")
        return span


def _calendar(raw: RawCalendar, problems: Problems) -> Calendar | None:
    """The calendar; None, with the problems noted, where it is not sound."""
    before, name = len(problems.found), raw.name.value
    if name == NO_CALENDAR:
        problems.add(raw.name.place, "not-a-name", "calendar: none says that there is none: name it otherwise")
    if raw.zone.value not in zones():
        cure = did_you_mean(raw.zone.value, zones(), "a name of the IANA list, as Europe/Berlin or UTC")
        problems.add(raw.zone.place, "unknown-zone", f"there is no time zone {raw.zone.value}", cure)
    for text in raw.open:
        _check_window(text, problems)
    for text in raw.closed:
        if is_date(text.value):
            _check_date(text, problems)
        else:
            _check_window(text, problems)
    if len(problems.found) > before:
        return None
    calendar = Calendar(raw.zone.value, _plain(raw.open), _plain(raw.closed))
    if calendar.opens_ever:
        return calendar
    cure = "widen open:, or take out of closed: what shall be open"
    problems.add(raw.name.place, "never-open", f"calendar {name} is never open", cure)
    return None


def _check_window(text: Text, problems: Problems) -> None:
    try:
        parse_window(text.value)
    except BadWindow as error:
        known = text.inside is not None
        place = Place(text.place.line, (text.inside or 0) + error.offset, error.length) if known else text.place
        problems.add(place, "not-a-window", str(error), "minute hour day month weekday: '* 9-16 * * mon-fri'")


def _check_date(text: Text, problems: Problems) -> None:
    try:
        told = date.fromisoformat(text.value).isoformat()
    except ValueError:
        told = None
    if told != text.value:  # Python reads other forms of ISO 8601 too
        said = f"{text.value} is no day"
        problems.add(text.place, "not-a-day", said, "a day is written 2026-12-25, days of every year '* * 25 dec *'")


def _plain(texts: tuple[Text, ...]) -> tuple[str, ...]:
    """The texts without what changes nothing: spaces, capitals."""
    return tuple(" ".join(text.value.split()).lower() for text in texts)
