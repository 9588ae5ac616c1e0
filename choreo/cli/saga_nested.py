"""The sagas that steps of an instance are, and the one that it is a step of: which they are, and how each stands."""

import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple, Self

from choreo.cli.project import Project
from choreo.cli.saga_rows import one_instance
from choreo.cli.saga_specs import KnownSpecs
from choreo.cli.saga_view import SagaView
from choreo.errors import ConfigError
from choreo.saga.clauses import Emission
from choreo.saga.draft import Draft
from choreo.saga.explain import explain
from choreo.saga.instance import UNTOUCHED, Instance
from choreo.saga.nesting import nested_key
from choreo.saga.offers import nested_in as names_in
from choreo.saga.rules import Spec, Step
from choreo.saga.shelf import whole_shelf


class Nesting(NamedTuple):
    """A step, and an instance: the one that the step is, or, seen from below, the one whose step it is."""

    step: str
    saga: str
    key: str


class Family:
    """Who nests whom, by the specs that can be read here and by what the coordinators' stores hold now."""

    def __init__(self, project: Project, known: KnownSpecs) -> None:
        self._project, self._known = project, known
        self._open = ExitStack()
        self._views: dict[str, SagaView] = {}
        self._nested: frozenset[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def instance(self, saga: str, key: str) -> Instance | None:
        """An instance as its coordinator's store has it."""
        if saga not in self._views:
            self._views[saga] = self._open.enter_context(SagaView(self._project, saga))
        return self._views[saga].instance(key)

    def above(self, saga: str, key: str) -> Nesting | None:
        """The instance of which this one is a step, with its key as it may be shown, and which step; None where it is
        nobody's, and where that can't be told: the other saga's spec can't be read here, or one of both is forgotten.
        """
        if saga not in self._deployed_nested():
            return None
        instance = self.instance(saga, key)
        spec = self._known.of(instance.digest) if instance else None
        if instance is None or spec is None or instance.forgotten:
            return None
        for other, step in self._known.nesting(saga):
            for theirs in dict.fromkeys(_keys_above(instance, spec, other, step)):
                parent = self.instance(other.name, theirs)
                follows = self._known.of(parent.digest) if parent else None
                if parent and Nesting(step.name, saga, key) in nested_in(parent, follows):
                    return Nesting(step.name, other.name, self._known.shown_key(parent.digest, theirs))
        return None

    def below(self, instance: Instance | None, spec: Spec | None) -> list[dict[str, Any]]:
        """The sagas that its steps have begun: `step`, `saga`, `key`, and how each stands (`standing`)."""
        return [one._asdict() | self.standing(one) for one in nested_in(instance, spec)]

    def standing(self, nested: Nesting) -> dict[str, Any]:
        """How a nested saga stands; status and explanation are None where it has not started."""
        told: dict[str, Any] = {"saga": nested.saga, "key": nested.key, "status": None, "explanation": None}
        instance = self.instance(nested.saga, nested.key)
        spec = self._known.of(instance.digest) if instance else None
        if instance is not None and spec is not None:
            return told | {"status": instance.status, "explanation": explain(spec, instance)}
        try:
            row, _ = one_instance(self._project, nested.key, nested.saga)
        except ConfigError:
            return told  # neither it nor one whose key begins like this
        return told | {name: row[name] for name in ("status", "explanation") if row["key"] == nested.key}

    def _deployed_nested(self) -> frozenset[str]:
        """The sagas that any spec on the log nests: those of others need no look at a store."""
        if self._nested is None:
            sources = (one.source for one in whole_shelf(self._project.log))
            self._nested = frozenset(
                name for text in sources if text.count("saga") > 1 for name in names_in(text)
            )  # its own name is the first
        return self._nested


def nested_in(instance: Instance | None, spec: Spec | None) -> list[Nesting]:
    """The sagas that its steps have begun; nothing of an instance or spec that can't be read here."""
    if instance is None or spec is None or instance.forgotten:
        return []
    found = []
    for step in spec.steps:
        key = nested_key(spec, instance, step)
        if step.nested is not None and key is not None and instance.steps[step.name].state not in UNTOUCHED:
            found.append(Nesting(step.name, step.nested.saga, key))
    return found


def _keys_above(instance: Instance, spec: Spec, above: Spec, step: Step) -> Iterator[str]:
    """Under which keys a saga would tell its ends to a step of another: it need not have come to any of them."""
    draft = Draft(spec, instance, 0)
    for telling in spec.tells:
        event, field = telling.emission.event, above.correlate_by.get(telling.emission.event, "")
        if event in (*step.completes_on, *step.fails_on) and field in telling.emission.fields:
            told, _ = draft.fill(Emission(event, {field: telling.emission.fields[field]}))
            if told.get(field) is not None:
                yield str(told[field])


def sentence(stands: Mapping[str, Any]) -> str:
    """`saga shipping S-1 is stuck: ...`, and where to read on."""
    name = f"saga {stands['saga']} {stands['key']}"
    if stands["status"] is None:
        return f"{name} has not started"
    return f"{name} is {stands['explanation']} (choreo sagas why {shlex.quote(stands['key'])} --saga {stands['saga']})"


def line_above(parent: Nesting | None) -> list[str]:
    """Whose step an instance is, as a line of its own; none for one that is nobody's."""
    return [f"  is step {parent.step} of saga {parent.saga} {parent.key}"] if parent else []
