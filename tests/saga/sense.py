"""What is true of every decision, whatever the saga: each story of these tests is held against it at every event.

It says nothing of whether a decision is right. That its parts agree with each other lets a story tell only what is its
own: no step is left with a timer that nobody set, no request goes without an id, nothing is decided twice.
"""

from collections.abc import Iterator, Mapping
from typing import get_type_hints

from pydantic import BaseModel, TypeAdapter

from choreo.saga.decision import HELD_TIMER, REMINDS, SAGA_TIMER, Command, Decision, Emit, Input, Migrate, request_id
from choreo.saga.instance import ENDED, IN_FLIGHT, OPEN, SETTLED, UNDOING, Instance, StepRecord, StepState
from choreo.saga.rules import Spec

TIMED = (*OPEN, StepState.COMPENSATING)
"""Where a step may have a timer."""
BAD = (StepState.FAILED, StepState.UNKNOWN, StepState.COMPENSATION_FAILED)
TYPES = {one: {name: TypeAdapter(hint) for name, hint in get_type_hints(one).items()} for one in (Decision, Emit)}


def makes_sense(spec: Spec, before: Instance | None, given: Input, decision: Decision) -> None:
    """The parts of a decision fit its types, the instance that it leaves, and each other."""
    for value in (decision, *decision.emits):
        for name, hint in TYPES[type(value)].items():
            hint.validate_python(getattr(value, name), strict=True)
    after = decision.instance
    assert all("None" not in change for change in decision.changes), decision.changes
    if after is None:
        return
    _is_whole(after)
    for record in after.steps.values():
        _is_whole(record)
    if after.forgotten:
        return
    _saga_makes_sense(spec, after)
    for name, record in after.steps.items():
        _step_makes_sense(name, record)
        if not (
            isinstance(given, Command) and isinstance(given.order, Migrate)
        ):  # which tells what it did in its own way
            _is_told(name, before, record, decision)
    for emit in decision.emits:
        _emit_makes_sense(spec, before, after, emit)
    for emit in {(emit.step, emit.kind): emit for emit in decision.emits}.values():
        _is_asked_now(after, emit)
    said = [emit.request_id for emit in decision.emits]
    assert len(set(said)) == len(said), "what is emitted has an id of its own"


def timers_of(instance: Instance | None) -> Mapping[str, int]:
    """The timers that an instance waits for: exactly these are set."""
    return dict(_timers(instance)) if instance is not None else {}


def _timers(instance: Instance) -> Iterator[tuple[str, int]]:
    for name, record in instance.steps.items():
        if record.due is not None:
            yield name, record.due
        if record.remind_due is not None:
            yield name + REMINDS, record.remind_due
    if instance.due is not None:
        yield SAGA_TIMER, instance.due
    until = [one.until for one in instance.held if one.until is not None]
    if until:
        yield HELD_TIMER, min(until)


def _is_whole(value: BaseModel) -> None:
    """It has the fields of its class and no others: what is copied with changes is not validated."""
    assert value.__dict__.keys() == type(value).model_fields.keys()


def _saga_makes_sense(spec: Spec, after: Instance) -> None:
    states = {name: record.state for name, record in after.steps.items()}
    assert (after.ended_at is not None) == (after.status in ENDED)
    keep = spec.keep_ended_us
    assert after.due == (None if after.ended_at is None or keep is None else after.ended_at + keep)
    assert all(isinstance(one, str) for one in after.seen)
    for record in after.steps.values():
        assert after.cause is None or record.due is None or record.state is StepState.COMPENSATING
    for step in spec.steps:
        assert step.human is not None or step.name not in after.steps or after.steps[step.name].question is None
    if after.cause is None:
        assert after.status in ("waiting", "stuck", "completed")
    else:
        assert after.status in ("compensating", "stuck", "cancelled" if after.cancelled else "compensated")
        assert not set(states.values()) & set(IN_FLIGHT), "nothing is waited for while a saga goes back"
    if after.status == "completed":
        assert all(states[step.name] in SETTLED for step in spec.steps)
    assert len(set(after.seen)) == len(after.seen)


def _step_makes_sense(name: str, record: StepRecord) -> None:
    state, says = record.state, f"{name} is {record}"
    assert record.due is None or state in TIMED, says
    assert record.remind_due is None or state in IN_FLIGHT, says
    assert not record.resting or state in (StepState.REQUESTED, StepState.COMPENSATING), says
    assert not record.resting or record.due is not None, says
    assert not record.overdue or state not in (*SETTLED, StepState.HELD), says
    if state in OPEN:
        assert (record.by, record.problem, record.done_at) == ("", "", None), says
    if state in SETTLED:
        assert record.problem == "" or record.problem.endswith(".LockExpired"), says
    if state is StepState.REQUESTED:
        assert record.attempt >= 1, says
    if state is StepState.DONE:
        assert record.by, says
        assert record.done_at is not None, says
    if record.late == "counted":
        assert record.undo_attempt == 0, says
    if state is StepState.FAILED:
        assert record.by, says
        assert record.done_at is None, says
    if state in UNDOING:
        assert record.undo_attempt >= 1, says
        assert record.late != "uncovered" or record.done_at is not None, says
    if state is StepState.COMPENSATED:
        assert record.undone_by, says
        assert (record.undone_at is not None, record.problem) == (True, ""), says
    if state is StepState.COMPENSATION_FAILED:
        assert record.problem, says
    assert min(record.run, record.round) >= 1, says


def _is_told(name: str, before: Instance | None, record: StepRecord, decision: Decision) -> None:
    """The history says how a step came from one state to the other, and why where that is not well."""
    state = before.steps[name].state if before is not None and name in before.steps else StepState.IDLE
    for change in decision.changes:
        if change.startswith(f"{name}: {state} -> "):
            _, _, rest = change.partition(" -> ")
            state = StepState(rest.partition(" ")[0])
            assert state not in BAD or rest.endswith(")"), f"{change}: why?"
    assert state is record.state, f"{name} is {record.state}, told is {state}"


def _emit_makes_sense(spec: Spec, before: Instance | None, after: Instance, emit: Emit) -> None:
    assert emit.event in spec.emits or emit.kind == "answer", emit
    assert len(emit.request_id) == 16
    if emit.kind not in ("do", "undo"):
        return
    assert emit.step is not None
    record = after.steps[emit.step]
    assert emit.request_id == request_id(spec.name, after.key, record.asked_as or emit.step, emit.kind, emit.round)
    undone_for_it = emit.kind == "undo" and after.cancelled
    may, must = undone_for_it or after.cancelled_above, undone_for_it or (before is not None and before.cancelled_above)
    assert must <= emit.cancelled <= may, (emit, after.cause)  # one decision may hear of it after it has asked


def _is_asked_now(after: Instance, emit: Emit) -> None:
    """The last request of each step is the one that it waits at; early events may have settled it, and begun more."""
    if emit.kind in ("do", "undo"):
        record = after.steps[emit.step or ""]
        stands_at = (record.run, record.attempt) if emit.kind == "do" else (record.round, record.undo_attempt)
        waits = record.state in (StepState.REQUESTED, StepState.COMPENSATING)
        asked = (emit.round, emit.attempt)
        assert asked == stands_at if waits else asked <= stands_at, (emit, record)
