"""Migrating sagas that keep events for their turn, or have asked a person."""

import pytest

from choreo.saga.decision import Answer
from choreo.saga.people import questions_of
from tests.saga.flow import flow, step
from tests.saga.lived import Lived
from tests.saga.test_migration import A, B, second, why

KEEP = '{"*": {early: keep 2h}}'


def test_an_event_that_is_kept_for_its_turn_goes_along() -> None:
    """Under the other version it is kept as long as that says, and let in when its turn comes, or buried."""
    to = second(A, B, events=KEEP.replace("2h", "3h"))
    saga = Lived(flow(A, B, events=KEEP)).when("Started", "BDone").migrated(to)
    assert saga.instance is not None
    assert [one.event for one in saga.instance.held] == ["flow.BDone"]
    saga.after("2h30m").when("ADone").then("AskA", "AskB").stands("completed")
    late = Lived(flow(A, B, events=KEEP)).when("Started", "BDone").migrated(to).after("2h59m")
    assert late.instance is not None
    assert late.instance.held
    late.after("1m")
    assert ["did not come in time" in reason for _, reason in late.last.letters] == [True]


@pytest.mark.parametrize(
    ("was", "to", "said"),
    [
        (KEEP, '{"*": {early: ignore}}', "it keeps flow.BDone for its turn, version 2 would not"),
        (KEEP, '{"*": {early: dead-letter}}', "it keeps flow.BDone for its turn, version 2 would not"),
        (KEEP, '{"*": {early: take}}', "it keeps flow.BDone for its turn, version 2 would not"),
        ('{"*": {early: ignore}}', KEEP, "version 2 would keep flow.BDone for its turn, and it is not kept"),
    ],
)
def test_an_event_that_one_version_only_keeps_keeps_the_saga(was: str, to: str, said: str) -> None:
    """The event would be lost without a word, or is no longer there."""
    saga = Lived(flow(A, B, events=was)).when("Started", "BDone")
    found = why(saga.judged(second(A, B, events=to)))
    assert found.startswith("stays: ")
    assert said in found


def test_a_question_goes_along_and_is_asked_in_other_words() -> None:
    """Who is asked, what and until when is for the other version to say; the answer takes the saga on."""
    human = "human: {role: boss, asks: 'Go on with {saga.n}?'}"
    asked = step("a", human, "within: 2h", "on_timeout: escalate", undone=False)
    other = asked.replace("boss", "chief").replace("Go on with", "Dare").replace("2h", "1h")
    saga = Lived(flow(asked, B)).when("Started", n=3).after("30m").migrated(second(other, B))
    assert saga.instance is not None
    (question,) = questions_of(saga.spec, saga.instance)
    assert (question.role, question.text, question.since, question.due) == ("chief", "Dare 3?", 0, 3_600_000_000)
    saga.after("30m").order(Answer("a", "flow.ADone", {}, "chief")).then("ADone").when("ADone").then("AskB")
