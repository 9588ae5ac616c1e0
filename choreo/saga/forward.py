"""Forward: which steps begin, what their timeouts mean, when the saga is complete."""

from typing import Any

from choreo.saga.draft import Draft
from choreo.saga.instance import Cause, StepRecord, StepState
from choreo.saga.rules import Step

IN_FLIGHT = (StepState.WAITING, StepState.REQUESTED)
SETTLED = (StepState.DONE, StepState.SKIPPED)
BAD = (StepState.FAILED, StepState.UNKNOWN)


def go_forward(draft: Draft) -> None:
    """Begin what can begin. A failure before the pivot makes it a matter of going back: it sets the cause."""
    while not _failed(draft) and any(_begin(draft, step) for step in draft.steps_in(StepState.IDLE)):
        pass
    if _failed(draft) or draft.ended_at is not None:
        return
    if any(draft.steps_in(*BAD)):
        draft.status = "stuck"
    elif all(draft.state(step) in SETTLED for step in draft.spec.steps):
        draft.status, draft.ended_at = "completed", draft.now
    else:
        draft.status = "waiting"


def _failed(draft: Draft) -> bool:
    """Whether the saga has failed; where it just did, the first bad step becomes the cause."""
    if draft.cause is None and not draft.pivoted:
        for step in draft.steps_in(*BAD):
            record = draft.steps[step.name]
            timed_out = record.by in ("timeout", "deadline")
            kind = "timeout" if timed_out else "failed" if record.state is StepState.FAILED else "unknown"
            draft.cause = Cause(kind=kind, step=step.name, by=record.problem or record.by)  # type: ignore[arg-type]  # one of three
            break
    return draft.cause is not None


def _begin(draft: Draft, step: Step) -> bool:
    """Begin a step whose turn has come; false where nothing changed."""
    if any(draft.state(earlier) not in SETTLED for earlier in step.after):
        return False
    if step.when is not None:
        answer = step.when.evaluate(draft.values(step.when.reads))
        if answer.problem is not None:
            problem = f"when: {answer.problem}"
            draft.move(step, StepState.FAILED, problem, by="condition", problem=problem, due=None)
            return True
        if not answer.value:
            draft.move(step, StepState.SKIPPED, due=None)
            return True
    if step.emit is None:
        draft.move(step, StepState.WAITING, due=_due(draft, step))
        return True
    draft.put(step, attempt=1)
    gap = draft.request(step, step.emit, "do")
    if gap is not None:
        draft.move(step, StepState.FAILED, gap, by="mapping", problem=gap, due=None, attempt=0)
    else:
        draft.move(step, StepState.REQUESTED, due=_due(draft, step))
    return True


def _due(draft: Draft, step: Step) -> int | None:
    """When the step's timer fires: its `within` from now or its deadline, whichever is earlier."""
    within = None if step.within_us is None else draft.now + step.within_us
    limits = [due for due in (within, deadline_of(step, draft.before.started_at)) if due is not None]
    return min(limits, default=None)


def deadline_of(step: Step, started_at: int) -> int | None:
    """The deadline of a step of a saga that started at `started_at` (microseconds)."""
    return None if step.deadline_us is None else started_at + step.deadline_us


def step_timed_out(draft: Draft, step: Step, record: StepRecord) -> None:
    """The time of a step has run out, or its wait before the next request is over."""
    deadline = deadline_of(step, draft.before.started_at)
    expired = deadline is not None and draft.now >= deadline
    rule = step.on_timeout
    if rule.kind == "escalate":
        draft.put(step, overdue=True, due=None if expired else deadline)
        draft.note(f"{step.name}: overdue")
    elif record.state is StepState.IDLE:
        draft.move(step, StepState.FAILED, "not begun by its deadline", by="deadline", due=None)
    elif rule.kind == "retry" and not expired and (record.resting or record.attempt < rule.attempts):
        _retry(draft, step, record)
    else:
        draft.move(step, StepState.UNKNOWN, "timeout", by="deadline" if expired else "timeout", due=None, resting=False)


def _retry(draft: Draft, step: Step, record: StepRecord) -> None:
    assert step.emit is not None
    wait = step.on_timeout.wait_us
    if wait and not record.resting:
        draft.put(step, resting=True, due=draft.now + wait)
        draft.note(f"{step.name}: no answer to request {record.attempt}")
        return
    draft.put(step, attempt=record.attempt + 1, resting=False, due=_due(draft, step))
    draft.request(step, step.emit, "do")
    draft.note(f"{step.name}: requested again, {record.attempt + 1} of {step.on_timeout.attempts}")


def request_again(draft: Draft, step: Step) -> None:
    """Ask once more, whatever the answer or the silence was: `within` begins anew, a passed deadline is over."""
    assert step.emit is not None
    record = draft.steps[step.name]
    limits = (
        None if step.within_us is None else draft.now + step.within_us,
        deadline_of(step, draft.before.started_at),
    )
    due = min((limit for limit in limits if limit is not None and limit > draft.now), default=None)
    told: dict[str, Any] = {
        "attempt": record.attempt + 1,
        "resting": False,
        "overdue": False,
        "by": "",
        "problem": "",
        "due": due,
    }
    if record.state is StepState.REQUESTED:
        draft.put(step, **told)
    else:
        draft.move(step, StepState.REQUESTED, **told)
    draft.request(step, step.emit, "do")
