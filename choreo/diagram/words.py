"""What a spec says, as short lines that stand in a box, on an arrow or below a step; `drawing.py` says where."""

from collections.abc import Iterable, Iterator

from choreo.saga.calendars import Opening, OpenTime, Span
from choreo.saga.clauses import Compensation, Computed, FanOut, OnTimeout, Reference, Telling
from choreo.saga.conditions import Expression
from choreo.saga.durations import format_duration
from choreo.saga.rules import Spec, Step

REST = {"leave": "the others go on", "wait": "the others are waited for", "undo": "the others are called off"}
TOLD = {"done": "done", "failed": "failed", "unknown": "it may have happened", "skipped": "skipped"}
TOLD |= {"overdue": "overdue", "undone": "undone", "started": "begun", "completed": "completed"}
TOLD |= {"compensated": "compensated", "cancelled": "cancelled", "stuck": "stuck"}
"""The moments of `tell`, as they stand after `when`."""


def turn_of(step: Step) -> Iterator[str]:
    """What must be so for it to begin, beside those that come before it."""
    if step.enough is not None:
        yield f"once {step.enough} of {len(step.after)} are done"
    if step.during is not None:
        yield f"only while {step.during} is under way"
    if step.excludes:
        yield f"never while {' or '.join(step.excludes)} is under way"
    if isinstance(step.not_before_us, Expression):
        yield f"not before {step.not_before_us.text}"
    elif isinstance(step.not_before_us, Opening):
        yield "not before it opens"
    elif step.not_before_us is not None:
        yield f"begins {_span(step.not_before_us)} after its turn"


def items_of(rule: FanOut) -> Iterator[str]:
    """The list, how many of it are enough, and what becomes of the rest then."""
    items = rule.items
    of = f"saga.{items.field}" if items.step is None else f"steps.{items.step}.{items.field}"
    share = "all" if rule.percent == 100 else f"{rule.percent}% of them"
    if rule.at_least is not None:
        share = "any" if rule.at_least == 1 else f"{rule.at_least} of them"
    yield f"for each of {of}: {share}"
    if share != "all":
        yield f"then {REST[rule.rest]}"
    if rule.adds_on:
        yield f"one more on {names(rule.adds_on)}"


def lock_of(spec: Spec, step: Step) -> Iterator[str]:
    """For which lock it waits, and how long that is held at most."""
    if not step.lost_on or step.emit is None:
        return
    lock, expires = step.emit.fields.get("lock"), step.emit.fields.get("expires_us")
    by = f"saga.{lock.field}" if isinstance(lock, Reference) else ""
    by = next(iter(lock.expression.reads), "") if isinstance(lock, Computed) else by
    yield f"one at a time for each {by} in {spec.lock_scope}"
    if isinstance(expires, Computed):
        yield f"held {_span(int(expires.expression.text))} at most"
    yield "given back at the end"


def gives_back(spec: Spec, telling: Telling) -> bool:
    """Whether that is what gives the lock of the saga back, which `lock_of` says."""
    return spec.lock_scope is not None and "claim" in telling.emission.fields


def time_of(spec: Spec, step: Step) -> Iterator[str]:
    """How long it may take, what happens then, and who is reminded meanwhile."""
    if isinstance(step.within_us, Expression):
        yield f"until {step.within_us.text}"
    elif step.within_us is not None:
        yield f"within {_span(step.within_us)}{' each' if step.fans_out else ''}"
    if isinstance(step.deadline_us, Expression):
        yield f"by {step.deadline_us.text}"
    elif step.deadline_us is not None:
        yield f"by {_span(step.deadline_us)} from the start"
    if step.within_us is not None or step.deadline_us is not None:
        yield from _when_over(spec, step)
    if step.remind is not None:
        rule = step.remind
        yield f"reminds by {short(rule.emission.event)} every {_span(rule.every_us)}, {_times(rule.at_most)}"


