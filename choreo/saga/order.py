"""The order of the steps of a spec as written: what comes before what, and what is certain by then."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from choreo.saga.problems import Problems, did_you_mean
from choreo.saga.raw import RawStep
from choreo.saga.yaml import Text


@dataclass(frozen=True)
class Order:
    """The partial order of the steps, cycles left out: which steps come before each, at whatever distance.

    `sure` are those of them that are certainly done when the step begins: none that may be skipped, nor one of several.
    """

    before: Mapping[str, frozenset[str]]
    sure: Mapping[str, frozenset[str]]
    at_end: frozenset[str]
    """Those that are certainly done when the saga is complete."""
    lost: frozenset[str] = frozenset()
    """Steps whose place is not known: they, or steps before them, come after what is not there, or after themselves.
    That was said; what else seems to be wrong with what they read may only follow from it.
    """

    @classmethod
    def of(cls, steps: Iterable[RawStep], problems: Problems) -> "Order":
        """Checks that `after` and `else` name other steps and lead into no circle."""
        by_name = {step.name.value: step for step in steps}
        for step in by_name.values():
            for text in (*step.after.steps, *step.otherwise):
                if text.value not in by_name:
                    cure = did_you_mean(text.value, by_name, f"the steps are {', '.join(by_name)}")
                    problems.add(text.place, "unknown-step", f"there is no step {text.value}", cure)
        walk = _OrderWalk(by_name, problems)
        for name in by_name:
            walk.visit(name, ())
        at_end = frozenset[str]().union(*(walk.certain(name) for name in by_name))
        lost = frozenset(name for name in by_name if walk.lost & {name, *walk.before[name]})
        return cls(walk.before, walk.sure | dict.fromkeys(lost, frozenset(by_name)), at_end, lost)


class _OrderWalk:
    """Visits each step after those that it waits for; notes circles."""

    def __init__(self, by_name: Mapping[str, RawStep], problems: Problems) -> None:
        self._by_name, self._problems = by_name, problems
        self.before: dict[str, frozenset[str]] = {}
        self.lost: set[str] = set()
        self.sure: dict[str, frozenset[str]] = {}

    def visit(self, name: str, above: tuple[str, ...]) -> None:
        if name in self.before:
            return
        step = self._by_name[name]
        earlier = self._visited(step.after.steps, (*above, name))
        self._visited(step.otherwise, (*above, name))
        self.before[name] = frozenset(earlier).union(*(self.before[one] for one in earlier))
        certain = [self.certain(one) for one in earlier]
        if step.after.enough is None:
            self.sure[name] = frozenset[str]().union(*certain)
        else:
            self.sure[name] = frozenset.intersection(*certain) if certain else frozenset()

    def certain(self, name: str) -> frozenset[str]:
        """What is certainly done once this step is done or skipped."""
        step = self._by_name[name]
        if step.after.enough is not None:
            return frozenset()  # where too few of its steps are left it is skipped, and none may be done
        skippable = step.when or step.otherwise or step.skips_on or step.during
        return self.sure[name] | (frozenset() if skippable else {name})

    def _visited(self, texts: Iterable[Text], path: tuple[str, ...]) -> list[str]:
        """Those of these steps that there are, visited; one that closes a circle is a problem and left out."""
        found = []
        for text in texts:
            if text.value in path:
                circle = " after ".join((*path[path.index(text.value) :], text.value))
                self._problems.add(text.place, "cycle", f"these steps wait for each other: {circle}")
                self.lost.add(path[-1])
            elif text.value in self._by_name:
                self.visit(text.value, path)
                found.append(text.value)
            else:
                self.lost.add(path[-1])
        return found
