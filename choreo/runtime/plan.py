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


@dataclass(frozen=True)
class Plan:
    """The topics that a service reads and the methods that answer each event and each timer."""

    service: Service
    topics: tuple[str, ...]
    by_event: Mapping[type[Event], tuple[Invocation, ...]]
    by_timer: Mapping[str, Invocation]
    classes: tuple[type[Event], ...]
    """Every event class that the service reads or writes."""


def plan_of(service: Service) -> Plan:
    """Work out the routes. Raises ServiceError for what this version can't run."""
    by_event: dict[type[Event], tuple[Invocation, ...]] = {}
    by_timer: dict[str, Invocation] = {}
    for number, signature in enumerate(service.signatures):
        _refuse_unrunnable(service, signature)
        for method in (signature.handle, signature.compensate):
            for event in method.takes if method else ():
                by_event[event] = (*by_event.get(event, ()), Invocation(number, signature, method))  # type: ignore[arg-type]  # takes of None is ()
        for timer, method in signature.due.items():
            by_timer[timer] = Invocation(number, signature, method)
    topics = tuple(dict.fromkeys(event.contract.topic for event in by_event))
    classes = tuple(dict.fromkeys([*by_event, *service.emitted]))
    return Plan(service, topics, by_event, by_timer, classes)


def _refuse_unrunnable(service: Service, signature: Signature) -> None:
    where = f"service {service.name}: {signature.name}"
    if any(method.asynchronous for method in signature.methods()):
        raise ServiceError(f"{where} is asynchronous", why="this version runs plain `def` handlers only")
    if signature.handler.schedule is not None:
        raise ServiceError(f"{where} has a schedule", why="this version does not run schedules")
    field = signature.handler.keyed_by
    for event in signature.takes:
        if field is not None and event.contract.key != (field,):
            raise ServiceError(
                f"{where}: {event.__name__} is keyed by {', '.join(event.contract.key)}, not by {field}",
                why="this version does not re-key events",
                hint=f"emit an event whose topic is keyed by {field}, and handle that",
            )
