"""Forward: which steps begin, what their timeouts mean, when the saga is complete."""

from collections.abc import Iterator
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from choreo.saga.draft import Draft
from choreo.saga.each import clear_up, lay_out, settle, stuck, under_way
from choreo.saga.exclusion import held_back, missed
from choreo.saga.instance import SETTLED, Asked, Cause, StepRecord, StepState
from choreo.saga.rules import Step

REPEATED = "repeat"
"""What settled a step that was repeated in vain: it happened, and has to be undone."""
BAD = (StepState.FAILED, StepState.UNKNOWN)


def go_forward(draft: Draft) -> None:
    """Begin what can begin. A failure before the pivot makes it a matter of going back: it sets the cause."""
    moved = True
    while moved:
        lay_out(draft)
        settle(draft)
        if _failed(draft):
            return
        moved = any(_begin(draft, step) for step in draft.steps_in(StepState.IDLE))
    clear_up(draft)
    if draft.ended_at is not None and not under_way(draft):
        return
    draft.ended_at = None
    if any(_bad(draft)) or stuck(draft):
        draft.status = "stuck"
    elif all(draft.state(step) in SETTLED for step in draft.spec.steps if not step.item_of) and not under_way(draft):
        draft.status, draft.ended_at = "completed", draft.now
    else:
        draft.status = "waiting"


def _bad(draft: Draft) -> Iterator[Step]:
    """The steps that came to nothing; an item is no matter of the saga, but of its step."""
    return (step for step in draft.steps_in(*BAD) if not step.item_of)


def _failed(draft: Draft) -> bool:
    """Whether the saga has failed; where it just did, the first bad step becomes the cause."""
    if draft.cause is None and not draft.pivoted:
        for step in _bad(draft):
            record = draft.steps[step.name]
            timed_out = record.by in ("timeout", "deadline")
            failed = record.state is StepState.FAILED or record.by == REPEATED
            kind = "timeout" if timed_out else "failed" if failed else "unknown"
            draft.cause = Cause(kind=kind, step=step.name, by=record.problem or record.by)  # type: ignore[arg-type]  # one of three
            break
    return draft.cause is not None


class Turn(Enum):
    """Whether the turn of a step has come."""

    NOT_YET = auto()
    NOW = auto()
    NEVER = auto()


def _turn(draft: Draft, step: Step) -> Turn:
    """Whether enough of what comes before is done, and whether the other ways of a choice were left aside."""
    if missed(draft, step):
        return Turn.NEVER
    if held_back(draft, step):
        return Turn.NOT_YET
    if step.item_of:
        return Turn.NOW if draft.state(step.item_of) is StepState.WAITING else Turn.NOT_YET
    before = [draft.state(name) for name in step.after]
    if step.enough is None:
        if any(state not in SETTLED for state in before):
            return Turn.NOT_YET
    elif before.count(StepState.DONE) < step.enough:
        possible = len(before) - before.count(StepState.SKIPPED)
        return Turn.NOT_YET if possible >= step.enough else Turn.NEVER
    others = [draft.state(name) for name in step.otherwise]
    if any(state not in (StepState.IDLE, StepState.SKIPPED) for state in others):
        return Turn.NEVER
    return Turn.NOT_YET if StepState.IDLE in others else Turn.NOW


def _begin(draft: Draft, step: Step) -> bool:
    """Begin a step whose turn has come; false where nothing changed."""
    turn = _turn(draft, step)
    if turn is Turn.NOT_YET:
        return False
    if turn is Turn.NEVER:
        draft.move(step, StepState.SKIPPED, due=None)
        return True
    if step.when is not None:
        answer = step.when.evaluate(draft.values(step.when.reads))
        if answer.problem is not None:
            _refuse(draft, step, "condition", f"when: {answer.problem}")
            return True
        if not answer.value:
            draft.move(step, StepState.SKIPPED, due=None)
            return True
    try:
        start = draft.time(step.not_before_us, draft.now)
        if start is not None and start > draft.now:
            draft.move(step, StepState.HELD, due=_earlier(start, draft.deadline(step)))
            return True
    except ValueError as error:
        _refuse(draft, step, "time", str(error))
        return True
    _begin_now(draft, step)
    return True


def begin(draft: Draft, step: Step) -> None:
    """Ask for a step, or wait for whoever starts it. Raises ValueError where its time can't be worked out."""
    if step.fans_out:
        if draft.steps[step.name].items is None:
            _refuse(draft, step, "items", "the list of its items has no value")
        else:
            draft.move(step, StepState.WAITING, due=None)
        return
    reminder = draft.time(step.remind.every_us, draft.now) if step.remind else None
    limits: dict[str, Any] = {"due": _due(draft, step), "remind_due": reminder}
    limits["question"] = Asked(since=draft.now) if step.human else None
    if step.emit is None:
        draft.move(step, StepState.WAITING, **limits)
        return
    draft.put(step, attempt=1)
    gap = draft.request(step, step.emit, "do")
    if gap is not None:
        draft.put(step, attempt=0)
        _refuse(draft, step, "mapping", gap)
    else:
        draft.move(step, StepState.REQUESTED, **limits)


