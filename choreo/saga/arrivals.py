"""An event reaches an instance: is this its time, and what follows where it isn't. Pure, as `decide` is.

Without a policy an event is taken as ever, at whatever time: each role knows what it means then, which may be nothing.
Where the spec has a policy, something of the event is left in any case: a change, a note in the history, or a letter.
"""

from collections.abc import Callable
from typing import assert_never

from choreo.saga.decision import Decision, Received
from choreo.saga.draft import Draft, short
from choreo.saga.each import lay_out, parts_of, takes_items, unknown_in
from choreo.saga.instance import IN_FLIGHT, NOT_BEGUN, OPEN, UNDOING, Cause, Held, Instance, StepState
from choreo.saga.policies import Policy, Timing
from choreo.saga.rules import Part, Role, Spec

Apply = Callable[[Draft, Part, Received], None]
"""Takes an event in one of its roles."""

MAX_HELD = 100
"""Events that an instance keeps for their turn; more than that are dead letters at once."""
TO_UNDO = (StepState.DONE, StepState.UNKNOWN)
ORDER: tuple[Timing | None, ...] = (None, *Timing)
"""Of an event with several roles the first counts."""


def arrive(draft: Draft, given: Received, apply: Apply) -> None:
    """Take an event, or do with it what the spec says of one that comes at this time."""
    policies = draft.as_written.policies.get(given.event)
    if policies is None:
        _take(draft, given, apply)
        return
    if any(one.event_id == given.event_id.hex() for one in draft.held):
        return
    timing, part = _timing(draft, given)
    policy = policies.get(timing) if timing is not None else None
    if part is None or policy is None:
        _take(draft, given, apply)
    else:
        _obey(draft, policy, part, given, apply)


def arrive_after_the_start(draft: Draft, given: Received, apply: Apply) -> None:
    """Take an event that was kept because it came before the saga: one that must not fails it now."""
    policy = draft.as_written.policies.get(given.event, {}).get(Timing.EARLY)
    if policy is not None and policy.does == "fail":
        _fail(draft, policy, draft.as_written.parts[given.event][0], given, apply)
    else:
        arrive(draft, given, apply)
    _bury_itself(draft, given)


def arrive_before_the_start(spec: Spec, given: Received) -> Decision:
    """There is no saga yet: the event is kept for it, unless the spec says otherwise."""
    policy = spec.policies.get(given.event, {}).get(Timing.EARLY)
    says = f"{given.event} {Timing.EARLY.words}: there is no saga {spec.name} {given.key}"
    if policy is not None and policy.does == "ignore":
        return Decision(None, changes=(f"ignored: {says}",))
    if policy is not None and policy.does == "dead-letter":
        return Decision(None, dead_letter=says)
    limit = policy.keep_us if policy is not None and policy.does == "keep" else spec.keep_early_us
    return Decision(None, keep=True, keep_until=None if limit is None else given.now + limit)


def arrive_too_late(spec: Spec, instance: Instance, given: Received) -> Decision:
    """A saga is not started twice, and nothing reaches one of which only a mark is left: a dead letter, unless the spec
    says that such an event is ignored.
    """
    again = given.event == spec.starts_on
    policy = spec.policies.get(given.event, {}).get(Timing.DUPLICATE if again else Timing.LATE)
    if again:
        why = f"saga {spec.name} {instance.key} has been started before"
    else:
        why = f"saga {spec.name} {instance.key} ended ({instance.status}) and is forgotten"
    if policy is None or policy.does != "ignore":
        return Decision(instance, dead_letter=why)
    draft = Draft(spec, instance, given.now)
    draft.note(f"ignored: {given.event}, {why}")
    draft.remember_event(given.event_id)
    return draft.decision()


# -- events that are kept for their turn -------------------------------------------------------------------------------


def let_in(draft: Draft, apply: Apply) -> bool:
    """Take the first of the kept events whose turn has come, or will not come any more; False where there is none. An
    ended saga keeps none: every step is settled, and no undo is to come.
    """
    for held in draft.held:
        given = _received(draft, held)
        timing, part = _timing(draft, given)
        if timing is Timing.EARLY:
            continue
        draft.hold(one for one in draft.held if one is not held)
        draft.note(f"no longer kept: {given.event}")
        decided_upon, draft.dead_letter = draft.dead_letter, None
        policies = draft.as_written.policies.get(given.event)  # None: the version that it was kept by is left behind
        policy = policies.get(timing) if policies is not None and timing is not None else None
        if part is None or timing is None:
            _take(draft, given, apply)
        elif policy is None:
            _take_or_say(draft, timing, part, given, apply)
        else:
            _obey(draft, policy, part, given, apply)
        _bury_itself(draft, given)
        draft.dead_letter = decided_upon
        return True
    return False


def _bury_itself(draft: Draft, given: Received) -> None:
    """Where a kept event is of no use, it is the dead letter, and not the event that is decided upon."""
    if draft.dead_letter is not None:
        _bury(draft, given, f"{given.event}: {draft.dead_letter}")
        draft.dead_letter = None


