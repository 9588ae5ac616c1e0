"""What an operator may order, and what each order does to a saga; `decide` goes on from there.

An operator's word of a step (`resolve`, `cancel`) is taken as the event that would have said it: one road for both.
"""

from typing import Any

from choreo.saga.backward import undo_again
from choreo.saga.decision import (
    Answer,
    Cancel,
    Command,
    Emit,
    Migrate,
    Order,
    Received,
    Resolve,
    Retry,
    Skip,
    request_id,
)
from choreo.saga.draft import Draft
from choreo.saga.forward import request_again
from choreo.saga.instance import IN_FLIGHT, OPEN, UNDOING, StepState
from choreo.saga.people import ask_anew, no_decision, take_answer
from choreo.saga.rules import Part, Role, Step

UNSETTLED = (*OPEN, StepState.FAILED, StepState.UNKNOWN)
ROLES = {"done": Role.COMPLETES, "failed": Role.FAILS, "compensated": Role.UNDONE}


def saying(given: Command) -> str:
    """`retry ship (by ada: the carrier is back)`."""
    order = given.order
    words = [type(order).__name__.lower()]
    if isinstance(order, Migrate):
        words.append(f"to version {order.version}")
    elif not isinstance(order, Cancel):
        words.append(order.step)
    if isinstance(order, Resolve):
        words.append(order.outcome)
    if isinstance(order, Answer):
        words.append(order.event)
    role = f" as {order.role}" if isinstance(order, Answer) and order.role else ""
    return f"{' '.join(words)} (by {given.who}{role}: {given.why})"


def refusal(draft: Draft, order: Order) -> str | None:
    """Why an order makes no sense as the saga stands; None where it does."""
    if draft.before.forgotten:
        return f"the saga ended ({draft.status}) and is forgotten"
    if isinstance(order, Cancel):
        return _no_cancel(draft)
    assert not isinstance(order, Migrate)  # it is held to another spec: adopt.py
    step = draft.spec.by_name.get(order.step)
    if step is None:
        return f"there is no step {order.step}, the steps are {', '.join(draft.spec.by_name)}"
    if draft.ended_at is not None:
        return f"the saga has ended ({draft.status})"
    if isinstance(order, Retry):
        return _no_retry(draft, step)
    if isinstance(order, Skip):
        return _no_skip(draft, step)
    if isinstance(order, Resolve):
        return _no_resolve(draft, step, order)
    return _no_answer(draft, step, order)


def obey(draft: Draft, given: Command) -> Part | None:
    """Write down what an order that is not refused does; or answer the role of the event that it stands for."""
    order = given.order
    if isinstance(order, Cancel):
        return Part(Role.CANCELS, "")
    assert not isinstance(order, Migrate)  # it puts another instance in the place of this one: adopt.py
    step = draft.spec.by_name[order.step]
    if isinstance(order, Resolve):
        return Part(ROLES[order.outcome], step.name)
    if isinstance(order, Retry):
        again = undo_again if _goes_back(draft, step) else request_again
        again(draft, step)
        ask_anew(draft, step)
    elif isinstance(order, Skip):
        rest: dict[str, Any] = {
            "due": None,
            "resting": False,
            "overdue": False,
            "problem": "",
            "by": _operator(given),
            "late": "",
        }
        draft.move(step, StepState.SKIPPED, **rest)
    else:
        name = request_id(draft.spec.name, draft.before.key, given.event_id.hex(), "answer", 1)
        own = take_answer(draft, step, order, given.who)
        fields = {**order.fields, **own, draft.spec.correlate_by[order.event]: draft.before.key}
        if step.item_of:
            assert step.for_each is not None
            fields[step.for_each.key] = draft.item_of(step)[""]
        draft.emits.append(Emit(order.event, fields, "answer", step.name, name))
    return None


def as_if_received(draft: Draft, given: Command) -> Received:
    """The event that an operator's word stands for. Of its fields it can only repeat what the step has told before."""
    order, key, story = given.order, draft.before.key, draft.before.correlation_id
    fields = {} if isinstance(order, Cancel | Migrate) else draft.steps[order.step].fields
    return Received(_operator(given), key, given.event_id, given.now, given.now, fields, story)


