"""The items of a step that is done for each: a step of its own for each item, made from the one that the spec has."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from choreo.saga.clauses import FAIL, FanOut
from choreo.saga.instance import StepRecord
from choreo.saga.rules import Spec, Step

MAX_ITEMS = 1_000
"""More are refused: an instance is written whole with each event that changes it."""

FEW_ITEMS, LAID_OUT = 16, 64
"""A spec keeps so many of those that were made of it, of so many items at most: some 2 MB."""


def name_of(step: Step, key: str) -> str:
    """`ship[KEY]`."""
    return f"{step.name}[{key}]"


def key_in(name: str) -> str:
    """The key of an item, of the name of its step."""
    return name[name.index("[") + 1 : -1]


def whole_in(name: str) -> str:
    """The step of the spec that a name belongs to."""
    return name.partition("[")[0]


def with_items(spec: Spec, records: Mapping[str, StepRecord]) -> Spec:
    """The spec with a step for each item that is known: those are asked for, time out and are undone one by one."""
    if not spec.fans_out:
        return spec
    known = tuple(tuple(records[step.name].items or ()) for step in spec.steps if step.for_each is not None)
    if known in spec.laid_out:
        return spec.laid_out[known]
    made = _laid_out(spec, records)
    if len(made.steps) - len(spec.steps) <= FEW_ITEMS:
        if len(spec.laid_out) >= LAID_OUT:
            spec.laid_out.clear()
        spec.laid_out[known] = made
    return made


def _laid_out(spec: Spec, records: Mapping[str, StepRecord]) -> Spec:
    steps: list[Step] = []
    for step in spec.steps:
        if step.for_each is None:
            steps.append(step)
        else:
            keys, one = records[step.name].items or (), _one(step)
            steps += [_whole(step), *(_changed(one, name=name_of(step, key)) for key in keys)]
    return replace(spec, steps=tuple(steps))


def _whole(step: Step) -> Step:
    """What is left to the step itself: its turn, and what is told of it."""
    return _changed(
        step,
        emit=None,
        completes_on=(),
        fails_on=(),
        unknown_on=(),
        skips_on=(),
        reopens_on=(),
        within_us=None,
        on_timeout=FAIL,
        remind=None,
        compensate=None,
        human=None,
    )


def _one(step: Step) -> Step:
    """The step for one item, but for its name: all that is asked and awaited. Its turn is there once that of the whole
    is.
    """
    return _changed(
        step,
        item_of=step.name,
        enough=None,
        when=None,
        otherwise=(),
        not_before_us=None,
        pivot=False,
        during=None,
        excludes=(),
        tells=(),
    )


def _changed(step: Step, **fields: Any) -> Step:
    """The step with other fields, as `replace` makes it, at a fraction of the cost: each event needs them all."""
    made = object.__new__(Step)
    made.__dict__.update(step.__dict__, **fields)
    return made


def listed(rule: FanOut, values: Any) -> dict[str, dict[str, Any]]:
    """The items of a list, as JSON has it, by their keys: what is read of each, its key under "".

    Raises ValueError for items that can't be told apart, and for too many.
    """
    found: dict[str, dict[str, Any]] = {}
    for value in values or ():
        key, item = item_of(rule, value)
        if key in found:
            raise ValueError(f"there are two items with the {rule.key} {key}")
        found[key] = item
    if len(found) > MAX_ITEMS:
        raise ValueError(f"there are {len(found):,} items, and {MAX_ITEMS:,} are the most")
    return found


def item_of(rule: FanOut, value: Any) -> tuple[str, dict[str, Any]]:
    """One item: its key, and what is read of it. Raises ValueError where it has no key."""
    fields = value if isinstance(value, Mapping) else {rule.key: value}
    key = fields.get(rule.key)
    if key is None:
        raise ValueError(f"an item has no {rule.key}")
    return str(key), {"": key} | {name: fields[name] for name in rule.keeps if name in fields}
