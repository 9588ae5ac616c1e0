"""A step that is done for each item of a list: which items there are, when enough of them are done, what becomes of
the rest.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from choreo.saga.backward import undo_now
from choreo.saga.decision import Received
from choreo.saga.draft import NOTHING, Draft
from choreo.saga.instance import IN_FLIGHT, NOT_BEGUN, OPEN, SETTLED, UNDOING, StepState
from choreo.saga.items import item_of, listed, name_of
from choreo.saga.rules import Part, Role, Step

LOST = (StepState.FAILED, StepState.UNKNOWN, *UNDOING, StepState.COMPENSATED)
"""An item that came to nothing: it failed, or may have happened and is undone."""
ITEMS = "items"
"""What settled a step whose list of items was of no use, or too short."""
REST = "rest"
"""What settled an item that was not needed any more."""


def lay_out(draft: Draft) -> None:
    """Give each item a record, once its list is known. What the list was then is what counts."""
    if not draft.spec.fans_out:
        return
    for step in draft.spec.steps:
        if not step.fans_out or draft.steps[step.name].items is not None:
            continue
        assert step.for_each is not None
        values = draft.value(step.for_each.items)
        if values is NOTHING:
            continue
        try:
            items = listed(step.for_each, values)
        except ValueError as error:
            draft.put(step, items={})
            draft.move(step, StepState.FAILED, str(error), by=ITEMS, problem=str(error), due=None)
            continue
        draft.put(step, items=items)
        draft.add_steps(name_of(step, key) for key in items)


def add(draft: Draft, step: Step, given: Received) -> None:
    """An event is one more item, unless it is known already, or the step is settled."""
    assert step.for_each is not None
    items = draft.steps[step.name].items
    try:
        key, _ = item_of(step.for_each, given.fields)
        if items is not None and key in items:
            return
        if items is None:
            raise ValueError("the list of its items is not known yet")
        if not takes_items(draft, step):
            raise ValueError(f"it is {draft.state(step)}, and {key} comes too late")
        known = [{**one, step.for_each.key: one[""]} for one in items.values()]
        items = listed(step.for_each, [*known, given.fields])
    except ValueError as error:
        draft.dead_letter = f"step {step.name} takes no more items: {error}"
        return
    draft.put(step, items=items)
    draft.add_steps([name_of(step, key)])
    draft.note(f"{step.name}: one more item, {key} ({given.event})")


class Unknown(NamedTuple):
    """A part of an event, as its step has it, that speaks of no known item: why, and whether it may be one yet."""

    part: Part
    why: str
    to_come: bool


def parts_of(draft: Draft, given: Received) -> tuple[Part, ...]:
    """What an event means, of a step that is done for each to the item that it speaks of. Items that are not known are
    left out.
    """
    if not draft.spec.fans_out:
        return draft.spec.parts.get(given.event, ())
    return tuple(part for part in _parts(draft, given) if isinstance(part, Part))


def unknown_in(draft: Draft, given: Received) -> Unknown | None:
    """The first part of an event that means nothing, for there is no such item."""
    if not draft.spec.fans_out:
        return None
    return next((part for part in _parts(draft, given) if isinstance(part, Unknown)), None)


def _parts(draft: Draft, given: Received) -> Iterator[Part | Unknown]:
    for part in draft.as_written.parts.get(given.event, ()):
        step = draft.spec.by_name.get(part.step)
        if step is None or not step.fans_out or part.role is Role.ADDS:
            yield part
        else:
            yield _addressed(draft, step, part, given)


def _addressed(draft: Draft, step: Step, part: Part, given: Received) -> Part | Unknown:
    assert step.for_each is not None
    key = given.fields.get(step.for_each.key)
    found = draft.spec.by_name.get(name_of(step, str(key)))
    if found is not None:
        return Part(part.role, found.name)
    known = draft.steps[step.name].items
    why = "the list of its items is not known yet" if known is None else f"it has no item {key}"
    to_come = takes_items(draft, step) and (known is None or bool(step.for_each.adds_on))
    return Unknown(part, f"step {step.name} can't take it: {why}", to_come)


def takes_items(draft: Draft, step: Step) -> bool:
    """Whether there may be more items yet."""
    return draft.cause is None and draft.state(step) in (*NOT_BEGUN, StepState.WAITING)


def settle(draft: Draft) -> None:
    """Let each step go by what its items have come to."""
    if not draft.spec.fans_out:
        return
    for step in draft.spec.steps:
        record = draft.steps[step.name]
        if not step.fans_out or record.items is None or record.by == ITEMS:
            continue
        items = [draft.spec.by_name[name_of(step, key)] for key in record.items]
        counts = _counts(draft, items)
        kept = {name: counts[name] for name in step.keeps if name in counts}
        if kept != record.fields:
            draft.put(step, fields=kept)
        if record.state is StepState.SKIPPED:
            for item in items:
                if draft.state(item) is StepState.IDLE:
                    draft.move(item, StepState.SKIPPED, due=None)
        elif record.state in (StepState.WAITING, StepState.DONE, StepState.FAILED):
            _follow(draft, step, items)


def _counts(draft: Draft, items: Sequence[Step]) -> dict[str, int]:
    """What expressions see of it: `steps.ship.done`."""
    states = [draft.state(item) for item in items]
    return {
        "items": len(states),
        "done": states.count(StepState.DONE),
        "failed": sum(state in LOST for state in states),
    }


def _follow(draft: Draft, step: Step, items: Sequence[Step]) -> None:
    """Done once enough items are, failed once there can't be enough; an item taken back takes it back."""
    rule, state = step.for_each, draft.state(step)
    assert rule is not None
    passed = [item for item in items if _passed(draft, item)]
    open_ = [item for item in items if draft.state(item) in OPEN]
    enough = rule.enough(len(items))
    more_to_come = bool(rule.adds_on) and len(items) < enough
    if len(passed) >= enough:
        now = StepState.WAITING if open_ and rule.rest == "wait" else StepState.DONE
    else:
        now = StepState.WAITING if more_to_come or len(passed) + len(open_) >= enough else StepState.FAILED
    if now is state:
        return
    said = f"{len(passed)} of {len(items)}"
    if now is StepState.DONE:
        draft.move(step, now, said, by=said, done_at=draft.now, problem="")
    elif now is StepState.FAILED:
        bad = [item for item in items if draft.state(item) in LOST]
        problem = f"{said} done, {enough} wanted" + "".join(f", {_ended(draft, item)}" for item in bad[:3])
        by = next((draft.steps[item.name].by for item in bad), ITEMS)
        draft.move(step, now, problem, by=by, problem=problem)
    elif state is StepState.DONE:
        draft.begin_again(step, said)
    else:
        draft.move(step, now, said, by="", problem="")


