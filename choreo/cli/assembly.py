"""From targets to things that run: services, a coordinator for each saga spec, and the topics that they need."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from choreo.cli.nested import offers_of
from choreo.cli.project import Project
from choreo.cli.targets import Finder
from choreo.config import Config, service_settings
from choreo.errors import ConfigError, SpecError
from choreo.log.interface import Log, Topic, TopicSpec
from choreo.runtime.plan import Plan, plan_of
from choreo.runtime.relay import with_relays
from choreo.runtime.topics import topics_of
from choreo.saga.coordinator import coordinator
from choreo.saga.durations import parse_duration
from choreo.saga.locks import lock_services
from choreo.saga.offers import Offers
from choreo.saga.shelf import deploy, older_specs
from choreo.saga.spec import Spec, examine_spec, folder_of, load_spec, shared_beside
from choreo.service.service import Service


@dataclass(frozen=True)
class Assembly:
    """Services first, then coordinators, last what keeps their locks; behind each the relays that it reads from."""

    services: tuple[Service, ...]
    specs: Mapping[str, tuple[Spec, ...]]
    """What a coordinator (by its service's name) follows: the spec of the project, then older ones from the log."""
    files: Mapping[str, Path]
    """Where the spec of a coordinator lies."""

    def plans(self) -> list[Plan]:
        """The routes of every service. Raises what is wrong with the first that can't run."""
        return [plan_of(service) for service in self.services]


def assemble(
    project: Project, targets: Sequence[str], log: Log | None = None, config: Config | None = None
) -> Assembly:
    """Load what the targets name; with a log, older versions of the specs from there, which instances may follow.

    `config` names another directory to find them in than the project's and the current one.
    Raises ConfigError, SpecError and whatever a declaration says of itself.
    """
    finder = Finder(config or project.config, Path.cwd() if config is None else config.directory)
    found = finder.find(targets)
    neighbours = (config or project.config).project.services
    if found.specs and targets and neighbours:
        finder.find(neighbours)  # a spec speaks of events of the whole project
    catalogue = finder.catalogue()
    services, specs, files = list(found.services), {}, {}
    offers = offers_of([*found.specs, *finder.spec_files()], lambda: None if project.lacks_log else project.log)
    for path in found.specs:
        spec = load_spec(path, catalogue, offers)
        older = tuple(older_specs(log, spec, catalogue, offers.behind(folder_of(path)))) if log is not None else ()
        services.append(coordinator(spec, catalogue, older))
        specs[services[-1].name], files[services[-1].name] = (spec, *older), path
    services += lock_services(_with_neighbours(specs.values(), finder, found.specs, offers))
    return Assembly(tuple(with_relays(services)), specs, files)


def _with_neighbours(
    followed: Iterable[Sequence[Spec]], finder: Finder, paths: Sequence[Path], offers: Offers
) -> list[Spec]:
    """These specs, and the project's other sound ones where locks are shared: who keeps a lock answers all who ask."""
    specs = [spec for versions in followed for spec in versions]
    scopes = {spec.lock_scope for spec in specs if spec.lock_scope}
    for path in finder.spec_files() if scopes else ():
        if path not in paths:
            source = path.read_text(encoding="utf-8", errors="replace")
            near, shared = offers.behind(folder_of(path)), shared_beside(path)
            spec, _ = examine_spec(source, str(path), finder.catalogue(), near, shared)
            specs += [spec] if spec and spec.lock_scope in scopes else []
    return specs


def deploy_specs(log: Log, found: Assembly) -> list[str]:
    """Put the project's specs on the log, where instances find the version that they began with; answers the new ones.

    Raises SpecError, with the place in the file, where a version was deployed with another content.
    """
    current = [(specs[0], found.files[name]) for name, specs in found.specs.items()]
    return [f"{spec.name} version {spec.version}" for spec, file in current if _deployed(log, spec, file)]


def _deployed(log: Log, spec: Spec, file: Path) -> bool:
    source = file.read_text(encoding="utf-8")
    try:
        return deploy(log, spec, source, shared_beside(file))
    except SpecError as error:
        error.at = error.at or _place_of_version(source, file)
        raise


def _place_of_version(source: str, file: Path) -> str:
    """file:line:column of the spec's version number."""
    found = re.search(r"^[{\s]*(?:[^#\n]*,\s*)?version\s*:\s*", source, re.MULTILINE)
    before = source[: found.end()] if found else ""
    return f"{file}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def settings_of(project: Project, service: Service) -> object:
    """The service's own settings, or None where it has none. Raises ConfigError."""
    if service.settings is None:
        return None
    return service_settings(project.config, service.name, service.settings, os.environ)


def wanted_topics(project: Project, plans: Sequence[Plan], known: Mapping[str, Topic]) -> list[TopicSpec]:
    """Every topic that these services need, with the counts and retentions of the settings.

    All inputs of a service, its changelog and its journal have one count: that of the inputs that are there already.
    """
    found: dict[str, TopicSpec] = {}
    spoken: dict[str, TopicSpec] = {}
    """What a service only writes has as many partitions as whoever reads it wants, where that is one of these."""
    for plan in plans:
        there = [known[name].partitions for name in plan.topics if name in known]
        chosen = [project.config.topic(name).partitions for name in plan.topics]
        count = (there or chosen or [project.config.topic("").partitions])[0]
        for spec in topics_of(plan, count):
            own = spec.name in plan.topics or spec.name.startswith(f"{plan.service.scope}.")
            (found if own else spoken).setdefault(spec.name, _configured(project, spec))
    return list({**spoken, **found}.values())


def lacking_topics(log: Log, wanted: Sequence[TopicSpec]) -> list[TopicSpec]:
    """Those that the log does not have."""
    known = log.topics()
    return [spec for spec in wanted if spec.name not in known]


def _configured(project: Project, spec: TopicSpec) -> TopicSpec:
    section = project.config.topic(spec.name)
    config = dict(spec.config)
    if section.replication:
        config["replication.factor"] = str(section.replication)
    if section.retention != "forever" and config.get("cleanup.policy") == "delete":
        config["retention.ms"] = str(_milliseconds(project, spec.name, section.retention))
    return TopicSpec(spec.name, spec.partitions, config)


def _milliseconds(project: Project, topic: str, retention: str) -> int:
    try:
        micros = parse_duration(retention)
    except ValueError as error:
        own, shared = f"topics.{topic}.retention", "topics.default.retention"
        place = project.config.origin(own if topic in project.config.topics else shared)
        raise ConfigError(f"retention of {topic}: {error}", at=place, hint="7d, or forever") from None
    return -1 if micros is None else micros // 1000
