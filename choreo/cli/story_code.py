"""What the code at hand knows of a log's services: who answers what, who may have emitted it, what is personal."""

from collections.abc import Iterable, Mapping
from typing import Any

from choreo.cli.assembly import assemble
from choreo.cli.project import Project
from choreo.cli.records import Bodies
from choreo.cli.targets import SAMPLE_PURCHASING, SAMPLE_SHOP
from choreo.errors import ChoreoError, DecodeError
from choreo.events.avro import shape_of
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.record import Record
from choreo.replay.origin import Origins, authors
from choreo.service.service import Service
from choreo.telemetry.privacy import MASK, masked_as

JOURNAL = ".journal"
RELAYED = ".by-"
"""In the names of relays, and of the topics that they fill."""


def services_on(topics: Mapping[str, object]) -> list[str]:
    """The services that have run on a log, by name."""
    names = (name for name in topics if name.startswith("choreo.") and name.endswith(JOURNAL))
    return sorted(name.removeprefix("choreo.").removesuffix(JOURNAL) for name in names)


class Code:
    """Some services, beside a log on which these and others have run."""

    def __init__(self, log: Log, registry: Registry, services: Iterable[Service]) -> None:
        self.on_log = services_on(log.topics())
        self.services = {service.name: service for service in services}
        self.events: dict[str, type[Event]] = {
            event.contract.full_name: event
            for service in self.services.values()
            for event in (*service.handled, *service.emitted)
        }
        self.codec = Codec(registry, self.events.values(), log.cluster_id())
        self.origins = Origins(authors(self.services.values(), self.on_log))
        self._registry = registry
        self._bodies = Bodies(registry)
        self._answers: dict[tuple[str, str], tuple[str, ...] | None] = {}

    def answers(self, service: str, event: str) -> tuple[str, ...] | None:
        """Which handlers of a service answer an event; None where the service is not known here."""
        if (service, event) not in self._answers:
            self._answers[service, event] = self._answered(service, event)
        return self._answers[service, event]

    def _answered(self, service: str, event: str) -> tuple[str, ...] | None:
        known = self.services.get(service)
        if RELAYED in service:
            return ()  # the copy that it made tells of it
        if known is None:
            return None
        takes = ((one.name, {each.contract.full_name for each in one.takes}) for one in known.signatures)
        return tuple(name for name, events in takes if event in events)

    def name(self, record: Record) -> str:
        """The full name of a record's event. Raises DecodeError and UnknownSchemaError."""
        try:
            cls = self.codec.event_class(record)
        except DecodeError:
            cls = None
        return cls.contract.full_name if cls is not None else self._bodies.name(record)

    def body(self, record: Record) -> tuple[dict[str, Any], list[str]]:
        """The fields of an event, what is personal masked by the marks of its schema and of its class here, and the
        texts that were masked. Raises DecodeError and UnknownSchemaError.
        """
        hidden: list[str] = []
        body: Any = self._bodies.read(record)
        written = self._registry.schema(int.from_bytes((record.value or b"")[1:5], "big"))
        shown = masked_as(written, body, hidden)
        cls = self.events.get(self._bodies.name(record))
        if cls is not None:
            by_class = masked_as(shape_of(cls).avro, body, hidden)
            shown = {name: MASK if by_class.get(name) == MASK else part for name, part in shown.items()}
        return shown, hidden


def code_of(project: Project) -> Code:
    """The services of the project here; a sample's count where they have run on the log and the project has none of
    that name. What can't be loaded is left out: what is on the log can be told without it.
    """
    found: dict[str, Service] = {}
    on_log = services_on(project.log.topics())
    for targets in ((), (SAMPLE_SHOP,), (SAMPLE_PURCHASING,)):
        if targets and set(on_log) <= found.keys():
            break
        try:
            services = assemble(project, targets, project.log).services
        except ChoreoError:
            continue
        for service in services:
            if not targets or service.name in on_log:
                found.setdefault(service.name, service)
    return Code(project.log, project.registry, found.values())