def _passed(draft: Draft, item: Step) -> bool:
    """Whether an item counts: it is done, or somebody went on without it. What was called off never does."""
    record = draft.steps[item.name]
    return record.state in SETTLED and record.by != REST


def _ended(draft: Draft, item: Step) -> str:
    record = draft.steps[item.name]
    return f"{item.name} {record.state} ({record.by.rpartition('.')[2]})"


def clear_up(draft: Draft) -> None:
    """While the saga goes forward: undo items that may have happened and don't count, and, where the rest is to be
    undone, those that are not needed any more.
    """
    for item in list(_items(draft)):
        assert item.for_each is not None
        whole = draft.state(item.item_of)
        if item.for_each.rest == "undo" and whole is StepState.DONE:
            _call_off(draft, item)
        if draft.state(item) is StepState.UNKNOWN and item.compensate and whole in (*SETTLED, StepState.WAITING):
            undo_now(draft, item)


def _call_off(draft: Draft, item: Step) -> None:
    """Enough items are done: what this one would add is not needed."""
    state = draft.state(item)
    late = state is StepState.DONE and draft.steps[item.name].late == "uncovered"
    if state in NOT_BEGUN:
        draft.move(item, StepState.SKIPPED, "not needed any more", by=REST, due=None)
    elif state in IN_FLIGHT or (late and _to_spare(draft, item)):
        draft.move(item, StepState.UNKNOWN, "not needed any more", by=REST, due=None, resting=False)
    elif late:  # it has taken the place of one that was taken back
        draft.put(item, late="counted")


def _to_spare(draft: Draft, item: Step) -> bool:
    """Whether enough other items are done."""
    assert item.for_each is not None
    others = [one for one in draft.spec.steps if one.item_of == item.item_of]
    return sum(_passed(draft, one) for one in others) > item.for_each.enough(len(others))


def _items(draft: Draft) -> Iterator[Step]:
    return (step for step in draft.spec.steps if step.item_of) if draft.spec.fans_out else iter(())


def under_way(draft: Draft) -> bool:
    """Whether an item is still asked for, or being undone, though its step may be done."""
    return any(draft.state(item) in (*IN_FLIGHT, *UNDOING) for item in _items(draft))


def stuck(draft: Draft) -> bool:
    """Whether an item can't be undone."""
    return any(draft.state(item) is StepState.COMPENSATION_FAILED for item in _items(draft))
