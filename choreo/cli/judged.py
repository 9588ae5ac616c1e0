"""What another version of its spec would mean to each of some sagas: their own events, folded under both versions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from choreo.cli.project import Project
from choreo.cli.saga_answers import MappingFile
from choreo.cli.saga_past import Pasts
from choreo.cli.saga_privacy import EventSchemas, has_personal_key
from choreo.cli.saga_specs import project_parts
from choreo.cli.saga_view import SagaView
from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.saga.coordinator import Coordinator
from choreo.saga.instance import Instance
from choreo.saga.migration import UNCLEAR, Answers, Verdict, Versions, classify
from choreo.saga.refold import History
from choreo.saga.rules import Spec
from choreo.service.service import Service
from choreo.telemetry.privacy import MASK


@dataclass(frozen=True)
class Known:
    """The coordinator of a saga as the project here knows it: its specs by digest, and the classes of its events."""

    service: Service
    specs: Mapping[str, Spec]
    events: Mapping[str, type[Event]]


def known_here(project: Project, saga: str, digest: str) -> Known:
    """The coordinator of a saga that follows, or followed, the spec with this digest. Raises ConfigError where the
    project here, and the samples, have none.
    """
    parts = project_parts(project, digest)
    for service in parts.services if parts else ():
        coordinators = [one for one in service.handlers if issubclass(one, Coordinator)]
        if service.name == f"saga.{saga}" and coordinators:
            return Known(service, coordinators[0].specs, coordinators[0].catalogue)
    raise ConfigError(
        f"the project here has no saga {saga}",
        why="where a saga stands is worked out by its specs and events",
        hint="run it in the directory of the project, with sagas = ... in choreo.toml",
    )


@dataclass(frozen=True)
class Judged:
    """One instance, and what a migration would mean to it."""

    instance: Instance
    verdict: Verdict
    shown: str
    """Its key as it may be shown."""

    def row(self) -> dict[str, Any]:
        """As listings show it."""
        order = self.verdict.order
        return {
            "saga": self.instance.saga,
            "key": self.shown,
            "version": self.instance.version,
            "outcome": self.verdict.outcome,
            "reasons": list(self.verdict.reasons),
            "steps": {name: record.state.value for name, record in order.instance.steps.items()} if order else None,
        }


def judged_by(project: Project, known: Known, to: Spec, mapping: MappingFile, keys: Sequence[str]) -> list[Judged]:
    """What a migration would mean to each; one that went on while it was looked at is looked at once more."""
    found = {one.instance.key: one for one in _looked_at(project, known, to, mapping, keys)}
    unclear = [key for key, one in found.items() if one.verdict.reasons == (UNCLEAR,)]
    found.update({one.instance.key: one for one in _looked_at(project, known, to, mapping, unclear)})
    return list(found.values())


def _looked_at(project: Project, known: Known, to: Spec, mapping: MappingFile, keys: Sequence[str]) -> list[Judged]:
    if not keys:
        return []
    # The stores are read first: what comes in between makes a history that leads elsewhere, never a wrong order.
    with SagaView(project, to.name) as seen:
        instances = [instance for key in keys if (instance := seen.instance(key)) is not None]
    pasts = Pasts(project, known.service).of([one.key for one in instances]) if instances else {}
    answers, schemas = mapping.answers(to), EventSchemas(project.registry, known.events)
    hidden = {spec.digest: has_personal_key(spec, schemas) for spec in (*known.specs.values(), to)}
    return [
        Judged(
            one,
            _verdict(one, pasts[one.key], known, to, (mapping, answers)),
            MASK if hidden.get(one.digest, hidden[to.digest]) else one.key,
        )
        for one in instances
    ]


def _verdict(
    instance: Instance, past: History | str, known: Known, to: Spec, said: tuple[MappingFile, Answers]
) -> Verdict:
    follows = known.specs.get(instance.digest)
    if isinstance(past, str):
        return Verdict("stays", (past,))
    if follows is None or past.digest not in known.specs:
        return Verdict("stays", (f"version {instance.version}, which it follows, can't be read here",))
    mapping, answers = said
    values = mapping.values(instance, (follows, to), known.events)
    return classify(instance, past, Versions(known.specs, to), answers, values)
