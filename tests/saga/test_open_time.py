"""Calendars in specs: durations that count open time, and steps that begin when it opens. A story starts at midnight,
on a Thursday.
"""

import pytest

from choreo.errors import SpecError
from choreo.saga.calendars import Opening, OpenTime
from choreo.saga.decide import decide
from choreo.saga.decision import Decision, Input
from choreo.saga.durations import parse_duration
from choreo.saga.explore import Bounds, explore
from choreo.saga.instance import Instance
from choreo.saga.rules import Spec
from tests.saga.flow import flow, step
from tests.saga.story import Story

OFFICE = "zone: UTC, open: '* 9-16 * * mon-fri', closed: 1970-01-05"
SHOP = "zone: UTC, open: '* 8-19 * * *'"
CALENDARS = f"{{office: {{{OFFICE}}}, shop: {{{SHOP}}}}}"


def work(*steps: str, **keys: str) -> Spec:
    """A flow whose steps may name the calendars `office` and `shop`."""
    return flow(*steps, calendars=CALENDARS, **keys)


def due_of(spec: Spec, name: str = "a") -> int | None:
    """When a step's time runs out, from the start of its saga."""
    told = Story(spec).when("Started").instance
    assert told is not None
    return told.steps[name].due


def test_within_counts_open_time() -> None:
    """Ten open hours from Thursday midnight end on Friday at eleven, and not a minute before."""
    story = Story(work(step("a", "within: 10h", "calendar: office", "emit: AskA"))).when("Started").then("AskA")
    story.after("34h59m").then().after("1m").then("UndoA")


def test_a_weekend_and_a_closed_monday_do_not_count() -> None:
    """Two open days are over on Friday; one more hour is over on Tuesday."""
    story = Story(work(step("a", "within: 17h", "calendar: office"))).when("Started")
    story.after("5d9h59m").then().after("1m").then("UndoA")


def test_the_saga_names_the_calendar_of_its_steps() -> None:
    """A step may name another one, or none; `within` of the saga counts by the calendar of each step."""
    steps = step("a"), step("b", "calendar: shop"), step("c", "calendar: none")
    spec = work(*steps, calendar="office", within="2h")
    assert [due_of(spec, name) for name in "abc"] == [parse_duration(one) for one in ("11h", "10h", "2h")]


def test_a_deadline_counts_open_time_from_the_start() -> None:
    """Whenever the step's turn comes."""
    story = Story(work(step("a"), step("b", "after: a", "deadline: 3h", "calendar: office"))).when("Started")
    story.after("11h").when("ADone").after("59m").then().after("1m").then("UndoB")


def test_a_step_begins_after_open_time_or_when_it_opens() -> None:
    """`not_before: 2h` puts it off by two open hours, `opens` to the next opening; in open time it begins at once."""
    later = work(step("a"), step("b", "after: a", "emit: AskB", "not_before: 2h", "calendar: office"))
    Story(later).when("Started").after("16h").when("ADone").then().after("17h59m").then().after("1m").then("AskB")
    opens = work(step("a"), step("b", "after: a", "emit: AskB", "not_before: opens", "calendar: office"))
    story = Story(opens).when("Started").after("17h").when("ADone").then()
    story.stands("waiting").after("15h59m").then().after("1m").then("AskB")
    Story(opens).when("Started").after("16h59m").when("ADone").then("AskB")


def test_reminders_questions_and_undos_count_open_time() -> None:
    """`every` of a reminder, `within` of a question and of an undo; the waits before another attempt do not."""
    reminded = Story(work(step("a", "remind: {emit: Told1, every: 4h, at_most: 3}", "calendar: office")))
    reminded.when("Started").after("13h").then("Told1").after("4h").then("Told1").after("19h").then()
    reminded.after("1h").then("Told1")
    asked = step("a", "within: 7h", "calendar: office", "on_timeout: {ask: {emit: Told1, within: 2h, attempts: 2}}")
    Story(work(asked)).when("Started").after("16h").then("Told1").after("17h").then().after("1h").then("Told1")
    undo = "compensate: {emit: UndoA, done_on: AUndone, within: 1h, wait: 30m, attempts: 2, fails_on: Told2}"
    undone = step("a", "calendar: office", "within: 8h", undone=False).replace("compensate: none", undo)
    story = Story(work(undone)).when("Started").after("17h").then("UndoA").after("16h").then().after("1h").then("UndoA")
    Story(work(undone)).when("Started").after("17h").when("Told2").then("UndoA").after("30m").then("UndoA")
    assert story.state("a") == "compensating"
    retried = step("a", "emit: AskA", "within: 8h", "calendar: office", "on_timeout: {retry: {attempts: 2, wait: 30m}}")
    Story(work(retried)).when("Started").then("AskA").after("17h29m").then().after("1m").then("AskA")


def test_a_point_in_time_is_itself() -> None:
    """What an event names is kept, whether it is open then or not."""
    spec = work(step("a", "calendar: office", "within: saga.at"))
    Story(spec).when("Started", at="1970-01-01T01:00:00Z").after("1h").then("UndoA")


