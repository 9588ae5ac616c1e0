"""Who handles what: the routes of one service, worked out once from its handlers' signatures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from choreo.errors import ServiceError
from choreo.events.event import Event
from choreo.service.service import Service
from choreo.service.signature import Method, Signature


class Invocation(NamedTuple):
    """One method of one handler, for one input."""

    number: int
    """Which handler of the service."""
    signature: Signature
    method: Method

    @property
    def undoes(self) -> bool:
        return self.method.name == "compensate"


class Rekeyed(NamedTuple):
    """An internal topic: the events of `source`, keyed by one of their fields."""

    source: str
    field: str


Routes = Mapping[type[Event], tuple[Invocation, ...]]


@dataclass(frozen=True)
class Plan:
    """The topics that a service reads and the methods that answer each event and each timer."""

    service: Service
    routes: Mapping[str, Routes]
    """Who answers which event, by the topic that it is read from."""
    rekeyed: Mapping[str, Rekeyed]
    """Those of the topics that are internal ones, filled by a relay."""
    by_timer: Mapping[str, Invocation]

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(self.routes)

    @property
    def by_event(self) -> Routes:
        """Who answers which event, wherever it is read from."""
        found: dict[type[Event], tuple[Invocation, ...]] = {}
        for routes in self.routes.values():
            for event, invocations in routes.items():
                found[event] = (*found.get(event, ()), *invocations)
        return found

    @property
    def classes(self) -> tuple[type[Event], ...]:
        """Every event class that the service reads or writes."""
        return tuple(dict.fromkeys([*self.by_event, *self.service.emitted]))

    @property
    def sources(self) -> dict[str, str]:
        """Which topic the events of each internal topic belong to."""
        return {topic: rekeyed.source for topic, rekeyed in self.rekeyed.items()}


def plan_of(service: Service) -> Plan:
    """Work out the routes. Raises ServiceError for what this version can't run."""
    routes: dict[str, dict[type[Event], tuple[Invocation, ...]]] = {}
    rekeyed: dict[str, Rekeyed] = {}
    by_timer: dict[str, Invocation] = {}
    for number, signature in enumerate(service.signatures):
        _refuse_unrunnable(service, signature)
        for method in filter(None, (signature.handle, signature.compensate)):
            for event in method.takes:
                topic = event.contract.topic
                field = signature.handler.keyed_by
                if field is not None and (event.contract.key != (field,) or event.contract.external):
                    _check_field(service, signature, event, field)
                    source, topic = topic, f"{service.scope}.by-{field}.{topic}"
                    rekeyed[topic] = Rekeyed(source, field)
                answers = routes.setdefault(topic, {})
                answers[event] = (*answers.get(event, ()), Invocation(number, signature, method))
        for timer, method in signature.due.items():
            by_timer[timer] = Invocation(number, signature, method)
    return Plan(service, routes, rekeyed, by_timer)


def _check_field(service: Service, signature: Signature, event: type[Event], field: str) -> None:
    if field not in event.model_fields:
        raise ServiceError(
            f"service {service.name}: {signature.name}: keyed_by={field!r} is no field of {event.__name__}",
            why="every event that the handler takes is found by it",
            hint=f"its fields are {', '.join(event.model_fields)}",
        )


def _refuse_unrunnable(service: Service, signature: Signature) -> None:
    where = f"service {service.name}: {signature.name}"
    if signature.handler.schedule is not None:
        raise ServiceError(f"{where} has a schedule", why="this version does not run schedules")
