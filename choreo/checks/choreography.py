"""The whole project as one value: what the checks look at. Whoever loads the project fills it in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from choreo.checks.finding import Spot
from choreo.checks.leads import Lead, leads_of
from choreo.events.event import Event
from choreo.runtime.plan import Plan
from choreo.saga.problems import Problems
from choreo.saga.rules import Spec, Step
from choreo.saga.yaml import Items, Node, Table, Text, read_yaml
from choreo.service.handler import AnyHandler
from choreo.service.service import Service


@dataclass(frozen=True)
class SpecFile:
    """A sound spec, and the file that says it."""

    file: str
    source: str
    spec: Spec

    def spot(self, word: str, step: str = "") -> Spot:
        """Where the spec says `word`, else an event by its short name; first in the step of this name."""
        for node in (*([self.step(step)] if step else []), self._table):
            for name in (word, word.rpartition(".")[2]):
                for text in _texts(node):
                    if text.value == name:
                        return Spot(self.file, *text.place)
        return Spot(self.file)

    def step(self, name: str) -> Table | None:
        """The table of a step as it is written."""
        steps = self._table.entries.get("steps") if self._table else None
        for item in steps[1].values if steps and isinstance(steps[1], Items) else ():
            if isinstance(item, Table) and (named := item.entries.get("name")) and _word(named[1]) == name:
                return item
        return None

    def says(self, key: str) -> bool:
        """Whether the spec has this key at its top."""
        return self._table is not None and key in self._table.entries

    @cached_property
    def _table(self) -> Table | None:
        return read_yaml(self.source, Problems(self.file))


class Count(NamedTuple):
    """How many partitions a topic has or is to have, and who says so."""

    partitions: int
    said_by: Spot | str


class Named(NamedTuple):
    """A section of the settings that bears somebody's name: [downstreams.bank]."""

    section: str
    name: str
    spot: Spot | None


@dataclass(frozen=True)
class Deployed:
    """One version of a spec on the log: what it says, where today's events can carry it, and who follows it."""

    saga: str
    version: int
    digest: str
    spec: Spec | None
    problem: str = ""
    running: tuple[str, ...] = ()
    """The keys of the instances that follow it and have not ended."""
    outcomes: Mapping[str, int] = field(default_factory=dict)
    """How many of them are safe, need a mapping or stay under the project's own version, where that was worked out."""


@dataclass(frozen=True)
class Choreography:
    """Services that can run, sagas that can be followed, and what is said about them elsewhere.

    `handlers` are all that were written, `catalogue` every event by its full name. `outside` are the events that
    somebody else emits or takes, by full name. `whole` says that nothing of the project is left out.
    """

    services: tuple[Service, ...] = ()
    specs: tuple[SpecFile, ...] = ()
    catalogue: Mapping[str, type[Event]] = field(default_factory=dict)
    handlers: tuple[type[AnyHandler], ...] = ()
    outside: Mapping[str, Spot | None] = field(default_factory=dict)
    whole: bool = False
    plans: tuple[Plan, ...] = ()
    """The routes of services and coordinators."""
    counts: Mapping[str, Count] = field(default_factory=dict)
    named: tuple[Named, ...] = ()
    deployed: tuple[Deployed, ...] = ()

    @cached_property
    def emitted(self) -> frozenset[str]:
        """The events that handlers declare to emit, and those that they say in other stories."""
        declared = {event.contract.full_name for service in self.services for event in service.emitted}
        return frozenset(declared | {lead.effect for lead in self.leads})

    @cached_property
    def handled(self) -> frozenset[str]:
        """The events that handlers take, requests to undo included."""
        return frozenset(event.contract.full_name for service in self.services for event in service.handled)

    @cached_property
    def requested(self) -> frozenset[str]:
        """The events that sagas emit."""
        return frozenset(event for one in self.specs for event in one.spec.emits)

    @cached_property
    def awaited(self) -> frozenset[str]:
        """The events that sagas take."""
        return frozenset(event for one in self.specs for event in one.spec.parts)

    @cached_property
    def decided(self) -> frozenset[str]:
        """The events by which people decide human steps."""
        humans = (step.human for one in self.specs for step in one.spec.steps)
        return frozenset(decision.event for human in humans if human for decision in human.decisions)

    @cached_property
    def leads(self) -> tuple[Lead, ...]:
        """Which event leads to which, by the handlers."""
        return tuple(leads_of(self.services))

    def unsaid(self, spec: Spec) -> Iterator[str]:
        """The events that a saga waits for, and nobody emits."""
        said = self.emitted | self.requested | self.decided | frozenset(spec.triggers)
        return (event for event in spec.parts if event not in said and not self.is_outside(event))

    def unheard(self, spec: Spec) -> Iterator[str]:
        """The requests of a saga that nobody takes."""
        taken = self.handled | self.awaited
        return (event for event in spec.asks if event not in taken and not self.is_outside(event))

    @cached_property
    def _nested_elsewhere(self) -> frozenset[str]:
        """The events by which sagas speak with those that they nest and that are not among these specs."""
        here = {one.spec.name for one in self.specs}
        steps = (step for one in self.specs for step in one.spec.steps if step.nested and step.nested.saga not in here)
        return frozenset(event for step in steps for event in spoken(step))

    def is_outside(self, event: str) -> bool:
        """Whether others emit or take it."""
        told = event in self.outside or event in self._nested_elsewhere
        return told or (event in self.catalogue and self.catalogue[event].contract.external)


def spoken(step: Step) -> Iterator[str]:
    """The events by which a step is asked for, answered and undone."""
    yield from (*([step.emit.event] if step.emit else []), *step.completes_on, *step.fails_on, *step.unknown_on)
    if step.compensate is not None:
        yield from (step.compensate.emit.event, *step.compensate.done_on, *step.compensate.fails_on)


def _texts(node: Node | None) -> Iterator[Text]:
    """Every word below a node, in the order of the file."""
    if isinstance(node, Text):
        yield node
    elif isinstance(node, Items):
        for item in node.values:
            yield from _texts(item)
    elif isinstance(node, Table):
        for _, value in node.entries.values():
            yield from _texts(value)


def _word(node: Node) -> str:
    return node.value if isinstance(node, Text) else ""
