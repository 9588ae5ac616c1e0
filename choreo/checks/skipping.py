"""Steps that are left out without a word because too few of those that they wait for are taken.

What conditions say is tried: with the values that they speak of and those beside them, as far as the events take them.
A condition over anything else may come out either way, together with all that say the same or the opposite.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, pairwise, product
from typing import Any

from choreo.checks.choreography import Choreography, SpecFile
from choreo.checks.finding import Finding, Spot
from choreo.checks.values import fault_of, values_of
from choreo.saga.cel_tree import tree_of
from choreo.saga.clauses import Reference
from choreo.saga.conditions import Expression
from choreo.saga.kinds import Kind, ValueType
from choreo.saga.rules import Spec, Step
from choreo.saga.yaml import Table

TRIES = 2_000
"""So many ways in which values may come are tried for one step: choices of a spec are few, and `check` is quick."""
OTHER = "another text"
OPPOSITE = {"==": "!=", "<": ">=", "<=": ">"}
_OPPOSITE = {right: left for left, right in OPPOSITE.items()}


def find_skipping(whole: Choreography) -> Iterator[Finding]:
    """Of `any` and `at_least` those that may not be reached, where nobody says what happens then."""
    for one in whole.specs:
        for step in one.spec.steps:
            if step.enough is None or step.enough == len(step.after) or _said(one.spec, step):
                continue  # all of so many is what `after: [...]` does not say: that it is skipped with each of them
            way = next(_ways(whole, one, step), None)
            if way is not None:
                left = [name for name in step.after if not way.takes(name)]
                says = f"step {step.name} is skipped without a word where {' and '.join(left)} are skipped"
                says = says.replace(" are skipped", " is skipped") if len(left) == 1 else says
                says += f"{way.example(left)}: it wants {step.enough} of {', '.join(step.after)}"
                cure = "let another be taken by else:, say when: it is wanted, or tell: {skipped: EVENT} if it is meant"
                yield Finding("skipped-silently", says, _spot(one, step), cure)


def _said(spec: Spec, step: Step) -> bool:
    """Whether somebody is told, or something else is done then."""
    told = any(telling.moment == "skipped" for telling in step.tells)
    return told or any(step.name in other.otherwise for other in spec.steps)


def _spot(one: SpecFile, step: Step) -> Spot:
    written = one.step(step.name)
    after = written.entries["after"][1] if written and "after" in written.entries else None
    for key in ("any", "at_least"):
        if isinstance(after, Table) and key in after.entries:
            return Spot(one.file, *after.entries[key][0].place)
    return one.spot(step.name, step.name)


class _Fails(Exception):
    """A condition gives nothing: its step fails, which is no silence."""


@dataclass
class _Way:
    """One way in which the conditions of a spec may come out: `values` of what they read, `free` by their texts."""

    spec: Spec
    values: Mapping[str, Any]
    free: Mapping[str, bool]
    _taken: dict[str, bool] = field(default_factory=dict)

    def takes(self, name: str) -> bool:
        """Whether the step is done in the end, where nothing goes wrong. Raises _Fails."""
        if name not in self._taken:
            step = self.spec.by_name[name]
            self._taken[name] = self.wants(step) and not self.lacks(step)
        return self._taken[name]

    def lacks(self, step: Step) -> bool:
        """Whether too few are taken of those that it comes after."""
        return step.enough is not None and sum(map(self.takes, step.after)) < step.enough

    def wants(self, step: Step) -> bool:
        """Whether all else that it says of itself lets it be taken."""
        if step.during is not None and not self.takes(step.during):
            return False
        return not any(map(self.takes, step.otherwise)) and (step.when is None or self._holds(step.when))

    def _holds(self, when: Expression) -> bool:
        text, opposite = _alike(when.text)
        if text in self.free:
            return self.free[text] is not opposite
        values = dict(self.values)
        for step in {one.step for name in when.reads if (one := Reference.named(name))}:
            if step is not None:
                taken = self.takes(step)
                values[f"steps.{step}.status"] = "done" if taken else "skipped"
                if not taken:
                    values = {name: value for name, value in values.items() if _of(name) != step or _is_status(name)}
        answer = when.evaluate(values)
        if answer.problem is not None:
            raise _Fails
        return bool(answer.value)

    def example(self, left: Iterable[str]) -> str:
        """`, as with saga.n = 0`: the values because of which these are left out; "" where they are not known."""
        conditions = [self.spec.by_name[name].when for name in left]
        read = dict.fromkeys(name for when in conditions if when for name in when.reads if name in self.values)
        shown = [f"{name} = {_shown(self.values[name])}" for name in read]
        return f", as with {', '.join(shown)}" if shown else ""


def _ways(whole: Choreography, one: SpecFile, step: Step) -> Iterator[_Way]:
    """The ways in which this step is left out though it would be wanted."""
    concerned = _concerned(one.spec, step)
    conditions = {each.when.text: each.when for each in concerned if each.when is not None}
    tried, free = _candidates(whole, one, list(conditions.values()))
    names = [*tried, *free]
    for chosen in islice(product(*tried.values(), *((True, False) for _ in free)), TRIES):
        told = dict(zip(names, chosen, strict=True))
        way = _Way(one.spec, {name: told[name] for name in tried}, {text: told[text] for text in free})
        try:
            if way.lacks(step) and way.wants(step):
                yield way
        except _Fails:
            continue


def _concerned(spec: Spec, step: Step) -> list[Step]:
    """The step and all by which it may be left out."""
    found, ahead = dict[str, Step](), [step.name]
    while ahead:
        one = spec.by_name[ahead.pop()]
        if one.name not in found:
            found[one.name] = one
            read = [_of(name) for name in (one.when.reads if one.when else ())]
            meant = (*one.after, *one.otherwise, *read, one.during or "")
            ahead += [name for name in meant if name in spec.by_name]
    return [one for one in spec.steps if one.name in found]


def _candidates(
    whole: Choreography, one: SpecFile, conditions: Sequence[Expression]
) -> tuple[dict[str, list[Any]], list[str]]:
    """What to try for each name that conditions read; and the texts of those that may come out either way."""
    tried: dict[str, list[Any]] = {}
    free = dict[str, None]()
    for when in conditions:
        own = {name: _tried(whole, one, name, its_type, conditions) for name, its_type in when.reads.items()}
        if all(own.values()) and own:
            tried |= {name: values for name, values in own.items() if not _is_status(name)}
        elif own:
            free[_alike(when.text)[0]] = None
    return tried, list(free)


def _tried(
    whole: Choreography, one: SpecFile, name: str, its_type: ValueType, conditions: Iterable[Expression]
) -> list[Any]:
    """Values of one name at which conditions may turn; [] for what can't be tried."""
    if _is_status(name):
        return ["done", "skipped"]
    literals = [text for when in conditions if name in when.reads for text in _literals(when.text)]
    numbers = sorted({float(text) for text in literals if re.fullmatch(r"[\d.]+", text)})
    found: list[Any] = []
    if its_type.present is Kind.BOOL:
        found = [True, False]
    elif its_type.present is Kind.STRING:
        texts = [text[1:-1] for text in literals if re.fullmatch(r"'[^'\\]*'|\"[^\"\\]*\"", text)]
        found = [*(values_of(whole, one, name) or (*texts, OTHER, ""))]
    elif its_type.present in (Kind.INT, Kind.DOUBLE):
        between = [(left + right) / 2 for left, right in pairwise(numbers)]
        near = [number + more for more in (0, -1, 1) for number in numbers] + between + [0.0]
        found = [int(number) for number in near] if its_type.present is Kind.INT else near
    nothing = [None] if its_type.kind is Kind.DYN and found else []
    return [value for value in dict.fromkeys([*found, *nothing]) if _may_be(whole, one, name, value)]


