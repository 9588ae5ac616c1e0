"""Migrating: which sagas under way another version of their spec can follow, and what becomes of those."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from choreo.saga.adopt import revision
from choreo.saga.decision import Resolve, Retry, Skip
from choreo.saga.migration import Answers, Verdict
from choreo.saga.rules import Spec
from tests.saga.flow import NAMES, flow, step
from tests.saga.lived import Lived

A = step("a", "emit: AskA")
B = step("b", "emit: AskB", "after: a")


def second(*steps: str, **keys: str) -> Spec:
    """Version 2 of a flow."""
    return flow(*steps, version="2", **keys)


def why(verdict: Verdict) -> str:
    """Its outcome and its reasons in one line."""
    return f"{verdict.outcome}: {'; '.join(verdict.reasons)}"


def at_b(spec: Spec | None = None, *without: str) -> Lived:
    """`a` is done, `b` is asked for; events did not have these fields."""
    return Lived(spec or flow(A, B), without).when("Started", "ADone")


def test_a_step_to_come_may_be_added() -> None:
    """The saga goes on under the version that has one more step, and is complete when that is done."""
    saga = at_b().migrated(second(A, B, step("c", "emit: AskC", "after: b")))
    assert (saga.instance is not None, saga.instance and saga.instance.version) == (True, 2)
    assert saga.last.changes == ("migrate to version 2 (by ada: why not)", "c: new, idle")
    saga.then("AskA", "AskB").when("BDone").then("AskC").when("CDone").stands("completed")


def test_a_step_to_come_may_go() -> None:
    """What had not begun is not missed."""
    saga = at_b(flow(A, B, step("c", "emit: AskC", "after: b"))).migrated(second(A, B))
    saga.when("BDone").stands("completed")


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((A, step("c", "emit: AskC", "after: a"), step("b", "emit: AskB", "after: c")), "b is requested"),
        ((step("c", "emit: AskC"), A, B), "version 2 would have emitted flow.AskC by now (step c)"),
        ((step("c"), A, B), "c would be waiting under version 2: it is past the turn of that step"),
        ((step("a", "emit: AskC"), B), "it has emitted flow.AskA (step a), version 2 would not have"),
        ((A, step("b", "after: a")), "b is requested, under version 2 it would be waiting"),
    ],
)
def test_what_is_past_is_not_mended(steps: tuple[str, ...], said: str) -> None:
    """A step before the place where it stands, or another request than was made: the saga stays with its version."""
    verdict = at_b().judged(second(*steps))
    assert verdict.order is None
    assert why(verdict).startswith("stays: ")
    assert said in why(verdict)


def test_a_step_whose_event_came_already_may_be_added() -> None:
    """Nobody has to ask for it, and the log says that it is done."""
    saga = Lived(flow(A, B)).when("Started", "CDone", "ADone").migrated(second(A, B, step("c")))
    assert saga.state("c") == "done"
    saga.when("BDone").stands("completed")


RENAMED = (A, "{name: booked, emit: AskB, completes_on: BDone, fails_on: BFailed, after: a, compensate: none}")
OLD_B = "{name: b, emit: AskB, completes_on: BDone, fails_on: BFailed, after: a, compensate: none}"


def test_a_step_that_began_and_is_renamed_needs_a_mapping() -> None:
    """The question names the step; with the answer the saga is taken over, and the step goes on by its new name."""
    saga, to = at_b(flow(A, OLD_B)), second(*RENAMED)
    verdict = saga.judged(to)
    assert why(verdict) == "needs mapping: step b is requested, and version 2 has no such step"
    assert [(one.about, one.name) for one in verdict.questions] == [("steps", "b")]
    saga.migrated(to, Answers({"b": "booked"}))
    assert saga.last.changes[1:] == ("b: is now booked",)
    saga.when("BDone").stands("completed")


def test_a_renamed_step_is_asked_for_under_the_same_request_id() -> None:
    """A service that hears the request again knows it: it does the work once."""
    retry = "on_timeout: {retry: {attempts: 3}}, within: 1h"
    old, new = OLD_B.replace("after: a", f"after: a, {retry}"), RENAMED[1].replace("after: a", f"after: a, {retry}")
    saga = at_b(flow(A, old)).migrated(second(A, new), Answers({"b": "booked"}))
    saga.after("1h").then("AskA", "AskB", "AskB")
    first, again = saga.emits[1:]
    assert (again.step, again.attempt, again.request_id) == ("booked", 2, first.request_id)


def test_a_step_may_be_dropped() -> None:
    """Somebody says that a step that began is not followed any more."""
    saga, to = Lived(flow(A, step("b", "emit: AskB"))).when("Started", "BDone"), second(A)
    assert saga.judged(to).outcome == "needs mapping"
    saga.migrated(to, Answers({"b": None}))
    assert saga.last.changes[1:] == ("b: done -> dropped",)
    saga.when("AFailed").stands("compensated").then("AskA", "AskB")


def test_two_steps_do_not_become_one() -> None:
    """An answer that makes one step of two is refused."""
    saga = Lived(flow(A, step("b", "emit: AskB"))).when("Started")
    assert "two steps that it has would both be a" in why(saga.judged(second(A), Answers({"b": "a"})))


def test_a_shorter_timeout_holds_from_now_on() -> None:
    """What would be over by now fires at once; what is still to come fires at its time, from when the step began."""
    saga = Lived(flow(A, within="10h")).when("Started").after("2h").migrated(second(A, within="1h"))
    assert saga.timers == {"a": 3_600_000_000}
    saga.after("0s").stands("compensating", "AUndone")
    saga = Lived(flow(A, within="10h")).when("Started").after("2h").migrated(second(A, within="3h"))
    saga.after("59m").stands("waiting", "ADone").after("1m").then("AskA", "UndoA")


def test_a_timeout_that_struck_in_one_version_only_keeps_the_saga() -> None:
    """Under the other version the step would still have waited, or would not have waited so long."""
    saga = Lived(flow(A, B, within="1h")).when("Started").after("1h")
    assert why(saga.judged(second(A, B, within="2h"))).startswith(
        "stays: it is compensating, under version 2 it would be"
    )
    saga = Lived(flow(A, B, within="2h")).when("Started").after("90m").when("ADone")
    assert why(saga.judged(second(A, B, within="1h"))).startswith("stays: it is waiting, under version 2 it would be")
    saga.migrated(second(A, B, within="100m"))
    assert saga.timers == {"b": (90 + 100) * 60_000_000}


def test_requests_compare_whatever_their_number() -> None:
    """More patience means fewer requests of the same kind; the attempts made stay counted."""
    impatient = step("a", "emit: AskA", "within: 1h", "on_timeout: {retry: {attempts: 5}}")
    patient = step("a", "emit: AskA", "within: 5h", "on_timeout: {retry: {attempts: 5}}")
    saga = Lived(flow(impatient)).when("Started").after("2h").migrated(second(patient))
    assert saga.instance is not None
    assert saga.instance.steps["a"].attempt == 3
    assert saga.timers == {"a": 5 * 3_600_000_000}


def test_an_undo_under_way_goes_on_where_both_versions_ask_alike() -> None:
    """The other version may be more patient; it may not have asked for another undo."""
    spec = flow(A, step("b", "emit: AskB"))
    saga = Lived(spec).when("Started", "ADone", "BFailed").stands("compensating", "AUndone")
    other = A.replace("UndoA", "UndoC")
    assert "stays: version 2 would have emitted flow.UndoC by now" in why(
        saga.judged(second(other, step("b", "emit: AskB")))
    )
    patient = A.replace("done_on: AUndone", "done_on: AUndone, within: 1h, attempts: 9")
    saga.migrated(second(patient, step("b", "emit: AskB")))
    assert saga.timers == {"a": 3_600_000_000}
    saga.when("AUndone").stands("compensated")


def test_an_undo_under_way_keeps_its_cause() -> None:
    """Where something else would have begun the same undo, the saga stays."""
    saga = Lived(flow(A, B, step("c", undone=False))).when("Started", "ADone", "CFailed", "Cancelled")
    reason = "it is undone because of c (failed), under version 2 it would be because of cancelled"
    assert why(saga.judged(second(A, B), Answers({"c": None}))) == f"stays: {reason}"


def test_what_no_event_has_is_asked_for() -> None:
    """A remembered field of the start, and one of a step; the answers are remembered like those of events."""
    to = second(A, step("b", "emit: {event: Told1, with: {n: saga.n + steps.a.n}}", "after: a"))
    saga = at_b(flow(A, step("b", "emit: Told1", "after: a")), "n")
    verdict = saga.judged(to)
    assert [(one.about, one.name) for one in verdict.questions] == [("fields", "saga.n"), ("fields", "steps.a.n")]
    saga.migrated(to, saga_n=3, steps_a_n=4)
    assert saga.instance is not None
    assert (saga.instance.remembered["n"], saga.instance.steps["a"].fields) == (3, {"n": 4})


def test_what_an_earlier_migration_was_told_need_not_be_told_again() -> None:
    """A second migration finds the steps by their first names and knows the values."""
    named = RENAMED[1].replace("emit: AskB", "emit: {event: AskB, with: {n: saga.n}}")
    saga = at_b(flow(A, OLD_B), "n").order(Retry("b"))
    saga.migrated(second(A, named), Answers({"b": "booked"}), saga_n=7).order(Retry("booked"))
    third = flow(A, named.replace("booked", "kept"), version="3")
    assert why(saga.judged(third)) == "needs mapping: step booked is requested, and version 3 has no such step"
    saga.migrated(third, Answers({"booked": "kept"}))
    assert saga.instance is not None
    assert (saga.instance.remembered["n"], saga.instance.steps["kept"].attempt) == (7, 3)
    saga.order(Retry("kept"))
    assert {emit.request_id for emit in saga.emits[1:]} == {saga.emits[1].request_id}
    saga.when("BDone").stands("completed")


def test_orders_of_operators_are_folded_too() -> None:
    """A step that was skipped by hand is skipped in the other version."""
    saga = Lived(flow(A, B, step("c", "emit: AskC", "after: b"))).when("Started", "ADone").order(Skip("b"))
    saga.migrated(second(A, B, step("c", "emit: AskC", "after: b"), step("d", "after: c")))
    assert (saga.state("b"), saga.state("c"), saga.state("d")) == ("skipped", "requested", "idle")


def test_orders_count_by_the_names_of_their_time() -> None:
    """What was said of a step is folded as said of what it has become, over two migrations."""
    last = step("c", "emit: AskC", "after: b")
    saga = at_b(flow(A, OLD_B, last)).order(Resolve("b", "done"))
    for version, was, name in (("2", "b", "booked"), ("3", "booked", "kept")):
        renamed = RENAMED[1].replace("booked", name)
        to = flow(A, renamed, last.replace("after: b", f"after: {name}"), version=version)
        saga.migrated(to, Answers({was: name}))
        assert (saga.state(name), saga.state("c")) == ("done", "requested")


def test_an_event_that_only_tells_is_asked_about() -> None:
    """Nothing is told late or taken back: somebody says that it need not be."""
    saga, to = at_b(), second(A, B, tell="{started: Told1, completed: Told2}")
    verdict = saga.judged(to)
    assert why(verdict) == "needs mapping: version 2 would have told flow.Told1 by now, and nobody heard it"
    saga.migrated(to, Answers(events=frozenset({"flow.Told1"})))
    saga.when("BDone").then("AskA", "AskB", "Told2")
    saga = at_b(flow(A, B, tell="{started: Told1}"))
    assert "it has told flow.Told1, and version 2 would not have" in why(saga.judged(second(A, B)))


def test_a_saga_that_started_otherwise_stays() -> None:
    """Another start event, or another key, is another saga."""
    saga = at_b()
    assert "version 2 starts on flow.Told1" in why(saga.judged(second(A, B, starts_on="Told1")))
    table = ", ".join(f"{name}: {'at' if name == 'Started' else 'case'}" for name in NAMES)
    keyed = second(A, B, correlate_by=f"{{{table}}}")
    assert why(saga.judged(keyed)) == "stays: its key is case, that of version 2 is at"


def test_one_that_has_ended_stays() -> None:
    """There is nothing to go on with."""
    assert why(at_b().when("BDone").judged(second(A, B))) == "stays: it has ended (completed)"


def test_a_history_with_gaps_keeps_the_saga() -> None:
    """Where the log no longer leads to where the saga stands, nothing is guessed."""
    saga = at_b()
    del saga.past[1]
    assert "its events on the log do not lead to where it stands" in why(saga.judged(second(A, B)))


def test_an_event_in_between_refuses_the_order() -> None:
    """What was worked out from a saga that has gone on since is not carried out; worked out again, it is."""
    saga, to = at_b(), second(A, B, step("c", "emit: AskC", "after: b"))
    verdict = saga.judged(to)
    assert verdict.order is not None
    saga.when("BFailed").order(verdict.order, to)
    assert saga.last.refused == "it has gone on since this was worked out: migrate it again"
    assert saga.instance is not None
    assert (saga.instance.version, saga.last.emits, saga.last.timers) == (1, (), ())
    saga.past.pop()
    saga.spec = saga.specs[saga.first]
    saga.migrated(to).when("AUndone").stands("compensated")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"digest": "0" * 64}, "version 2 is not deployed: choreo sagas deploy, then run the coordinator with it"),
        ({"revision": ""}, "it has gone on since this was worked out: migrate it again"),
        ({"instance": {"version": 7}}, "what is to become of it does not fit version 2"),
        ({"instance": {"steps": {}}}, "what is to become of it does not fit version 2"),
        ({"instance": {"status": "stuck"}}, "what is to become of it does not fit version 2"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(told: dict[str, Any], said: str) -> None:
    """A saga follows one version or the other, never half of each."""
    saga, to = at_b(), second(A, B)
    order = saga.judged(to).order
    assert order is not None
    instance = order.instance.model_copy(update=told.pop("instance", {}))
    before = saga.instance
    saga.order(order._replace(instance=instance, **told), to)
    assert saga.last.refused == said
    assert before is not None
    assert saga.instance is not None
    assert saga.instance.model_copy(update={"seen": before.seen}) == before


def test_a_migration_is_not_done_twice() -> None:
    """A second order to the same version is refused, and so is one after the end."""
    saga, to = at_b(), second(A, B)
    order = saga.judged(to).order
    assert order is not None
    saga.order(order, to).order(order, to)
    assert saga.last.refused == "it follows version 2 already"
    saga.when("BDone").order(order, to)
    assert saga.last.refused == "the saga has ended (completed)"


def test_a_revision_tells_of_every_change() -> None:
    """Two that differ in anything are told apart; the same read back from a store is not."""
    saga = at_b()
    assert saga.instance is not None
    first = revision(saga.instance)
    assert revision(type(saga.instance).model_validate_json(saga.instance.model_dump_json())) == first
    assert revision(saga.instance.model_copy(update={"due": 1})) != first


def test_an_answer_that_overtook_its_timer_still_does() -> None:
    """While the coordinator stood still, a timer came due and then the answer: the answer was handled first, and is."""
    saga = Lived(flow(A, B, within="1h")).when("Started")
    saga.now = 2 * 3_600_000_000
    saga.when("ADone").stands("waiting", "BDone")
    saga.migrated(second(A, B, within="1h"))


def test_items_go_with_their_step() -> None:
    """Also where it is renamed: what is done is done, what is asked for stays asked for."""
    each = "{name: b, for_each: saga.items, item_key: item, emit: AskB, completes_on: BDone, compensate: none}"
    saga = Lived(flow(each)).when("Started", items=["x", "y"]).when("BDone", item="x")
    to = second(each.replace("name: b", "name: c"))
    assert [one.name for one in saga.judged(to).questions] == ["b"]
    saga.migrated(to, Answers({"b": "c"}))
    assert (saga.state("c[x]"), saga.state("c[y]")) == ("done", "requested")
    saga.when("BDone", item="y").stands("completed")


RICH = (
    step("a", "emit: AskA", "within: 1h", "on_timeout: {retry: {attempts: 2, wait: 10m}}"),
    step("b", "emit: AskB", "within: 90m", "skips_on: Told3", "remind: {emit: Told1, every: 20m, at_most: 2}"),
    step("c", "after: [a, b]", "when: saga.n < 3", "reopens_on: Told4", "unknown_on: Told5"),
    step("d", "emit: AskD", "after: c", "pivot: true", undone=False),
)
EVENTS = ("ADone", "AFailed", "AUndone", "BDone", "BFailed", "BUndone", "CDone", "CUndone", "DDone", "Cancelled")
MOVES = st.one_of(
    st.sampled_from((*EVENTS, "Told3", "Told4", "Told5")),
    st.sampled_from(("after 5m", "after 25m", "after 2h", "skip b")),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(MOVES, max_size=9), st.integers(0, 4), st.booleans())
def test_the_same_rules_under_another_number_are_always_safe(moves: list[str], n: int, early: bool) -> None:
    """Whatever a saga went through, a version that says the same finds it where it stands, with its timers."""
    saga = Lived(flow(*RICH, remember="[n]"))
    saga.when(*(["CDone"] if early else [])).when("Started", n=n)
    for move in moves:
        word, _, rest = move.partition(" ")
        if word == "after":
            saga.after(rest)
        elif word == "skip":
            saga.order(Skip(rest))
        else:
            saga.when(move)
    assert saga.instance is not None
    before, timers = saga.instance, dict(saga.timers)
    if before.ended:
        assert saga.judged(second(*RICH, remember="[n]")).outcome == "stays"
        return
    saga.migrated(second(*RICH, remember="[n]"))
    assert (saga.instance.steps, saga.instance.remembered) == (before.steps, before.remembered)
    assert (saga.timers, saga.last.emits) == (timers, ())
