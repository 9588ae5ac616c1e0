"""Taking a saga back because others ask for it: while it goes on, and once it is complete; only a pivot refuses."""

from choreo.saga.clauses import Cancellation
from choreo.saga.decision import Emit, Received, request_id
from choreo.saga.draft import Draft
from choreo.saga.instance import Cause
from choreo.saga.rules import Step


def take_back(draft: Draft, given: Received) -> None:
    """Undo everything, even where the saga is complete. Beyond a pivot it is refused; one that has ended undone says so
    again, for whoever asks did not hear it.
    """
    if draft.pivoted:
        draft.note(f"compensation refused ({given.event})")
        refuse(draft, given, draft.spec.compensates_on)
        return
    if draft.cause is None:
        draft.cause, draft.ended_at = Cause(kind="asked", by=given.event), None
        draft.note(f"taken back ({given.event})")
    elif draft.ended_at is not None:
        draft.note(f"{draft.status} already ({given.event})")
        draft.tell(draft.status, draft.spec.tells)
        return
    if given.cancelled and not draft.cancelled_above:
        draft.cancelled_above = True  # so are those that this saga asks from here on, and what they nest
        draft.note(f"cancelled above ({given.event})")


def refuse(draft: Draft, given: Received, asked: Cancellation | None) -> None:
    """Answer that it is too late to go back."""
    draft.refused = given.event
    if asked is not None and asked.refused is not None:
        fields, _ = draft.fill(asked.refused)
        name = request_id(draft.spec.name, draft.before.key, given.event_id.hex(), "notice", 1)
        draft.emits.append(Emit(asked.refused.event, fields, "notice", None, name))


def ends_undone(step: Step, event: str) -> bool:
    """Whether a nested saga says by this event that nothing is left of it, whether it failed or was taken back."""
    return step.nested is not None and step.compensate is not None and event in step.compensate.done_on
