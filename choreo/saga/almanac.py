"""The calendars that a spec names: read from its table or from the file beside it that several share, checked, and
looked up for the durations of its steps.

What a calendar makes of a duration is in `calendars.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from choreo.saga.calendars import RANGE, Calendar, Opening, OpenTime, Span, are_days, days_in, end_of, zones
from choreo.saga.keys import Keys
from choreo.saga.problems import Place, Problems, did_you_mean
from choreo.saga.raw import Limit, RawCalendar, RawSpec, RawStep
from choreo.saga.shapes import CALENDAR_KEYS, NO_CALENDAR, SPEC_KEYS, Shape
from choreo.saga.windows import BadWindow, parse_window
from choreo.saga.yaml import Table, Text, read_yaml

SHARED_KEYS = {"calendars": SPEC_KEYS["calendars"]}
"""What a file of shared calendars may hold: written as in a spec, so that it can be moved from one into it."""
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
class Shared:
    """The calendars of a file that several specs go by, as text; what is wrong with it is said where one is named."""

    file: str
    source: str

    @cached_property
    def _read(self) -> tuple[Mapping[str, Calendar | None], Problems]:
        problems = Problems(self.file, self.source)
        table = read_yaml(self.source, problems) if self.source else None
        found = read_calendars(Keys(table, problems, "the file of shared calendars", SHARED_KEYS)) if table else ()
        return {one.name.value: _calendar(one, problems) for one in found}, problems

    @property
    def names(self) -> tuple[str, ...]:
        """The calendars of the file."""
        return tuple(self._read[0])

    def named(self, text: Text, problems: Problems) -> Calendar | None:
        """The calendar that a spec names by `text`; None, with the problems of the file noted there, for none."""
        known, wrong = self._read
        for one in wrong.found:
            said = f"{self.file}:{one.place.line}:{one.place.column}: {one.text}"
            problems.add(text.place, "shared-calendars", said, one.cure)
        return None if wrong.found else known.get(text.value)


NO_SHARED = Shared("", "")


def goes_by_shared(raw: RawSpec) -> bool:
    """Whether a spec names a calendar that is not its own."""
    own = {one.name.value for one in raw.calendars}
    return any(text.value not in own for text in _named(raw))


def _named(raw: RawSpec) -> list[Text]:
    """Where the saga and its steps name a calendar."""
    words = (raw.calendar, *(step.calendar for step in raw.steps))
    return [text for text in words if text is not None and text.value != NO_CALENDAR]


@dataclass(frozen=True)
class Almanac:
    """The sound calendars of one spec by name, its own and the shared ones that it names; `usual` is that of a step
    that names none.
    """

    calendars: Mapping[str, Calendar]
    usual: Text | None
    problems: Problems

    @classmethod
    def of(cls, raw: RawSpec, shared: Shared, problems: Problems) -> "Almanac":
        """Checks the calendars, and that those which the saga and its steps name are there."""
        checked = {one.name.value: _calendar(one, problems) for one in raw.calendars}
        for text in _named(raw):
            if text.value in checked:
                continue
            before = len(problems.found)
            found = shared.named(text, problems)
            if found is not None or len(problems.found) > before:
                checked[text.value] = found
                continue
            there = [*checked, *shared.names]
            known = f"the calendars are {', '.join(there)}" if there else f"add {EXAMPLE}"
            cure = did_you_mean(text.value, there, known)
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
        if are_days(text.value):
            _check_days(text, problems)
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


def _check_days(text: Text, problems: Problems) -> None:
    try:
        days_in(text.value)
    except ValueError as error:
        cure = "a day is written 2026-12-25, several 2026-12-24..2026-12-31, days of every year '* * 25 dec *'"
        problems.add(text.place, "not-a-day", str(error), cure)


def _plain(texts: tuple[Text, ...]) -> tuple[str, ...]:
    """The texts without what changes nothing: spaces, capitals."""
    return tuple(_close(" ".join(text.value.split()).lower()) for text in texts)


def _close(text: str) -> str:
    return RANGE.join(part.strip() for part in text.split(RANGE))
