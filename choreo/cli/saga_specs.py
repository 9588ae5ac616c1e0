"""The specs that instances follow, as far as the project here, or a sample, can read them."""

from collections.abc import Iterator, Mapping

from choreo.cli.assembly import Assembly, assemble
from choreo.cli.project import Project
from choreo.cli.saga_privacy import EventSchemas, has_personal_key
from choreo.cli.targets import SAMPLE_PURCHASING, SAMPLE_SHOP
from choreo.errors import ChoreoError
from choreo.events.event import Event
from choreo.saga.coordinator import Coordinator
from choreo.saga.kinds import ValueType
from choreo.saga.rules import Spec, Step
from choreo.saga.shelf import shelf
from choreo.saga.vocabulary import item_variables, saga_variables, step_variables
from choreo.telemetry.privacy import MASK


def project_parts(project: Project, digest: str) -> Assembly | None:
    """The services and specs of the project, else those of a sample where the instance is one of its own.

    None where nothing can be loaded: what is on the log can be shown without it.
    """
    own: Assembly | None = None
    for targets in ((), (SAMPLE_SHOP,), (SAMPLE_PURCHASING,)):
        try:
            known = assemble(project, targets, project.log)
        except ChoreoError:
            continue
        if spec_of(known, digest) is not None:
            return known
        own = own if targets else known
    return own


def spec_of(known: Assembly | None, digest: str) -> Spec | None:
    """The spec with this digest, where it is known here."""
    every = [spec for specs in known.specs.values() for spec in specs] if known else []
    return next((spec for spec in every if spec.digest == digest), None)


def variables_of(spec: Spec, catalogue: Mapping[str, type[Event]]) -> dict[str, ValueType]:
    """What expressions about instances of a spec may name, with their types."""
    known = saga_variables(catalogue, spec.starts_on)
    for step in spec.steps:
        if step.for_each is not None:
            known |= item_variables(step.name)
        else:
            known |= step_variables(catalogue, step.name, step.completes_on)
    return known


class KnownSpecs:
    """Specs by digest, loaded when the first is asked for."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._found: dict[str, tuple[Assembly | None, Spec | None]] = {}
        self._variables: dict[str, Mapping[str, ValueType]] = {}
        self._hidden: dict[str, bool] = {}

    def of(self, digest: str) -> Spec | None:
        """The spec, None where it can't be read here."""
        return self._of(digest)[1]

    def versions(self, saga: str) -> tuple[Spec, ...]:
        """The versions of a saga that can be read here: of whom it is not known which of them it follows."""
        deployed = shelf(self._project.log, saga)
        parts = self.parts(deployed[-1].digest) if deployed else None
        return parts.specs.get(f"saga.{saga}", ()) if parts else ()

    def parts(self, digest: str) -> Assembly | None:
        """The services and specs among which it is found, else those of the project; None where nothing loads."""
        return self._of(digest)[0]

    def nesting(self, saga: str) -> Iterator[tuple[Spec, Step]]:
        """The specs loaded so far that nest a saga, whatever their version, with the step that it is."""
        specs = {spec.digest: spec for _, spec in self._found.values() if spec is not None}
        return ((spec, step) for spec in specs.values() for step in spec.steps if _is(step, saga))

    def catalogue(self, spec: Spec) -> Mapping[str, type[Event]]:
        """The event classes that the spec speaks of, by full name."""
        parts = self.parts(spec.digest)
        for service in parts.services if parts else ():
            for handler in service.handlers:
                if issubclass(handler, Coordinator) and spec.digest in handler.specs:
                    return handler.catalogue
        return {}

    def schemas(self, spec: Spec | None) -> EventSchemas:
        """The schemas of the events that the spec speaks of, and of those that the registry has."""
        return EventSchemas(self._project.registry, self.catalogue(spec) if spec else {})

    def shown_key(self, digest: str, key: str) -> str:
        """The key of a saga that follows this spec as it may be shown; where it can't be read here, as it is."""
        if digest not in self._hidden:
            spec = self.of(digest)
            self._hidden[digest] = spec is not None and has_personal_key(spec, self.schemas(spec))
        return MASK if self._hidden[digest] else key

    def hide_key(self, digest: str, key: str) -> None:
        """Have nothing that is printed from here on tell the key of this saga, where it may not be shown."""
        if self.shown_key(digest, key) != key:
            self._project.output.hide(key)

    def variables(self, spec: Spec) -> Mapping[str, ValueType]:
        """What expressions about its instances may name, with their types."""
        if spec.digest not in self._variables:
            self._variables[spec.digest] = variables_of(spec, self.catalogue(spec))
        return self._variables[spec.digest]

    def _of(self, digest: str) -> tuple[Assembly | None, Spec | None]:
        if digest not in self._found:
            parts = project_parts(self._project, digest)
            for known in [one for specs in parts.specs.values() for one in specs] if parts else []:
                self._found[known.digest] = (parts, known)
            self._found.setdefault(digest, (parts, None))
        return self._found[digest]


def _is(step: Step, saga: str) -> bool:
    return step.nested is not None and step.nested.saga == saga
