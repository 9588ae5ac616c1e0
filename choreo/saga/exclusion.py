"""What a saga may not begin now, though its turn would have come: it lacks its lock, or another step is, or is not,
under way.
"""

from collections.abc import Mapping
from typing import Any

from choreo.saga.draft import Draft
from choreo.saga.instance import IN_FLIGHT, StepState
from choreo.saga.rules import Step

SETTLED = (StepState.DONE, StepState.SKIPPED)
UNDER_WAY = (StepState.HELD, *IN_FLIGHT)
BEGUN_LATER = (StepState.IDLE, StepState.HELD)


def held_back(draft: Draft, step: Step) -> bool:
    """Whether another thing must happen first that no order of steps says. What is put off counts as under way."""
    if any(draft.state(name) in UNDER_WAY for name in step.excludes):
        return True
    if step.during is not None and draft.state(step.during) not in UNDER_WAY:
        return True
    return not step.lost_on and any(one.lost_on and draft.state(one) not in SETTLED for one in draft.spec.steps)


def missed(draft: Draft, step: Step) -> bool:
    """Whether the step is over during which this one might have begun."""
    return step.during is not None and draft.state(step.during) in SETTLED


def lost(draft: Draft, lock: Step, event: str, fields: Mapping[str, Any]) -> None:
    """The grant of which `fields` tell was taken away. What is under way goes on, as does undoing; where there is more
    to begin, the lock is asked for again first. An end that came before, or another grant since, makes it void.
    """
    record = draft.steps[lock.name]
    if draft.ended_at is not None or record.state is not StepState.DONE or dict(fields) != record.fields:
        return
    if draft.cause is None and any(step is not lock for step in draft.steps_in(*BEGUN_LATER)):
        _begin_again(draft, lock, event)
        for step in draft.steps_in(StepState.HELD):
            draft.move(step, StepState.IDLE, "without its lock", due=_deadline(draft, step))
    else:
        draft.note(f"{lock.name}: lost ({event})")


def take_again(draft: Draft) -> None:
    """A saga that was complete goes on: it gave its lock away when it ended."""
    if draft.before.ended_at is None or draft.ended_at is not None:
        return
    for lock in draft.spec.steps:
        if lock.lost_on and draft.state(lock) is StepState.DONE:
            _begin_again(draft, lock, "released at the end")


def _deadline(draft: Draft, step: Step) -> int | None:
    """It holds before the step's turn, too. What can't be worked out fails the step when its turn has come."""
    try:
        return draft.time(step.deadline_us, draft.before.started_at)
    except ValueError:
        return None


def _begin_again(draft: Draft, lock: Step, why: str) -> None:
    told: dict[str, Any] = {"attempt": 0, "asked": 0, "overdue": False, "done_at": None, "by": "", "fields": {}}
    draft.move(lock, StepState.IDLE, why, run=draft.steps[lock.name].run + 1, due=None, **told)