def _when_over(spec: Spec, step: Step) -> Iterator[str]:
    rule = step.on_timeout
    if rule.kind == "escalate":
        yield "then it is overdue, and goes on"
        return
    if rule.kind == "retry":
        yield f"then asks again, {_times(rule.attempts)} in all"
        yield from _apart(rule)
    elif rule.kind == "ask" and rule.ask is not None:
        each = f", {_span(rule.wait_us)} each" if rule.wait_us else ""
        yield f"then asks by {short(rule.ask.event)}, {_times(rule.attempts)}{each}"
    beyond = any(spec.by_name[name].pivot for name in spec.before[step.name])
    then = "it does not count" if step.fans_out else "the saga is stuck" if beyond else "all is undone"
    yield f"then {then}" if rule.kind == "fail" else f"at last {then}"


def again_of(spec: Spec, step: Step) -> Iterator[str]:
    """What takes it out and back, how often it is done, and what can't be any more once it is done."""
    if step.skips_on:
        yield f"taken out on {names(step.skips_on)}"
    if step.reopens_on:
        yield f"taken back on {names(step.reopens_on)}"
    if step.lost_on:
        yield f"lost on {names(step.lost_on)}"
    if step.repeat is not None:
        yield f"again until {step.repeat.until.text}"
        yield f"at most {_times(step.repeat.at_most)}, then it has failed"
    if step.pivot:
        yield "once done there is only forward"
    elif step.name == spec.cancellable_until:
        yield "once done it is too late to cancel"


def undo_of(undo: Compensation) -> Iterator[str]:
    """What asks for it and answers, how long that may take, how often it is tried, and after what."""
    yield f"asks {short(undo.emit.event)}"
    yield f"done on {names(undo.done_on)}"
    if undo.fails_on:
        yield f"fails on {names(undo.fails_on)}"
    if undo.within_us is not None:
        yield f"within {_span(undo.within_us)}"
    usual = Compensation(undo.emit, undo.done_on)
    if (undo.attempts, undo.wait_us, undo.backoff) != (usual.attempts, usual.wait_us, usual.backoff):
        yield f"asked {_times(undo.attempts)} in all"
        yield from _apart(undo)
    if undo.after is not None:
        yield f"after the undo of {', '.join(undo.after)}" if undo.after else "waits for no other undo"


def decided_by(step: Step) -> Iterator[str]:
    """Whose step it is."""
    if step.human is not None:
        then = f", then {step.human.escalate_to}" if step.human.escalate_to else ""
        yield f"decided by {step.human.role}{then}"


def told(tellings: Iterable[Telling], *moments: str) -> Iterator[str]:
    """What is told at these moments; without one, at each, with its name."""
    for one in tellings:
        if one.moment in moments or not moments:
            when = "" if moments else f" when {TOLD[one.moment]}"
            yield f"tells {short(one.emission.event)}{when}"


def rules_of(spec: Spec, step: Step) -> list[str]:
    """All that it says but for its order, its condition and the events that ask for it and end it."""
    items = items_of(step.for_each) if step.for_each else ()
    return [
        *(line for line in turn_of(step) if not line.startswith("once")),
        *items,
        *lock_of(spec, step),
        *decided_by(step),
        *time_of(spec, step),
        *again_of(spec, step),
    ]


def too_late(spec: Spec, pivots_only: bool) -> Iterator[str]:
    """Until which steps are done the saga can be taken back."""
    until = [step.name for step in spec.steps if step.pivot]
    if not pivots_only and spec.cancellable_until is not None:
        until.insert(0, spec.cancellable_until)
    if until:
        yield f"until {' or '.join(dict.fromkeys(until))} is done"


def names(events: tuple[str, ...]) -> str:
    """`StockReserved or StockRejected`."""
    return " or ".join(short(event) for event in events)


def short(event: str) -> str:
    """`StockReserved` for `shop.StockReserved`."""
    return event.rpartition(".")[2]


def _span(span: Span) -> str:
    if isinstance(span, Opening):
        return "the next opening"
    return f"{format_duration(span.micros)} open" if isinstance(span, OpenTime) else format_duration(span)


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


def _apart(rule: OnTimeout | Compensation) -> Iterator[str]:
    """`30s apart`, with how that grows."""
    if rule.wait_us:
        longest = f" up to {format_duration(rule.longest_us)}" if rule.longest_us is not None else ""
        grows = f", times {rule.backoff} each{longest}" if rule.backoff > 1 else ""
        yield f"{_span(rule.wait_us)} apart{grows}"
