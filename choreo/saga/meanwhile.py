"""What steps have to do with others that are under way: `excludes` and `while`, looked up in the spec as written."""

from collections.abc import Iterable, Mapping, Sequence

from choreo.saga.order import Order
from choreo.saga.problems import Problems, did_you_mean
from choreo.saga.raw import RawStep
from choreo.saga.yaml import Text


def excluded(step: RawStep, steps: Iterable[RawStep]) -> tuple[str, ...]:
    """The steps that this one and `steps` exclude: to exclude is mutual, whoever says it."""
    name = step.name.value
    by_others = [one.name.value for one in steps if name in [text.value for text in one.excludes]]
    return tuple(dict.fromkeys([*(text.value for text in step.excludes), *by_others]))


def check_meanwhile(steps: Sequence[RawStep], order: Order, problems: Problems) -> None:
    """Every other step that is named is there, and none waits for what can't come. Fills `problems`."""
    by_name = {step.name.value: step for step in steps}
    for step in steps:
        name = step.name.value
        for text in (*step.excludes, *([step.during] if step.during else [])):
            if text.value not in by_name or text.value == name:
                others = [one for one in by_name if one != name]
                cure = did_you_mean(text.value, others, f"the other steps are {', '.join(others)}")
                problems.add(text.place, "unknown-step", f"there is no other step {text.value}", cure)
        if (step.during or excluded(step, steps)) and not step.emit:
            said = f"step {name} has no emit, so nothing can be put off"
            problems.add(step.name.place, "nothing-to-hold", said, "add emit: the event that asks for the step")
        for text in step.excludes:
            if text.value in by_name:
                _check_excluded(step, by_name[text.value], text, by_name, problems)
        if step.during and step.during.value in by_name:
            _check_during(step, step.during.value, by_name, order, problems)


def _check_excluded(
    step: RawStep, other: RawStep, written: Text, by_name: Mapping[str, RawStep], problems: Problems
) -> None:
    """Of two of which one is surely over when the other begins, none ever waits; `other` is where it is reopened."""
    for later, earlier in ((step, other), (other, step)):
        before, after = earlier.name.value, later.name.value
        if before in _over(later, by_name, frozenset()) and not earlier.reopens_on:
            said = f"step {after} begins once {before} is over, so excludes holds neither of them back"
            cure = f"a choice is else: {before}; or leave {written.value} out of excludes"
            problems.add_since(written.place, "nothing-to-exclude", said, cure)
            return


def _over(step: RawStep, by_name: Mapping[str, RawStep], seen: frozenset[str]) -> frozenset[str]:
    """The steps that are surely done or skipped by the turn of a step.

    Not looked beyond is what may be settled before its own turn: by an event that skips it or comes early, by the step
    that it is done during, or because too few are left that it waits for.
    """
    needed = step.after.steps if step.after.enough in (None, len(step.after.steps)) else ()
    direct = {text.value for text in (*needed, *step.otherwise) if text.value in by_name} - seen
    found = frozenset(direct)
    for name in sorted(direct):
        one = by_name[name]
        if one.emit and not (one.skips_on or one.during or one.after.enough):
            found |= _over(one, by_name, seen | found)
    return found


def _check_during(step: RawStep, during: str, by_name: Mapping[str, RawStep], order: Order, problems: Problems) -> None:
    name, place = step.name.value, step.during.place if step.during else step.name.place
    if during in order.before.get(name, ()):
        said = f"step {name} comes after {during}, which is over by then"
        problems.add(place, "never-begins", said, f"leave {during} out of what comes before")
    elif during in excluded(step, by_name.values()):
        problems.add(place, "never-begins", f"step {name} excludes {during}, and begins only while that is under way")
    elif name in _needed(during, by_name, order, frozenset()):
        problems.add(place, "cycle", f"these steps wait for each other: {name} while {during}, which needs {name}")


def _needed(name: str, by_name: Mapping[str, RawStep], order: Order, seen: frozenset[str]) -> frozenset[str]:
    """All that must have begun, or be over, before a step is under way."""
    direct = set(order.before.get(name, ()))
    during = by_name[name].during
    if during is not None and during.value in by_name:
        direct.add(during.value)
    new = direct - seen
    found = seen | new
    for one in sorted(new):
        found |= _needed(one, by_name, order, found)
    return found
