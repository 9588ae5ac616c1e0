"""The saga's brain: decide(spec, instance, input) -> Decision. No clock, file or socket; the input carries its time."""

from collections.abc import Sequence
from typing import Any, assert_never

from choreo.saga.adopt import adopt
from choreo.saga.arrivals import (
    arrive,
    arrive_after_the_start,
    arrive_before_the_start,
    arrive_too_late,
    expire,
    let_in,
)
from choreo.saga.backward import go_back, undo_failed, undo_timed_out, undone
from choreo.saga.decision import (
    HELD_TIMER,
    REMINDS,
    SAGA_TIMER,
    Command,
    Decision,
    Due,
    Input,
    Migrate,
    Received,
    TimerChange,
)
from choreo.saga.draft import Draft, short
from choreo.saga.each import add, lay_out, settle
from choreo.saga.exclusion import lost, take_again
from choreo.saga.forward import ask, done_again, go_forward, remind, set_deadlines, step_timed_out
from choreo.saga.instance import IN_FLIGHT, OPEN, UNDOING, Cause, Instance, StepRecord, StepState
from choreo.saga.operate import as_if_received, obey, refusal, saying
from choreo.saga.reversal import ends_undone, refuse, take_back
from choreo.saga.rules import Part, Role, Spec, Step


def decide(spec: Spec, instance: Instance | None, given: Input) -> Decision:
    """What follows from one input. `spec` must be the one that the instance follows, or is ordered to follow."""
    if isinstance(given, Due):
        return _timer(spec, instance, given) if instance else Decision(None)
    if isinstance(given, Command):
        return _command(spec, instance, given)
    if instance is None:
        return _start(spec, given) if given.event == spec.starts_on else arrive_before_the_start(spec, given)
    if short(given.event_id) in instance.seen:
        return Decision(instance)
    if instance.forgotten or (given.event == spec.starts_on and not spec.policies.get(given.event)):
        return arrive_too_late(spec, instance, given)
    draft = Draft(spec, instance, given.now)
    lay_out(draft)
    arrive(draft, given, _apply)
    if not draft.changes:  # each decision goes on as far as it can: from where nothing changed, nothing follows
        return draft.decision()
    return _settled(draft, given)


def begin(spec: Spec, start: Received, early: Sequence[Received]) -> Decision:
    """Start an instance and apply the events that came before its start, in the order of their arrival."""
    decision = decide(spec, None, start)
    for event in (one._replace(now=start.now) for one in early):
        assert decision.instance is not None
        decision = decision.then(take_early(spec, decision.instance, event))
    return decision


def take_early(spec: Spec, instance: Instance, event: Received) -> Decision:
    """Apply an event that came before the start, right after it."""
    if short(event.event_id) in instance.seen:
        return Decision(instance)
    draft = Draft(spec, instance, event.now)
    arrive_after_the_start(draft, event, _apply)
    return _settled(draft, event)


def _start(spec: Spec, given: Received) -> Decision:
    instance = Instance(
        saga=spec.name,
        key=given.key,
        version=spec.version,
        digest=spec.digest,
        steps={step.name: StepRecord() for step in spec.steps},
        remembered={name: given.fields[name] for name in spec.remembers if name in given.fields},
        correlation_id=given.correlation_id,
        started_at=given.now,
        cancelled_above=given.cancelled,
    )
    draft = Draft(spec, instance, given.now)
    draft.note("started")
    set_deadlines(draft)
    draft.tell("started", spec.tells)
    return _settled(draft, given)


def _settled(draft: Draft, given: Received | Command | None = None) -> Decision:
    """Go on from what was written down, forward or back, with kept events too, and read off the outcome."""
    _go_on(draft)
    while draft.held and let_in(draft, _apply):
        _go_on(draft)
    if draft.status != draft.before.status:
        draft.tell(draft.status, draft.spec.tells)
    ended, was_ended = draft.ended_at, draft.before.ended_at
    if ended != was_ended:
        keep = draft.spec.keep_ended_us
        draft.set_saga_timer(None if ended is None or keep is None else ended + keep)
    if given is not None and draft.changes:
        draft.remember_event(given.event_id)
    return draft.decision()


