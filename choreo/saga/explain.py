"""What a saga waits for, where its steps stand, and its story in one line, for the person at the console."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from choreo.saga.forward import BAD, REPEATED
from choreo.saga.instance import IN_FLIGHT, SETTLED, UNDOING, Instance, StepState
from choreo.saga.items import name_of, whole_in, with_items
from choreo.saga.policies import Timing
from choreo.saga.rules import Spec, Step

QUIET = (StepState.DONE, StepState.SKIPPED, StepState.FAILED)
"""What is not said of an item: its step tells how many there are of each."""


class Standing(NamedTuple):
    """Where a saga stands, in words: the full names of the events that would take it further, and its story."""

    waits_for: tuple[str, ...]
    explanation: str


def standing(spec: Spec, instance: Instance) -> Standing:
    """Both at once. `spec` has a step for each item (`items.with_items`)."""
    return Standing(_waits_for(spec, instance), _explain(spec, instance))


def waits_for(spec: Spec, instance: Instance) -> tuple[str, ...]:
    """The full names of the events that would take it further, in the order of the steps; () after the end."""
    return _waits_for(with_items(spec, instance.steps), instance)


def as_it_stands(status: str, steps: Mapping[str, str]) -> dict[str, str]:
    """Where each step stands, as people should read it, from what an instance of this status keeps of its steps.

    A step that is done for each item keeps how it went by what its items had come to when the saga turned back: told
    is what became of the items since.
    """
    if status in ("waiting", "completed"):
        return dict(steps)
    items: dict[str, list[str]] = {}
    for name, state in steps.items():
        if whole_in(name) != name:
            items.setdefault(whole_in(name), []).append(state)
    return {name: _taken_back(status, state, items.get(name, ())) for name, state in steps.items()}


def _taken_back(status: str, state: str, items: Collection[str]) -> str:
    if state not in (StepState.DONE, StepState.UNKNOWN):
        return state
    stands = (StepState.DONE, StepState.SKIPPED) if status == "stuck" else (StepState.DONE,)
    if any(one in stands for one in items):
        return state  # a saga that is stuck on its way forward has such an item, too: its step counts by the others
    undone = (one for one in (*reversed(UNDOING), StepState.COMPENSATED) if one in items)
    return next(undone, StepState(state)).value


def _waits_for(spec: Spec, instance: Instance) -> tuple[str, ...]:
    found: list[str] = []
    if instance.ended:
        return ()
    stuck = instance.cause is None and instance.status == "stuck"
    for step in spec.steps:
        state = instance.steps[step.name].state
        if state in IN_FLIGHT or (stuck and state in BAD):
            found += _adding(step, instance) if step.fans_out else step.completes_on
        elif step.compensate and state in (StepState.COMPENSATING, StepState.COMPENSATION_FAILED):
            found += step.compensate.done_on
    return tuple(dict.fromkeys(found))


def reason(instance: Instance) -> str | None:
    """Why it goes, or went, backward, or is stuck: `pay failed (PaymentDeclined)`. None where nothing went wrong."""
    cause = instance.cause
    if cause is None:
        bad = (name for name, record in instance.steps.items() if record.state in BAD)
        name = next(bad, None)
        return None if name is None else _bad(instance, name)
    if cause.kind == "cancelled":
        return f"cancelled ({_short(cause.by)})"
    if cause.kind == "asked":
        return f"taken back ({_short(cause.by)})"
    if cause.kind not in ("failed", "unknown", "timeout"):
        return f"{_short(cause.by)} {Timing(cause.kind).words}" + (f" ({cause.step})" if cause.step else "")
    verb = {"failed": "failed", "unknown": "may have happened", "timeout": "timed out"}[cause.kind]
    return f"{cause.step} {verb}" + ("" if cause.kind == "timeout" else f" ({_short(cause.by)})")


def explain(spec: Spec, instance: Instance) -> str:
    """`compensated: pay failed (PaymentDeclined), reserve undone (StockReleased)`."""
    return _explain(spec if instance.forgotten else with_items(spec, instance.steps), instance)


def _explain(spec: Spec, instance: Instance) -> str:
    if instance.forgotten:
        return f"{instance.status}, and forgotten but for its key"
    parts = list(_parts(spec, instance))
    return f"{instance.status}: {', '.join(parts)}" if parts else instance.status


def _parts(spec: Spec, instance: Instance) -> Iterator[str]:
    cause = instance.cause
    why = reason(instance)
    if why is not None:
        yield why
    for step in spec.steps:
        record = instance.steps[step.name]
        state, name = record.state, step.name
        if step.item_of and state in QUIET:
            continue
        if cause is not None and step.fans_out and state is not StepState.SKIPPED:
            yield from _items_left(spec, step, instance)
        elif state is StepState.COMPENSATED:
            yield f"{name} undone ({_short(record.undone_by)})"
        elif step.compensate and state is StepState.COMPENSATING:
            yield f"{name} is being undone (waits for {_names(step.compensate.done_on)})"
        elif step.compensate and state is StepState.COMPENSATION_FAILED:
            told = f"{name} can't be undone ({_short(record.problem)})"
            yield f"{told}, waits for {_names(step.compensate.done_on)}"
        elif cause is not None and state is StepState.UNKNOWN and step.compensate:
            yield f"{name} to be undone"
        elif cause is not None and state is StepState.DONE:
            yield f"{name} to be undone" if step.compensate else f"{name} done and kept ({_short(record.by)})"
        elif cause is None and state in BAD:
            waits = f"waits for {_names(step.completes_on)}"
            yield waits if why == _bad(instance, name) else f"{_bad(instance, name)}, {waits}"
        elif cause is None and state in IN_FLIGHT and step.fans_out:
            more = _adding(step, instance)
            yield f"{name} {_passed(step, instance)}" + (f", waits for {_names(more)}" if more else "")
        elif cause is None and state in IN_FLIGHT:
            late = " is overdue," if record.overdue else ""
            yield f"{name}{late} waits for {_names(step.completes_on)}"
        elif cause is None and state is StepState.HELD:
            yield f"{name} begins later"
        elif cause is None and state is StepState.DONE:
            yield f"{name} done ({_short(record.by)})"
        elif state is StepState.SKIPPED:
            yield f"{name} skipped"
    for held in instance.held:
        yield f"{_short(held.event)} waits for its turn"
    if instance.refused:
        undo = spec.compensates_on is not None and spec.compensates_on.event == instance.refused
        yield f"{'compensation' if undo else 'cancellation'} refused ({_short(instance.refused)})"


def _items_left(spec: Spec, step: Step, instance: Instance) -> Iterator[str]:
    """What is done for items and stands while the saga goes back; items that are being undone are told one by one."""
    items = instance.steps[step.name].items or {}
    done = sum(instance.steps[name_of(step, key)].state is StepState.DONE for key in items)
    if done and any(one.compensate for one in spec.steps if one.whole == step.name):
        yield f"{step.name} {done} of {len(items)} to be undone"
    elif done:
        yield f"{step.name} done and kept ({done} of {len(items)})"


def _passed(step: Step, instance: Instance) -> str:
    items = instance.steps[step.name].items or {}
    done = sum(instance.steps[name_of(step, key)].state in SETTLED for key in items)
    return f"{done} of {len(items)} done"


def _adding(step: Step, instance: Instance) -> tuple[str, ...]:
    """The events that add an item, where there are fewer than must be done."""
    rule, items = step.for_each, instance.steps[step.name].items
    return rule.adds_on if rule is not None and items is not None and len(items) < rule.enough(len(items)) else ()


def _bad(instance: Instance, name: str) -> str:
    record = instance.steps[name]
    if record.by in ("timeout", "deadline"):
        return f"{name} timed out"
    verb = "failed" if record.state is StepState.FAILED or record.by == REPEATED else "may have happened"
    return f"{name} {verb} ({record.problem or _short(record.by)})"


def _names(events: tuple[str, ...]) -> str:
    return " or ".join(_short(event) for event in events)


def _short(event: str) -> str:
    """`PaymentDeclined` for `shop.PaymentDeclined`; other texts stay as they are."""
    last = event.rpartition(".")[2]
    return last if last.isidentifier() and " " not in event else event
