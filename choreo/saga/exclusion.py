"""What a saga may not begin now, though its turn would have come: it lacks its lock, or another step is, or is not,
under way.
"""

from collections.abc import Mapping
from typing import Any

from choreo.saga.draft import Draft
from choreo.saga.instance import IN_FLIGHT, NOT_BEGUN, SETTLED, StepState
from choreo.saga.rules import Step

UNDER_WAY = (StepState.HELD, *IN_FLIGHT)


def held_back(draft: Draft, step: Step) -> bool:
    """Whether another thing must happen first that no order of steps says. What is put off counts as under way."""
    if any(draft.state(name) in UNDER_WAY for name in step.excludes):
        return True
    if step.during is not None and draft.state(step.during) not in UNDER_WAY:
        return True
    return not step.lost_on and any(draft.state(lock) not in SETTLED for lock in draft.as_written.locks)


def missed(draft: Draft, step: Step) -> bool:
    """Whether the step is over during which this one might have begun."""
    return step.during is not None and draft.state(step.during) in SETTLED


def lost(draft: Draft, lock: Step, event: str, fields: Mapping[str, Any]) -> None:
    """The grant of which `fields` tell was taken away. What is under way goes on, as does undoing. An end that came
    before, or another grant since, makes it void.
    """
    record = draft.steps[lock.name]
    if draft.ended_at is None and record.state is StepState.DONE and dict(fields) == record.fields:
        draft.put(lock, problem=event)
        draft.note(f"{lock.name}: lost ({event})")


def take_again(draft: Draft) -> None:
    """Where there is more to begin, a lock that was lost, or given back at an end from which the saga goes on now, is
    asked for again first.
    """
    locks = draft.as_written.locks
    if not locks or not any(_may_begin(draft, step) for step in draft.steps_in(*NOT_BEGUN)):
        return
    goes_on = draft.before.ended_at is not None and draft.ended_at is None
    for lock in locks:
        if draft.state(lock) is StepState.DONE and (goes_on or draft.steps[lock.name].problem):
            _begin_again(draft, lock)


def _may_begin(draft: Draft, step: Step) -> bool:
    """An item that its step did not need does not begin any more."""
    return not step.item_of or draft.state(step.item_of) not in SETTLED


def _begin_again(draft: Draft, lock: Step) -> None:
    draft.begin_again(lock, "to be asked for again", fields={}, problem="")
    for step in draft.steps_in(StepState.HELD):
        draft.move(step, StepState.IDLE, "without its lock", due=_deadline(draft, step))


def _deadline(draft: Draft, step: Step) -> int | None:
    """It holds before the step's turn, too. What can't be worked out fails the step when its turn has come."""
    try:
        return draft.deadline(step)
    except ValueError:
        return None