def _operator(given: Command) -> str:
    return f"operator {given.who}"


def _no_cancel(draft: Draft) -> str | None:
    if draft.cause is not None and draft.ended_at is None:
        return "it is being undone already"
    if draft.ended_at is not None:
        return f"the saga has ended ({draft.status})"
    name = draft.too_late_to_cancel
    if name is None:
        return None
    if draft.spec.by_name[name].pivot:
        return f"step {name} is done and is the pivot: from there the saga only goes forward"
    return f"step {name} is done: until then it could be cancelled (cancellable_until)"


def _no_retry(draft: Draft, step: Step) -> str | None:
    state = draft.state(step)
    if _goes_back(draft, step):
        if state not in UNDOING or step.compensate is None:
            return f"step {step.name} is {state}: no undo has been asked for that could be asked for again"
        return draft.fill(step.compensate.emit, step.name)[1]
    if step.fans_out:
        return _name_an_item(draft, step)
    if state not in (StepState.REQUESTED, StepState.FAILED, StepState.UNKNOWN):
        return f"step {step.name} is {state}: nothing has been asked for that could be asked for again"
    if step.emit is None:
        return f"the saga does not ask for step {step.name}, services begin it by themselves: answer or resolve it"
    if draft.steps[step.name].by == "condition":
        return f"the condition of step {step.name} can't be worked out: skip or resolve it"
    return draft.fill(step.emit, step.name)[1] or _no_time(draft, step)


def _goes_back(draft: Draft, step: Step) -> bool:
    """Whether a step is a matter of undoing: with the whole saga, or as an item that does not count."""
    return draft.cause is not None or (bool(step.item_of) and draft.state(step) in UNDOING)


def _name_an_item(draft: Draft, step: Step) -> str:
    one = next((other.name for other in draft.spec.steps if other.item_of == step.name), f"{step.name}[KEY]")
    return f"step {step.name} is done for each of its items: name one, such as {one}"


def _no_time(draft: Draft, step: Step) -> str | None:
    try:
        draft.time(step.within_us, draft.now)
        draft.deadline(step)
    except ValueError as error:
        return f"how long step {step.name} may take can't be worked out: {error}"
    return None


def _no_skip(draft: Draft, step: Step) -> str | None:
    state = draft.state(step)
    back = _goes_back(draft, step)
    if not back and state not in UNSETTLED:
        return f"step {step.name} is {state}"
    if back and state not in UNDOING:
        return f"step {step.name} is {state}: while a saga is undone, only an undo that was asked for can be skipped"
    return None


def _no_resolve(draft: Draft, step: Step, order: Resolve) -> str | None:
    state = draft.state(step)
    if step.fans_out:
        return _name_an_item(draft, step)
    sensible: dict[str, tuple[StepState, ...]] = {
        "done": (*UNSETTLED, StepState.SKIPPED, StepState.COMPENSATED),
        "failed": (*OPEN, StepState.UNKNOWN),
        "compensated": UNDOING,
    }
    if state in sensible[order.outcome]:
        return None
    if order.outcome == "compensated":
        return f"step {step.name} is {state}: no undo has been asked for"
    hint = ": if nothing is left to undo, resolve it as compensated" if state in UNDOING else ""
    return f"step {step.name} is {state}{hint}"


def _no_answer(draft: Draft, step: Step, order: Answer) -> str | None:
    state, undo = draft.state(step), step.compensate
    if step.fans_out:
        return _name_an_item(draft, step)
    if state in UNDOING and undo is not None:
        awaited = (*undo.done_on, *undo.fails_on)
    elif state in (*IN_FLIGHT, StepState.FAILED, StepState.UNKNOWN) and draft.cause is None:
        awaited = (*step.completes_on, *step.fails_on, *step.unknown_on)
    else:
        by = f" ({draft.steps[step.name].by})" if state is StepState.DONE else ""
        return f"step {step.name} is {state}{by}: it waits for no event"
    if order.event not in awaited:
        return f"step {step.name} does not wait for {order.event}, but for {' or '.join(awaited)}"
    return no_decision(draft, step, order)