def expire(draft: Draft) -> None:
    """The time of kept events is over: they are dead letters."""
    for held in draft.held:
        if held.until is not None and held.until <= draft.now:
            draft.bury(bytes.fromhex(held.event_id), f"{_name(draft)}: the turn of {held.event} did not come in time")
            draft.note(f"{held.event}: its turn did not come in time, it is a dead letter")
    draft.hold(one for one in draft.held if one.until is None or one.until > draft.now)


def _received(draft: Draft, held: Held) -> Received:
    event_id, key = bytes.fromhex(held.event_id), draft.before.key
    return Received(held.event, key, event_id, draft.now, held.at, held.fields, draft.before.correlation_id)


# -- what follows ------------------------------------------------------------------------------------------------------


def _obey(draft: Draft, policy: Policy, part: Part, given: Received, apply: Apply) -> None:
    says = f"{given.event} {_says(draft, policy.timing, part)}"
    if policy.does == "take":
        _take_or_say(draft, policy.timing, part, given, apply)
    elif policy.does == "ignore":
        draft.note(f"ignored: {says}")
    elif policy.does == "dead-letter":
        _bury(draft, given, says)
    elif policy.does == "fail":
        _fail(draft, policy, part, given, apply)
    elif policy.does == "merge":
        _merge(draft, part, given, says)
    elif len(draft.held) >= MAX_HELD:
        _bury(draft, given, f"{says}, and {MAX_HELD} events wait for their turn already")
    else:
        until = None if policy.keep_us is None else draft.now + policy.keep_us
        fields = dict(given.fields)
        held = Held(event=given.event, event_id=given.event_id.hex(), at=given.at, until=until, fields=fields)
        draft.hold((*draft.held, held))
        draft.note(f"kept for its turn: {says}")


def _take(draft: Draft, given: Received, apply: Apply) -> None:
    unknown = unknown_in(draft, given)
    if unknown is not None:
        draft.dead_letter = unknown.why
    for part in parts_of(draft, given):
        if part.role is not Role.STARTS:
            apply(draft, part, given)


def _take_or_say(draft: Draft, timing: Timing, part: Part, given: Received, apply: Apply) -> None:
    """Take it; where it changes nothing, the history says that it came."""
    before, says = len(draft.changes), f"{given.event} {_says(draft, timing, part)}"
    _take(draft, given, apply)
    if len(draft.changes) == before and draft.dead_letter is None:
        draft.note(f"ignored: {says}")


def _fail(draft: Draft, policy: Policy, part: Part, given: Received, apply: Apply) -> None:
    """What the event says is taken, so that it is undone too, and the saga fails. One that has failed already takes it
    only; one that can't fail any more sends it to the dead letters.
    """
    says = f"{given.event} {_says(draft, policy.timing, part)}"
    if draft.cause is not None:
        _take_or_say(draft, policy.timing, part, given, apply)
        return
    if draft.ended_at is not None or draft.pivoted:
        why = "is beyond its pivot" if draft.pivoted else f"has ended ({draft.status})"
        _bury(draft, given, f"{says}: the saga can't fail, it {why}")
        return
    _take(draft, given, apply)
    draft.cause = Cause(kind=policy.timing.value, step=part.step, by=given.event)
    draft.note(f"failed: {says}")


def _merge(draft: Draft, part: Part, given: Received, says: str) -> None:
    """A step that is done keeps what was said of it last, by the time of saying it."""
    done_at = draft.steps[part.step].done_at if part.role is Role.COMPLETES else None
    if done_at is None:
        draft.note(f"ignored: {says}")
    elif given.at < done_at:
        draft.note(f"ignored: {says} by a later one")
    else:
        step, record = draft.spec.by_name[part.step], draft.steps[part.step]
        fields = {name: given.fields[name] for name in step.keeps if name in given.fields}
        draft.put(step, fields={**record.fields, **fields}, done_at=given.at)
        draft.note(f"{step.name}: its fields are those of a later {given.event}")


def _bury(draft: Draft, given: Received, says: str) -> None:
    draft.bury(given.event_id, f"{_name(draft)}: {says}")
    draft.note(f"a dead letter: {says}")


def _name(draft: Draft) -> str:
    return f"saga {draft.spec.name} {draft.before.key}"


def _says(draft: Draft, timing: Timing, part: Part) -> str:
    """`came late, pay is done`."""
    stands = f"{part.step} is {draft.state(part.step)}" if part.step else f"the saga is {draft.status}"
    return f"{timing.words}, {stands}"


def coming(spec: Spec, instance: Instance, given: Received) -> Timing | None:
    """How an event comes to an instance as it stands. None: at a good time, or a copy of one that it has seen."""
    if short(given.event_id) in instance.seen or instance.forgotten:
        return None
    draft = Draft(spec, instance, given.now)
    lay_out(draft)
    return _timing(draft, given)[0]


# -- when it comes -----------------------------------------------------------------------------------------------------


