"""Every role that an event can have is known wherever roles are told apart: the next one can't be forgotten."""

import pytest

from choreo.saga.arrivals import timing_of
from choreo.saga.draft import Draft
from choreo.saga.each import parts_of
from choreo.saga.policy_reading import _POSSIBLE, _timings
from choreo.saga.rules import Role
from tests.saga.flow import flow
from tests.saga.story import Story

GRANTED, EXPIRED = "choreo.saga.flow.LockGranted", "choreo.saga.flow.LockExpired"
SPEC = flow(
    "{name: a, emit: AskA, completes_on: ADone, fails_on: AFailed, unknown_on: Told1, skips_on: Told2,"
    " reopens_on: Told3, compensate: {emit: UndoA, done_on: AUndone, fails_on: Told4, attempts: 1}}",
    "{name: b, for_each: saga.items, item_key: item, adds_on: Told5, emit: AskB, completes_on: BDone,"
    " compensate: none}",
    isolate_on="n",
    compensates_on="Told6",
)
"""A spec in which events have every role that there is."""
BEGUN = ("Started", GRANTED)
IN_TIME = {
    Role.COMPLETES: (*BEGUN, "ADone"),
    Role.FAILS: (*BEGUN, "AFailed"),
    Role.UNKNOWN: (*BEGUN, "Told1"),
    Role.SKIPS: (*BEGUN, "Told2"),
    Role.REOPENS: (*BEGUN, "ADone", "Told3"),
    Role.UNDONE: (*BEGUN, "Cancelled", "AUndone"),
    Role.UNDO_FAILS: (*BEGUN, "Cancelled", "Told4"),
    Role.ADDS: (*BEGUN, "Told5"),
    Role.LOSES: (*BEGUN, EXPIRED),
    Role.CANCELS: (*BEGUN, "Cancelled"),
    Role.COMPENSATES: (*BEGUN, "Told6"),
}
"""A story for each role; the last event has it, and comes at a good time."""
LIVES = (
    (*BEGUN, "ADone", "BDone", "Told3", "ADone"),
    (*BEGUN, "Told1", "AUndone", "ADone", "Told4"),
    (*BEGUN, "Told5", "AFailed", "BDone"),
    (*BEGUN, "Told2", "BDone", EXPIRED, "ADone", "Told6", "AUndone"),
    ("Started", "Told6", "ADone", "Told4", "AUndone"),
    ("Started", "ADone", "Cancelled", "Told4", "AUndone"),
)


def told(story: Story, event: str) -> Story:
    """An event of the item x, but for the one that adds y."""
    story.now += 1
    if event == "Started":
        return story.when(event, n=7, items=["x"])
    return story.when(event, item="y" if event == "Told5" else "x")


def test_the_spec_has_every_role() -> None:
    """A role that is new stands in the spec and the stories above, too, and in the table of policies."""
    assert {part.role for parts in SPEC.parts.values() for part in parts} == set(Role)
    assert set(IN_TIME) == set(Role) - {Role.STARTS}
    assert set(_POSSIBLE) == set(Role)


@pytest.mark.parametrize("role", IN_TIME)
def test_an_event_in_time_is_told_so_and_changes_something(role: Role) -> None:
    """Its arrival is known to be at a good time, and `decide` does what the role means."""
    *before, event = IN_TIME[role]
    story = Story(SPEC)
    for one in before:
        told(story, one)
    assert story.instance is not None
    draft = Draft(SPEC, story.instance, story.now + 1)
    given = Story(SPEC).received(event, item="y" if event == "Told5" else "x")
    given = given._replace(now=story.now + 1, at=story.now + 1)
    (part,) = parts_of(draft, given)
    assert part.role is role
    assert timing_of(draft, part, given) is None
    assert told(story, event).last.changes


@pytest.mark.parametrize("life", LIVES, ids=lambda life: "-".join(life[-3:]))
def test_no_event_comes_in_a_way_that_its_policy_could_not_name(life: tuple[str, ...]) -> None:
    """At every moment of a life, for every event that the spec knows: the reader of policies has that timing."""
    story = told(Story(SPEC), life[0])
    for event in life[1:]:
        assert story.instance is not None
        draft = Draft(SPEC, story.instance, story.now + 1)
        for name in SPEC.parts:
            for at in (0, story.now, story.now + 1):
                given = story.received(name, item="x")._replace(now=story.now + 1, at=at)
                for part in parts_of(draft, given):
                    timing = timing_of(draft, part, given)
                    assert timing is None or timing in _timings(SPEC, part._replace(step=part.step.partition("[")[0]))
        told(story, event)
