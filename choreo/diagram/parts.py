"""What there is to draw: services, specs and events of a project, and who is at work on what."""

from collections.abc import Mapping
from typing import NamedTuple

from choreo.events.event import Event
from choreo.saga.rules import Spec
from choreo.service.service import Service


class Parts(NamedTuple):
    """The sound parts of a project; `catalogue` holds the event classes by full name."""

    services: tuple[Service, ...] = ()
    specs: tuple[Spec, ...] = ()
    catalogue: Mapping[str, type[Event]] = {}

    def at_work(self, spec: Spec) -> dict[str, str]:
        """By step, the service that says that it is done, or the role of who decides it; other steps are left out."""
        found: dict[str, str] = {}
        for step in spec.steps:
            if step.human:
                found[step.name] = step.human.role
            for service in self.services:
                if {event.contract.full_name for event in service.emitted} & set(step.completes_on):
                    found.setdefault(step.name, service.name)
        return found

    def lanes(self, spec: Spec) -> dict[str, str]:
        """By event, its topic, where its key keeps the events of one saga in order."""
        found = {}
        for name, field in spec.correlate_by.items():
            event = self.catalogue.get(name)
            if event is not None and event.contract.key == (field,):
                found[name] = event.contract.topic
        return found
