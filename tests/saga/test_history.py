"""decide: what the history says of each thing that happens to a saga, word by word, for whoever reads it later."""

from typing import Self

from choreo.saga.decision import Answer, Cancel, Decision, Input, Resolve, Retry, Skip
from tests.saga.flow import flow, step
from tests.saga.story import Story

GRANTED, EXPIRED = "choreo.saga.flow.LockGranted", "choreo.saga.flow.LockExpired"
A, B = step("a", "emit: AskA"), step("b", "after: a", "emit: AskB")


class Chronicle(Story):
    """A story that keeps its whole history."""

    def _apply(self, decision: Decision, given: Input) -> None:
        super()._apply(decision, given)
        self._lines = [*getattr(self, "_lines", ()), *decision.changes]

    def says(self, *lines: str) -> Self:
        """Exactly these lines were written since the last `says`."""
        told, self._lines = self._lines, []
        assert told == list(lines)
        return self


def test_forward_every_step_tells_by_which_event_it_went_on() -> None:
    """From the start to the end, the saga last."""
    story = Chronicle(flow(A, B)).when("Started").says("started", "a: idle -> requested")
    story.when("ADone").says("a: requested -> done (flow.ADone)", "b: idle -> requested")
    story.when("BDone").says("b: requested -> done (flow.BDone)", "waiting -> completed")


def test_backward_every_undo_tells_what_it_was_for() -> None:
    """What may have happened is told to, and the success that is heard too late."""
    story = Chronicle(flow(A, B, step("c"))).when("Started", "ADone")
    story.says(
        "started",
        "a: idle -> requested",
        "c: idle -> waiting",
        "a: requested -> done (flow.ADone)",
        "b: idle -> requested",
    )
    story.when("BFailed").says(
        "b: requested -> failed (flow.BFailed)",
        "c: waiting -> unknown (may have happened)",
        "a: done -> compensating",
        "c: unknown -> compensating",
        "waiting -> compensating",
    )
    story.when("CDone").says("c: happened while it is undone (flow.CDone)")
    story.when("CUndone").says("c: compensating -> compensated (flow.CUndone)")
    story.when("AUndone").says("a: compensating -> compensated (flow.AUndone)", "compensating -> compensated")
    story.after("1s").when("ADone")
    story.says(
        "a: compensated -> done (flow.ADone, after its undo)", "a: done -> compensating", "compensated -> compensating"
    )


def test_an_undo_that_is_stale_is_told() -> None:
    """The answer of an undo from before the success: another one is asked for."""
    story = Chronicle(flow(step("a", "within: 1m"))).when("Started").after("1m")
    answer = story.received("AUndone")
    story.after("1s").when("ADone").says(
        "started",
        "a: idle -> waiting",
        "a: waiting -> unknown (timeout)",
        "a: unknown -> compensating",
        "waiting -> compensating",
        "a: happened while it is undone (flow.ADone)",
    )
    story.give(answer).says("a: compensating -> done (done after its undo)", "a: done -> compensating")


def test_every_undo_that_fails_is_counted() -> None:
    """Which one failed, which one is asked for, and what made the saga stuck."""
    undo = "{emit: UndoA, done_on: AUndone, fails_on: Told1, attempts: 2, wait: 10s, within: 1m}"
    spec = flow(f"{{name: a, completes_on: ADone, compensate: {undo}}}", step("b", "after: a"))
    story = Chronicle(spec).when("Started", "ADone", "BFailed")
    story.says(
        "started",
        "a: idle -> waiting",
        "a: waiting -> done (flow.ADone)",
        "b: idle -> waiting",
        "b: waiting -> failed (flow.BFailed)",
        "a: done -> compensating",
        "waiting -> compensating",
    )
    story.when("Told1").says("a: undo 1 failed (flow.Told1)")
    story.after("10s").says("a: undo requested again, 2 of 2")
    story.when("Told1").says("a: compensating -> compensation_failed (flow.Told1)", "compensating -> stuck")
    silent = Chronicle(spec).when("Started", "ADone", "BFailed").after("2m")
    silent._lines = silent._lines[-3:]
    silent.says(
        "a: undo requested again, 2 of 2", "a: compensating -> compensation_failed (timeout)", "compensating -> stuck"
    )


def test_requests_questions_and_reminders_are_counted() -> None:
    """Each with how many there may be."""
    retry = "on_timeout: {retry: {attempts: 3, wait: 10m}}"
    story = Chronicle(flow(step("a", "emit: AskA", "within: 1h", retry))).when("Started").after("1h")
    story.says("started", "a: idle -> requested", "a: no answer to request 1")
    story.after("10m").says("a: requested again, 2 of 3").after("1h").says("a: no answer to request 2")
    ask = "on_timeout: {ask: {emit: Told1, within: 10m, attempts: 2}}"
    story = Chronicle(flow(step("a", "within: 1h", ask))).when("Started").after("70m")
    story.says(
        "started",
        "a: idle -> waiting",
        "a: asked what became of it, 1 of 2",
        "a: asked what became of it, 2 of 2",
    )
    story.after("10m").says("a: waiting -> unknown (timeout)", "a: unknown -> compensating", "waiting -> compensating")
    story = Chronicle(flow(step("a", "remind: {emit: Told1, every: 1d, at_most: 2}"))).when("Started").after("9d")
    story.says("started", "a: idle -> waiting", "a: reminded, 1 of 2", "a: reminded, 2 of 2")