def _go_on(draft: Draft) -> None:
    if draft.cause is None:
        settle(draft)  # what its items take back has to be done again, which needs the lock
        take_again(draft)
        go_forward(draft)
    if draft.cause is not None:
        while draft.held and let_in(draft, _apply):
            pass  # what was kept has happened: it is undone in its turn, before what it came after
        go_back(draft)


def _apply(draft: Draft, part: Part, given: Received) -> None:
    if part.role is Role.CANCELS:
        _cancel(draft, given)
        return
    if part.role is Role.COMPENSATES:
        take_back(draft, given)
        return
    assert part.role is not Role.STARTS
    step = draft.spec.by_name[part.step]
    if part.role is Role.ADDS:
        add(draft, step, given)
    elif part.role is Role.COMPLETES:
        _completed(draft, step, given)
    elif part.role is Role.FAILS:
        _failed(draft, step, given)
    elif part.role is Role.UNKNOWN:
        _unknown(draft, step, given)
    elif part.role is Role.SKIPS:
        if draft.cause is None and draft.state(step) in OPEN:
            draft.move(step, StepState.SKIPPED, given.event, by=given.event, due=None, resting=False, overdue=False)
    elif part.role is Role.REOPENS:
        _reopened(draft, step, given)
    elif part.role is Role.LOSES:
        lost(draft, step, given.event, given.fields)
    elif part.role is Role.UNDONE:
        undone(draft, step, given.event, given.at)
    elif part.role is Role.UNDO_FAILS:
        undo_failed(draft, step, given.event)
    else:
        assert_never(part.role)


def _completed(draft: Draft, step: Step, given: Received) -> None:
    """A step happened: in its turn, early, or late. What was undone as unknown and then happened is undone again."""
    record = draft.steps[step.name]
    fields = {name: given.fields[name] for name in step.keeps if name in given.fields}
    told: dict[str, Any] = {"by": given.event, "fields": fields, "done_at": given.at}
    if record.state is StepState.DONE:
        return
    if record.state in UNDOING:
        draft.put(step, late="uncovered", **told)
        draft.note(f"{step.name}: happened while it is undone ({given.event})")
    elif record.state is StepState.COMPENSATED:
        assert record.undone_at is not None
        covered = record.done_at is not None and given.at <= record.undone_at
        if not covered:
            told |= {"round": record.round + 1, "undo_attempt": 0, "late": "uncovered"}
            draft.move(step, StepState.DONE, f"{given.event}, after its undo", **told)
    else:
        if record.undo_attempt:  # its undo was in vain, for another run had failed: that request is answered for good
            told |= {"round": record.round + 1, "undo_attempt": 0, "late": "uncovered"}
        draft.move(step, StepState.DONE, given.event, due=None, resting=False, overdue=False, problem="", **told)
        if draft.cause is None and record.state is not StepState.SKIPPED:  # what was taken out counts as it happened
            done_again(draft, step)
            if draft.state(step) is StepState.IDLE:
                draft.put(step, since=given.at)


def _reopened(draft: Draft, step: Step, given: Received) -> None:
    """A done step was taken back: it must be done again, or, where it is undone, needs no undo any more."""
    state = draft.state(step)
    if state in UNDOING or (draft.cause is not None and state is StepState.DONE):
        told = {"due": None, "resting": False, "undone_by": given.event, "undone_at": given.at, "problem": ""}
        draft.move(step, StepState.COMPENSATED, given.event, **told)
    elif draft.cause is None and state is StepState.DONE:
        draft.begin_again(step, given.event, stands=False)
        draft.put(step, since=given.at)