def _timing(draft: Draft, given: Received) -> tuple[Timing | None, Part | None]:
    """How an event comes, and to what. None: at a good time, which for several roles is that of any of them; else the
    timings count in the order in which they are declared. An item that may be known some day is early; an event that
    speaks only of what there is not, and will not be, comes to nothing.
    """
    found = [(timing_of(draft, part, given), part) for part in parts_of(draft, given)]
    if found:
        return min(found, key=lambda one: ORDER.index(one[0]))
    unknown = unknown_in(draft, given)
    return (Timing.EARLY, unknown.part) if unknown is not None and unknown.to_come else (None, None)


def timing_of(draft: Draft, part: Part, given: Received) -> Timing | None:
    """How an event comes, in one of its roles, as the instance stands. None: at a good time."""
    role = part.role
    if role is Role.STARTS:
        return Timing.DUPLICATE
    if role is Role.CANCELS:
        return _of_cancellation(draft)
    if role is Role.LOSES:
        return None
    if role is Role.COMPENSATES:
        return _of_return(draft)
    if role is Role.ADDS:
        return _of_addition(draft, part.step, given)
    if role is Role.SKIPS:
        return _of_skip(draft, part.step)
    if role is Role.REOPENS:
        return _of_reopening(draft, part.step, given.at)
    if role is Role.UNDONE or role is Role.UNDO_FAILS:
        return _of_undo(draft, part, given.at)
    if role is Role.COMPLETES or role is Role.FAILS or role is Role.UNKNOWN:
        return _of_outcome(draft, part, given.at)
    assert_never(role)


def _of_outcome(draft: Draft, part: Part, at: int) -> Timing | None:
    """An event that ends a step: well, badly, or nobody knows."""
    record = draft.steps[part.step]
    state = record.state
    if state in OPEN:
        if record.since is not None and at < record.since:
            return Timing.OUT_OF_ORDER
        if state in NOT_BEGUN:
            return Timing.EARLY if draft.cause is None else Timing.LATE
        return None
    same = {Role.COMPLETES: StepState.DONE, Role.FAILS: StepState.FAILED, Role.UNKNOWN: StepState.UNKNOWN}
    if state is same[part.role]:
        return Timing.DUPLICATE
    if part.role is Role.COMPLETES and state is StepState.COMPENSATED and record.done_at is not None:
        assert record.undone_at is not None
        if at <= record.undone_at:
            return Timing.OUT_OF_ORDER
    return Timing.LATE


def _of_addition(draft: Draft, name: str, given: Received) -> Timing | None:
    """One more item."""
    step, items = draft.spec.by_name[name], draft.steps[name].items
    assert step.for_each is not None
    if items is not None and str(given.fields.get(step.for_each.key)) in items:
        return Timing.DUPLICATE
    if not takes_items(draft, step):
        return Timing.LATE
    return Timing.EARLY if items is None else None


def _of_skip(draft: Draft, step: str) -> Timing | None:
    state = draft.state(step)
    if state is StepState.SKIPPED:
        return Timing.DUPLICATE
    return None if draft.cause is None and state in OPEN else Timing.LATE


def _of_reopening(draft: Draft, step: str, at: int) -> Timing | None:
    """An event that takes a done step back."""
    record = draft.steps[step]
    state = record.state
    if state in UNDOING:
        return None
    if state is StepState.COMPENSATED:
        return Timing.DUPLICATE
    if draft.cause is not None:
        if state in IN_FLIGHT:  # going back begins only now: the step is about to be undone
            return Timing.EARLY
        return None if state is StepState.DONE else Timing.UNEXPECTED
    older = record.done_at if state is StepState.DONE else record.since if state in OPEN else None
    if older is not None and at < older:
        return Timing.OUT_OF_ORDER
    if state in OPEN:
        return Timing.EARLY
    return None if state is StepState.DONE else Timing.UNEXPECTED


def _of_undo(draft: Draft, part: Part, at: int) -> Timing | None:
    """The answer to an undo."""
    record = draft.steps[part.step]
    state, no = record.state, part.role is Role.UNDO_FAILS
    if state in UNDOING:
        if no:
            return Timing.DUPLICATE if record.resting or state is StepState.COMPENSATION_FAILED else None
        stale = record.late and record.done_at is not None and at < record.done_at
        return Timing.OUT_OF_ORDER if stale else None
    if state is StepState.COMPENSATED:
        return Timing.LATE if no else Timing.DUPLICATE
    to_be_undone = draft.cause is not None and draft.ended_at is None and state in TO_UNDO
    return Timing.EARLY if to_be_undone else Timing.UNEXPECTED


def _of_return(draft: Draft) -> Timing | None:
    """An event that takes the saga back."""
    if draft.pivoted:
        return Timing.LATE
    if draft.cause is None:
        return None
    return Timing.DUPLICATE if draft.cause.kind == "asked" else Timing.UNEXPECTED


def _of_cancellation(draft: Draft) -> Timing | None:
    if draft.cause is None:
        too_late = draft.status == "completed" or draft.too_late_to_cancel is not None
        return Timing.LATE if too_late else None
    if draft.cause.kind == "cancelled":
        return Timing.DUPLICATE
    return Timing.LATE if draft.ended_at is not None else Timing.UNEXPECTED