def test_what_cannot_be_said_is_told_instead() -> None:
    """A question, a reminder or a telling whose fields can't be worked out goes unsaid, and the history says which."""
    told = "{event: Told, with: {m: 1 / saga.n}}"
    asks = f"on_timeout: {{ask: {{emit: {told}, within: 10m, attempts: 2}}}}"
    reminds = f"remind: {{emit: {told}, every: 40m, at_most: 2}}"
    spec = flow(step("a", "within: 1h", asks, reminds, f"tell: {{done: {told}}}"), tell=f"{{completed: {told}}}")
    story = Chronicle(spec).when("Started", n=0).after("79m").when("ADone").then()
    says = "flow.Told.m: divide by zero"
    story.says(
        "started",
        "a: idle -> waiting",
        "a: reminded, 1 of 2",
        f"a: reminder 1 goes unsaid: {says}",
        "a: asked what became of it, 1 of 2",
        f"a: ask 1 goes unsaid: {says}",
        "a: asked what became of it, 2 of 2",
        f"a: ask 2 goes unsaid: {says}",
        "a: waiting -> done (flow.ADone)",
        f"a: done goes unsaid: {says}",
        f"saga: completed goes unsaid: {says}",
        "waiting -> completed",
    )


def test_the_time_of_a_step_is_told_when_it_is_over() -> None:
    """Overdue, not begun, put off."""
    story = Chronicle(flow(step("a", "within: 1h", "on_timeout: escalate"))).when("Started").after("1h")
    story.says("started", "a: idle -> waiting", "a: overdue")
    story = Chronicle(flow(step("a", "emit: AskA", "not_before: 2h", "deadline: 1h"))).when("Started").after("1h")
    story.says("started", "a: idle -> held", "a: held -> failed (not begun by its deadline)", "waiting -> compensated")


def test_what_cannot_begin_tells_what_there_is_not() -> None:
    """A condition, a time, a field of the request, a list of items."""
    for key, value, says in (
        ("when", "1 / saga.n > 0", "when: divide by zero"),
        ("deadline", "saga.at", "saga.at: "),
        ("not_before", "saga.at", "saga.at: "),
        ("emit", "{event: Told, with: {m: 1 / saga.n}}", "flow.Told.m: divide by zero"),
        ("for_each", "saga.items, item_key: item", "the list of its items has no value"),
    ):
        more = [*(["emit: AskA"] if key != "emit" else []), *(["deadline: 9h"] if key != "deadline" else [])]
        story = Chronicle(flow(step("a", f"{key}: {value}", *more))).when("Started", n=0)
        _, failed, _ = story.last.changes
        assert failed.startswith(f"a: idle -> failed ({says}"), failed
        assert story.instance is not None
        record = story.instance.steps["a"]
        assert f"({record.problem})" in failed
        assert record.by in ("condition", "time", "mapping", "items")


def test_what_is_done_again_tells_why() -> None:
    """Taken back by an event, repeated, and repeated in vain."""
    story = Chronicle(flow(step("a", "emit: AskA", "reopens_on: Told1"))).when("Started", "ADone", "Told1")
    story.says(
        "started",
        "a: idle -> requested",
        "a: requested -> done (flow.ADone)",
        "waiting -> completed",
        "a: done -> idle (flow.Told1)",
        "a: idle -> requested",
        "completed -> waiting",
    )
    again = step("a", "emit: AskA", "repeat: {until: steps.a.n > 5, at_most: 2}")
    story = Chronicle(flow(again)).when("Started").when("ADone", n=1).when("ADone", n=2)
    story.says(
        "started",
        "a: idle -> requested",
        "a: requested -> done (flow.ADone)",
        "a: done -> idle (1 of 2)",
        "a: idle -> requested",
        "a: requested -> done (flow.ADone)",
        "a: done -> unknown (not so after 2 times: steps.a.n > 5)",
        "a: unknown -> compensating",
        "waiting -> compensating",
    )
    fails = step("a", "emit: AskA", "repeat: {until: 1 / steps.a.n > 0, at_most: 4}")
    story = Chronicle(flow(fails)).when("Started").when("ADone", n=0)
    assert "a: done -> unknown (until: divide by zero)" in story.last.changes


def test_what_is_taken_back_or_left_out_tells_by_which_event() -> None:
    """While the saga goes back, when a step is skipped, and where a service does not know."""
    spec = flow(step("a", "emit: AskA", "reopens_on: Told1", "skips_on: Told2", "unknown_on: Told3"), step("b"))
    story = Chronicle(spec).when("Started", "ADone", "BFailed", "Told1")
    assert story.last.changes == ("a: compensating -> compensated (flow.Told1)", "compensating -> compensated")
    story = Chronicle(spec).when("Started", "Told2")
    assert story.last.changes == ("a: requested -> skipped (flow.Told2)",)
    assert story.instance is not None
    assert story.instance.steps["a"].by == "flow.Told2"
    story = Chronicle(spec).when("Started", "Told3")
    assert story.last.changes[0] == "a: requested -> unknown (flow.Told3)"