def test_a_timer_that_is_set_stays() -> None:
    """New rules of a zone, which tell another time, change no timer that is set: the instance holds when it is due."""
    before, after = (
        flow(step("a", "within: 1h", "calendar: day"), calendars=f"{{day: {{zone: {zone}, open: '* 9 * * *'}}}}")
        for zone in ("UTC", "Asia/Tokyo")
    )
    story = Story(before).when("Started")
    assert due_of(after) != due_of(before) == parse_duration("10h")
    story.spec = after
    story.after("9h59m").then().after("1m").then("UndoA")


def test_the_calendar_is_part_of_the_digest() -> None:
    """Every rule of a calendar that is used is in it; its name, spaces, capitals and calendars nobody uses are not."""
    one = step("a", "within: 1h", "calendar: day")

    def digest(day: str, used: str = one) -> str:
        return flow(used, calendars=f"{{{day}}}").digest

    plain = digest("day: {zone: UTC, open: '* 9-16 * * mon'}")
    assert digest("day: {zone: UTC, open: ['*  9-16 * * MON']}, other: {zone: UTC, open: '* * * * *'}") == plain
    assert digest("'on': {zone: UTC, open: '* 9-16 * * mon'}", one.replace("day", "'on'")) == plain
    others = (
        "day: {zone: Etc/GMT, open: '* 9-16 * * mon'}",
        "day: {zone: UTC, open: '* 9-17 * * mon'}",
        "day: {zone: UTC, open: '* 9-16 * * mon', closed: 2026-12-25}",
    )
    assert len({plain, *map(digest, others), flow(step("a", "within: 1h")).digest}) == 5
    none = "within: 1h", "calendar: none"
    assert digest("day: {zone: UTC, open: '* 9-16 * * mon'}", step("a", *none)) == flow(step("a", "within: 1h")).digest


def test_windows_may_overlap_and_stand_in_a_list() -> None:
    """What any of them matches is open, once."""
    spec = flow(
        step("a", "within: 2h", "calendar: day"),
        step("b", "emit: AskB", "not_before: opens", "calendar: day"),
        calendars="{day: {zone: UTC, open: ['30-59 9 * * *', '* 9-10 * * *', '* 20 * * *']}}",
    )
    assert due_of(spec) == parse_duration("11h")
    first, second = spec.steps
    assert isinstance(first.within_us, OpenTime)
    assert isinstance(second.not_before_us, Opening)
    assert second.not_before_us.calendar == first.within_us.calendar


EXPLORED = [
    ("remind: {emit: Told1, every: 2h, at_most: 2}", "deadline: 5h", "on_timeout: {retry: {attempts: 2}}"),
    ("on_timeout: {ask: {emit: Told1, within: 2h, attempts: 2}}", "deadline: 5h"),
    ("not_before: 1h", "deadline: 5h"),
]


@pytest.mark.parametrize("keys", EXPLORED, ids=lambda keys: keys[0].partition(":")[0])
def test_exploring_leaves_calendars_open(keys: tuple[str, ...]) -> None:
    """Time is elastic in an exploration: with a calendar it goes through the very states as without, all of them."""
    found = []
    for calendar in ("office", "none"):
        spec = work(step("a", "emit: AskA", "within: 1h", *keys, undone=False), calendar=calendar)
        found.append(explore(spec, None, Bounds(states=2_000)))
        assert (found[-1].counterexample, found[-1].bound, found[-1].left_out) == (None, None, ())
        assert {"completed", "compensated"} <= set(found[-1].ends)
    assert found[0].states == found[1].states
    assert found[0].ends == found[1].ends


def test_exploring_waits_for_an_opening() -> None:
    """A step that begins when it opens is held, as one that begins at a point in time."""
    met: set[str] = set()

    def watching(spec: Spec, instance: Instance | None, given: Input) -> Decision:
        decision = decide(spec, instance, given)
        met.update(change for change in decision.changes if "-> held" in change)
        return decision

    found = [
        explore(
            work(step("a", "emit: AskA", f"not_before: {begins}", undone=False), calendar="office"), decide=watching
        )
        for begins in ("opens", "saga.at")
    ]
    assert found[0].states == found[1].states
    assert len(met) == 1


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (("calendar: ofice",), "there is no calendar ofice"),
        (("emit: AskA", "not_before: opens"), "step a has no calendar that opens"),
        (("emit: AskA", "not_before: opens", "calendar: none"), "step a has no calendar that opens"),
        (("within: opens", "calendar: office"), "'opens' is not a duration"),
        (("calendar: office", "not_before: opens"), "step a has no emit, so nothing can be put off"),
        (("calendar: office", "deadline: 60y"), "does not pass within a hundred years"),
        (("calendar: [office]",), "calendar takes a single value"),
    ],
)
def test_a_mistake_of_a_step_is_said_where_it_stands(written: tuple[str, ...], said: str) -> None:
    """Calendars that are not there, openings of none, and time that never passes."""
    with pytest.raises(SpecError, match=r"flow\.yaml:10:") as raised:
        work(step("a", *written))
    assert said in str(raised.value)