def _may_be(whole: Choreography, one: SpecFile, name: str, value: Any) -> bool:
    """Whether an event takes this value, so that the name may come to hold it. Of items there are none or more."""
    reference = Reference.named(name)
    step = one.spec.by_name.get(reference.step or "") if reference else None
    if step is not None and step.for_each is not None:
        return bool(value >= 0)
    events = step.completes_on if step else (one.spec.starts_on,)
    known = [whole.catalogue[event] for event in events if event in whole.catalogue]
    if reference is None or not known:
        return True
    held = [event for event in known if reference.field in event.model_fields]
    return any(fault_of(event, reference.field, value) is None for event in held)


def _literals(text: str) -> Iterator[str]:
    tree = tree_of(text)
    return (node.name for node in tree.walk() if node.sort == "literal") if tree else iter(())


def _alike(text: str) -> tuple[str, bool]:
    """One text for a condition and its opposite, and whether this is the opposite: `a != b` is that of `a == b`."""
    tree = tree_of(text)
    if tree is None or tree.sort != "operator" or tree.name not in (*OPPOSITE, *_OPPOSITE, "!"):
        return text.strip(), False
    parts = [text[part.start : part.end] for part in tree.parts]
    if tree.name == "!":
        inner, opposite = _alike(parts[0])
        return inner, not opposite
    sign = _OPPOSITE.get(tree.name, tree.name)
    return f"{parts[0]} {sign} {parts[1]}", sign != tree.name


def _of(name: str) -> str:
    """The step that a name speaks of; "" for `saga.FIELD`."""
    reference = Reference.named(name)
    return reference.step or "" if reference else ""


def _is_status(name: str) -> bool:
    return bool(_of(name)) and name.endswith(".status")


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else repr(value)
