"""Backward: what is undone, in which order, and when a saga is stuck or through.

Undone is what completed or may have, in the reversed partial order of the steps unless their compensations say
otherwise, independent steps in parallel.
"""

from typing import Any

from choreo.saga.draft import Draft
from choreo.saga.instance import IN_FLIGHT, NOT_BEGUN, UNDOING, StepRecord, StepState
from choreo.saga.rules import Step

NOT_REPEATED = (*NOT_BEGUN, StepState.FAILED, StepState.SKIPPED)
"""Where a further run of a step certainly did not happen."""


def go_back(draft: Draft) -> None:
    """Undo whatever can be undone now."""
    for step in draft.steps_in(StepState.IDLE, StepState.HELD):
        draft.put(step, due=None)
    for step in draft.steps_in(*IN_FLIGHT):
        draft.move(step, StepState.UNKNOWN, "may have happened", due=None, resting=False)
    for step in draft.spec.steps:
        if _to_undo(draft, step) and not _followed(draft, step):
            undo_now(draft, step)
    if any(draft.steps_in(StepState.COMPENSATION_FAILED)):
        draft.status, draft.ended_at = "stuck", None
    elif any(_open(draft, step) for step in draft.spec.steps):
        draft.status, draft.ended_at = "compensating", None
    elif draft.ended_at is None:
        assert draft.cause is not None
        draft.status, draft.ended_at = ("cancelled" if draft.cause.kind == "cancelled" else "compensated"), draft.now


def _to_undo(draft: Draft, step: Step) -> bool:
    """What happened or may have: now, or in an earlier run that was to be repeated."""
    record = draft.steps[step.name]
    happened = record.state in (StepState.DONE, StepState.UNKNOWN)
    return step.compensate is not None and (happened or (record.stands and record.state in NOT_REPEATED))


def _open(draft: Draft, step: Step) -> bool:
    """Whether a step still has to be undone, or is being undone."""
    return _to_undo(draft, step) or draft.state(step) in UNDOING


def _followed(draft: Draft, step: Step) -> bool:
    """Whether another step has to be undone first."""
    return any(_open(draft, draft.spec.by_name[name]) for name in draft.spec.undone_first[step.name])


def undo_now(draft: Draft, step: Step) -> None:
    """Ask for the undo of a step that happened, or may have."""
    _undo(draft, step, attempt=1)


def _undo(draft: Draft, step: Step, attempt: int) -> None:
    undo = step.compensate
    assert undo is not None
    due = draft.time(undo.within_us, draft.now)
    draft.put(step, undo_attempt=attempt, resting=False, late="covered" if draft.steps[step.name].late else "")
    problem = draft.request(step, undo.emit, "undo")
    if problem is not None:
        draft.move(step, StepState.COMPENSATION_FAILED, problem, problem=problem, due=None)
    elif draft.state(step) is StepState.COMPENSATING:
        draft.put(step, due=due)
        draft.note(f"{step.name}: undo requested again, {attempt} of {max(attempt, undo.attempts)}")
    else:
        draft.move(step, StepState.COMPENSATING, due=due)


def undo_timed_out(draft: Draft, step: Step, record: StepRecord) -> None:
    """No answer to an undo in its time, or its wait before the next one is over."""
    assert step.compensate is not None
    if record.undo_attempt < step.compensate.attempts:
        _undo(draft, step, record.undo_attempt + 1)
    else:
        draft.move(step, StepState.COMPENSATION_FAILED, "timeout", due=None, problem="timeout")


def undo_again(draft: Draft, step: Step) -> None:
    """Ask for an undo once more, beyond its attempts; where that fails too, the saga is stuck again."""
    attempt = draft.steps[step.name].undo_attempt + 1
    draft.put(step, problem="")
    _undo(draft, step, attempt)


def undo_failed(draft: Draft, step: Step, event: str) -> None:
    """A service says that it can't undo: it is asked again after a while, then the saga is stuck."""
    record, undo = draft.steps[step.name], step.compensate
    if record.state is not StepState.COMPENSATING or record.resting:
        return
    assert undo is not None
    if record.undo_attempt < undo.attempts:
        draft.put(step, resting=True, due=draft.now + undo.wait_after(record.undo_attempt))
        draft.note(f"{step.name}: undo {record.undo_attempt} failed ({event})")
    else:
        draft.move(step, StepState.COMPENSATION_FAILED, event, due=None, problem=event)


def undone(draft: Draft, step: Step, event: str, at: int) -> None:
    """A service says that a step is undone. What happened after that undo (`at`, microseconds) needs another one.

    Where another one has been asked for already, an answer from before the success says nothing.
    """
    record = draft.steps[step.name]
    if record.state not in UNDOING:
        return
    stale = record.late and record.done_at is not None and at < record.done_at
    if stale and record.late == "covered":
        return
    if stale:
        again: dict[str, Any] = {"due": None, "resting": False, "round": record.round + 1, "undo_attempt": 0}
        draft.move(step, StepState.DONE, "done after its undo", **again)
    else:
        told = {"due": None, "resting": False, "undone_by": event, "undone_at": at, "problem": ""}
        draft.move(step, StepState.COMPENSATED, event, **told)