def _failed(draft: Draft, step: Step, given: Received) -> None:
    """A step certainly did not happen: where its undo was asked for because it might have, nothing is to be undone."""
    record = draft.steps[step.name]
    if record.state in UNDOING and ends_undone(step, given.event):
        return
    in_vain = record.state in UNDOING and record.done_at is None and not record.stands
    unheard = record.state is StepState.UNKNOWN and record.done_at is None  # else it was repeated in vain: it happened
    if in_vain or unheard or record.state in OPEN:
        draft.move(step, StepState.FAILED, given.event, by=given.event, due=None, resting=False, problem="")


def _unknown(draft: Draft, step: Step, given: Received) -> None:
    """A service does not know whether a step happened: it is asked for where the spec says so, else to be undone."""
    record = draft.steps[step.name]
    if record.state in IN_FLIGHT and step.on_timeout.kind == "ask" and record.asked < step.on_timeout.attempts:
        ask(draft, step, record)
    elif record.state in OPEN:
        draft.move(step, StepState.UNKNOWN, given.event, by=given.event, due=None, resting=False)


def _cancel(draft: Draft, given: Received) -> None:
    """Cancelling undoes everything. Past the pivot and after the end it is refused, while undoing it is ignored."""
    if draft.cause is not None:
        return
    if draft.status == "completed" or draft.too_late_to_cancel is not None:
        draft.note(f"cancellation refused ({given.event})")
        refuse(draft, given, draft.spec.cancels_on)
        return
    draft.cause = Cause(kind="cancelled", by=given.event)
    draft.note(f"cancelled ({given.event})")


def _command(spec: Spec, instance: Instance | None, given: Command) -> Decision:
    """Obey an operator, or note that it was refused and why. What an operator says of a step counts as an event."""
    if instance is None:
        return Decision(None, dead_letter=f"{saying(given)} refused: there is no such saga {spec.name}")
    if short(given.event_id) in instance.seen:
        return Decision(instance)
    if isinstance(given.order, Migrate):
        return adopt(spec, instance, given.order, short(given.event_id), saying(given))
    draft = Draft(spec, instance, given.now)
    why_not = refusal(draft, given.order)
    if why_not is not None:
        draft.note(f"{saying(given)} refused: {why_not}")
        draft.remember_event(given.event_id)
        return draft.decision()._replace(refused=why_not)
    draft.note(saying(given))
    part = obey(draft, given)
    if part is not None:
        _apply(draft, part, as_if_received(draft, given))
    return _settled(draft, given)


def _timer(spec: Spec, instance: Instance, given: Due) -> Decision:
    if given.timer == SAGA_TIMER:
        return _forget(spec, instance, given.now)
    if given.timer == HELD_TIMER:
        draft = Draft(spec, instance, given.now)
        expire(draft)
        return _settled(draft)
    name = given.timer.removesuffix(REMINDS)
    record = instance.steps.get(name)
    due = None if record is None else record.due if name == given.timer else record.remind_due
    if record is None or due is None or given.now < due:
        return Decision(instance)
    draft = Draft(spec, instance, given.now)
    step = draft.spec.by_name[name]
    if name != given.timer:
        remind(draft, step, record)
    elif record.state is StepState.COMPENSATING:
        undo_timed_out(draft, step, record)
    else:
        step_timed_out(draft, step, record)
    return _settled(draft)


def _forget(spec: Spec, instance: Instance, now: int) -> Decision:
    """Drop an ended instance down to a mark that refuses a second start; later drop the mark."""
    if not instance.ended or instance.due is None or now < instance.due:
        return Decision(instance)
    if instance.forgotten or spec.refuse_again_us == 0:
        return Decision(None)
    due = None if spec.refuse_again_us is None else now + spec.refuse_again_us
    mark = Instance(
        saga=instance.saga,
        key=instance.key,
        version=instance.version,
        digest=instance.digest,
        status=instance.status,
        started_at=instance.started_at,
        ended_at=instance.ended_at,
        due=due,
        forgotten=True,
    )
    return Decision(mark, timers=(TimerChange(SAGA_TIMER, due),))