def test_who_wants_the_saga_back_is_told_of() -> None:
    """Cancelled or refused, taken back or refused, and where it has gone back already."""
    back = {"compensates_on": "{event: Told4, refused: Told5}"}
    story = Chronicle(flow(A, **back)).when("Started", "Cancelled", "AUndone", "Told4")
    story.says(
        "started",
        "a: idle -> requested",
        "cancelled (flow.Cancelled)",
        "a: requested -> unknown (may have happened)",
        "a: unknown -> compensating",
        "waiting -> compensating",
        "a: compensating -> compensated (flow.AUndone)",
        "compensating -> cancelled",
        "cancelled already (flow.Told4)",
    )
    story = Chronicle(flow(A, **back)).when("Started", "ADone", "Cancelled", "Told4")
    story.says(
        "started",
        "a: idle -> requested",
        "a: requested -> done (flow.ADone)",
        "waiting -> completed",
        "cancellation refused (flow.Cancelled)",
        "taken back (flow.Told4)",
        "a: done -> compensating",
        "completed -> compensating",
    )
    story = Chronicle(flow(step("a", "pivot: true", undone=False), **back)).when("Started", "ADone", "Told4")
    assert story.last.changes == ("compensation refused (flow.Told4)",)


def test_a_lock_tells_of_its_loss_and_of_who_waits_for_it() -> None:
    """Lost, asked for again, and what was put off goes back to its turn."""
    spec = flow(A, step("b", "emit: AskB", "not_before: 1h"), isolate_on="{by: n, expires: 10m}")
    story = Chronicle(spec).when("Started", n=7).when(GRANTED, EXPIRED)
    assert story.last.changes == (
        f"lock: lost ({EXPIRED})",
        "lock: done -> idle (to be asked for again)",
        "b: held -> idle (without its lock)",
        "lock: idle -> requested",
    )


def test_items_tell_what_they_have_come_to() -> None:
    """Added, not needed any more, too few, and how many are done when the step is."""
    each = ("for_each: saga.items", "item_key: item", "emit: AskA")
    spec = flow(step("a", *each, "complete: any", "rest: undo", "adds_on: Told1"))
    story = Chronicle(spec).when("Started", items=["x", "y"]).when("Told1", item="z").when("ADone", item="x")
    story.says(
        "started",
        "a: idle -> waiting",
        "a[x]: idle -> requested",
        "a[y]: idle -> requested",
        "a: one more item, z (flow.Told1)",
        "a[z]: idle -> requested",
        "a[x]: requested -> done (flow.ADone)",
        "a: waiting -> done (1 of 3)",
        "a[y]: requested -> unknown (not needed any more)",
        "a[y]: unknown -> compensating",
        "a[z]: requested -> unknown (not needed any more)",
        "a[z]: unknown -> compensating",
    )
    story = Chronicle(flow(step("a", *each, "reopens_on: Told1"))).when("Started", items=["x"]).when("ADone", item="x")
    story.when("Told1", item="x")
    assert story.last.changes == (
        "a[x]: done -> idle (flow.Told1)",
        "a: done -> idle (0 of 1)",
        "a: idle -> waiting",
        "a[x]: idle -> requested",
        "completed -> waiting",
    )
    story.when("AFailed", item="x")
    assert story.last.changes[:2] == (
        "a[x]: requested -> failed (flow.AFailed)",
        "a: waiting -> failed (0 of 1 done, 1 wanted, a[x] failed (AFailed))",
    )


def test_every_order_tells_who_gave_it_and_why() -> None:
    """What is ordered, of which step, and what of it."""
    pivot = step("b", "pivot: true", undone=False)
    for order, says in (
        (Retry("a"), "retry a (by ada: seen it)"),
        (Skip("a"), "skip a (by ada: seen it)"),
        (Resolve("a", "done"), "resolve a done (by ada: seen it)"),
        (Answer("a", "flow.ADone", {}), "answer a flow.ADone (by ada: seen it)"),
        (Answer("a", "flow.ADone", {}, "boss"), "answer a flow.ADone (by ada as boss: seen it)"),
    ):
        story = Chronicle(flow(pivot, step("a", "after: b", "emit: AskA"))).when("Started", "BDone").orders(order)
        assert story.last.changes[0] == says
        refused = Chronicle(flow(pivot, step("a", "after: b", "emit: AskA"))).when("Started", "BDone", "ADone")
        refused.orders(order)
        assert refused.last.changes == (f"{says} refused: the saga has ended (completed)",)
    story = Chronicle(flow(A)).when("Started").orders(Cancel())
    assert story.last.changes[:2] == ("cancel (by ada: seen it)", "cancelled (operator ada)")
    unknown = Chronicle(flow(A)).orders(Cancel())
    assert unknown.last.dead_letter == "cancel (by ada: seen it) refused: there is no such saga flow"