def _refuse(draft: Draft, step: Step, by: str, problem: str) -> None:
    """A step can't begin: something of the spec gives nothing for this saga."""
    draft.move(step, StepState.FAILED, problem, by=by, problem=problem, due=None)


def _due(draft: Draft, step: Step) -> int | None:
    """When the step's timer fires: its `within` from now or its deadline, whichever is earlier."""
    return _earlier(draft.time(step.within_us, draft.now), draft.deadline(step))


def _earlier(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)


def set_deadlines(draft: Draft) -> None:
    """A saga starts: a deadline holds before the step's turn, too. One that can't be worked out fails its step then."""
    for step in draft.spec.steps:
        with suppress(ValueError):
            draft.put(step, due=draft.deadline(step))


def step_timed_out(draft: Draft, step: Step, record: StepRecord) -> None:
    """The time of a step has run out, or its wait before the next request is over."""
    deadline = draft.deadline(step)
    expired = deadline is not None and draft.now >= deadline
    rule = step.on_timeout
    if record.state is StepState.HELD and not expired:
        _begin_now(draft, step)
    elif rule.kind == "escalate":
        draft.put(step, overdue=True, due=None if expired else deadline)
        draft.note(f"{step.name}: overdue")
        draft.tell("overdue", step.tells, step.name)
    elif record.state in (StepState.IDLE, StepState.HELD):
        draft.move(step, StepState.FAILED, "not begun by its deadline", by="deadline", due=None)
    elif rule.kind == "retry" and not expired and (record.resting or record.attempt < rule.attempts):
        _retry(draft, step, record)
    elif rule.kind == "ask" and not expired and record.asked < rule.attempts:
        ask(draft, step, record)
    else:
        draft.move(step, StepState.UNKNOWN, "timeout", by="deadline" if expired else "timeout", due=None, resting=False)


def _begin_now(draft: Draft, step: Step) -> None:
    try:
        begin(draft, step)
    except ValueError as error:
        _refuse(draft, step, "time", str(error))


def _retry(draft: Draft, step: Step, record: StepRecord) -> None:
    assert step.emit is not None
    wait = step.on_timeout.wait_after(record.attempt)
    if wait and not record.resting:
        draft.put(step, resting=True, due=draft.time(wait, draft.now))
        draft.note(f"{step.name}: no answer to request {record.attempt}")
        return
    draft.put(step, attempt=record.attempt + 1, resting=False, due=_due(draft, step))
    draft.request(step, step.emit, "do")
    draft.note(f"{step.name}: requested again, {record.attempt + 1} of {step.on_timeout.attempts}")


def ask(draft: Draft, step: Step, record: StepRecord) -> None:
    """Ask what became of a step; the answer is any of the events that end it."""
    rule = step.on_timeout
    due = _earlier(draft.time(rule.wait_us, draft.now), draft.deadline(step))
    draft.put(step, asked=record.asked + 1, due=due)
    draft.note(f"{step.name}: asked what became of it, {record.asked + 1} of {rule.attempts}")
    assert rule.ask is not None
    draft.say(f"ask {record.asked + 1}", rule.ask, step.name)


def remind(draft: Draft, step: Step, record: StepRecord) -> None:
    """Remind of a step that still waits."""
    rule = step.remind
    assert rule is not None
    count = record.reminded + 1
    draft.put(step, reminded=count, remind_due=draft.time(rule.every_us, draft.now) if count < rule.at_most else None)
    draft.note(f"{step.name}: reminded, {count} of {rule.at_most}")
    draft.say(f"reminder {count}", rule.emission, step.name)


def done_again(draft: Draft, step: Step) -> None:
    """A step that was just done repeats where its condition does not hold yet; too often, and it has failed."""
    if step.repeat is None:
        return
    until, run = step.repeat.until, draft.steps[step.name].run
    answer = until.evaluate(draft.values(until.reads))
    if answer.problem is None and answer.value:
        return
    problem = f"until: {answer.problem}" if answer.problem is not None else f"not so after {run} times: {until.text}"
    if answer.problem is None and run < step.repeat.at_most:
        draft.begin_again(step, f"{run} of {step.repeat.at_most}", stands=True)
    else:
        draft.move(step, StepState.UNKNOWN, problem, by=REPEATED, problem=problem)


def request_again(draft: Draft, step: Step) -> None:
    """Ask once more, whatever the answer or the silence was: `within` begins anew, a passed deadline is over."""
    assert step.emit is not None
    record = draft.steps[step.name]
    limits = (draft.time(step.within_us, draft.now), draft.deadline(step))
    told: dict[str, Any] = {
        "attempt": record.attempt + 1,
        "asked": 0,
        "resting": False,
        "overdue": False,
        "by": "",
        "problem": "",
        "due": _earlier(*(limit for limit in limits if limit is not None and limit > draft.now)),
    }
    if record.state is StepState.REQUESTED:
        draft.put(step, **told)
    else:
        draft.move(step, StepState.REQUESTED, **told)
    draft.request(step, step.emit, "do")
