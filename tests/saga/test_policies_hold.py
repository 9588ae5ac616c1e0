"""Whatever the policies are and whatever comes in whatever order: nothing is lost without a word."""

from dataclasses import replace
from itertools import permutations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from choreo.saga.decision import Decision, Input
from choreo.saga.instance import Held
from choreo.saga.policies import Policy, Timing
from choreo.saga.rules import Role, Spec
from tests.saga.flow import flow, step
from tests.saga.story import Story

UNDO_A = "{emit: UndoA, done_on: AUndone, fails_on: Told3, attempts: 2, wait: 1m}"
SPEC = flow(
    "{name: a, emit: AskA, completes_on: ADone, fails_on: AFailed, unknown_on: Told1, reopens_on: Told2, "
    f"compensate: {UNDO_A}}}",
    step("b", "after: a", "emit: AskB", "skips_on: Told4"),
    step("c", "after: b", "emit: AskC", "repeat: {until: steps.c.n > 0, at_most: 2}"),
    step("d", "after: c", "pivot: true"),
)
EVENTS = sorted(event.removeprefix("flow.") for event in SPEC.parts)
WORDS = {
    Timing.EARLY: ("take", "keep", "ignore", "dead-letter", "fail"),
    Timing.LATE: ("take", "ignore", "dead-letter", "fail"),
    Timing.DUPLICATE: ("ignore", "merge", "dead-letter", "fail"),
    Timing.OUT_OF_ORDER: ("take", "ignore", "dead-letter", "fail"),
    Timing.UNEXPECTED: ("ignore", "dead-letter", "fail"),
}
AS_EVER = {timing: words[0] for timing, words in WORDS.items()}


def with_policies(words: dict[Timing, str]) -> Spec:
    """The spec with a policy of every timing for every event; where one makes no sense, such events are ignored."""
    found = []
    for event, parts in SPEC.parts.items():
        roles = {part.role for part in parts}
        for timing, word in words.items():
            senseless = (
                (word == "merge" and Role.COMPLETES not in roles)
                or (word == "fail" and Role.CANCELS in roles)
                or (word == "fail" and event == "flow.DDone")
            )
            found.append(Policy(event, timing, "ignore" if senseless else word, 3_600_000_000))  # type: ignore[arg-type]  # one of WORDS
    return replace(SPEC, events=tuple(found))


class Watched(Story):
    """A story in which every decision is looked at: what it keeps no longer was taken or is a dead letter, and an ended
    saga keeps nothing.
    """

    def _apply(self, decision: Decision, given: Input) -> None:
        before = self._held()
        super()._apply(decision, given)
        assert self.instance is None or not (self.instance.ended and self.instance.held)
        for event_id in before.keys() - self._held().keys():
            event, letters = before[event_id].event, [one.hex() for one, _ in decision.letters]
            assert event_id in letters or f"no longer kept: {event}" in decision.changes

    def _held(self) -> dict[str, Held]:
        return {} if self.instance is None else {one.event_id: one for one in self.instance.held}


SAID = st.fixed_dictionaries({timing: st.sampled_from(words) for timing, words in WORDS.items()})
COMING = st.tuples(st.sampled_from(EVENTS), st.integers(0, 3), st.integers(0, 1), st.sampled_from(["0s", "5m", "2h"]))
"""An event, how many seconds ago it was emitted, its number, and what passes before it comes."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SAID, st.booleans(), st.lists(COMING, max_size=14))
def test_no_policy_loses_an_event_without_a_word(
    words: dict[Timing, str], begun: bool, coming: list[tuple[str, int, int, str]]
) -> None:
    """Each event changes something, is kept, is a dead letter, or is noted as ignored; what is kept has an end."""
    story = Watched(with_policies(words))
    story.now = 10_000_000
    for event, ago, n, passing in [("Started", 0, 0, "0s"), *coming] if begun else coming:
        story.after(passing)
        received = story.received(event, n=n)._replace(at=story.now - ago * 1_000_000)
        story.give(received)
        last = story.last
        assert last.changes or last.keep or last.letters or last.dead_letter, event
    story.after("400d")
    assert story.instance is None or story.instance.held == ()
    assert "~held" not in story.timers


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(COMING, max_size=14))
def test_to_take_and_ignore_is_what_happens_without_a_policy(coming: list[tuple[str, int, int, str]]) -> None:
    """With `take` and `ignore` written out the saga goes where it goes without a word, and emits the same."""
    plain, said = Story(SPEC), Story(with_policies(AS_EVER))
    for event, ago, n, passing in [("Started", 0, 0, "0s"), *coming]:
        for story in (plain, said):
            story.after(passing)
            story.give(story.received(event, n=n)._replace(at=story.now - ago * 1_000_000))
        assert plain.emits == said.emits
        assert plain.timers == said.timers
        assert plain.instance is not None
        assert said.instance is not None
        told = {"seen": (), "digest": ""}
        assert plain.instance.model_copy(update=told) == said.instance.model_copy(update=told)


def test_the_order_of_arrival_does_not_matter_where_early_events_wait() -> None:
    """In whatever order the steps' events come: the same requests in the same order, the same end."""
    chain = (step("a", "emit: AskA"), step("b", "after: a", "emit: AskB"), step("c", "after: b", "emit: AskC"))
    spec = flow(*chain, events='{"*": {early: keep}}')
    for order in permutations(("Started", "ADone", "BDone", "CDone")):
        Watched(spec).when(*order).then("AskA", "AskB", "AskC").stands("completed")
