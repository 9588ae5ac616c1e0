"""What an operator turns of the downstreams: [downstreams.NAME] over what the handlers declare."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace

from choreo.cli.assembly import Assembly, assemble
from choreo.cli.project import Project
from choreo.config.sections import DownstreamSection, did_you_mean
from choreo.errors import ConfigError
from choreo.resilience.breaker import Breaker
from choreo.service.calls import Downstream
from choreo.service.service import Service


def limited(project: Project, found: Assembly) -> Assembly:
    """The same services, their downstreams as the settings say. Raises ConfigError for a name that nobody declares."""
    sections = project.config.downstreams
    if not sections:
        return found
    known = _declared(found.services)
    if not sections.keys() <= known:
        with suppress(ConfigError):  # there may be no project, only targets
            known |= _declared(assemble(project, ()).services)
    for name in sections.keys() - known:
        raise ConfigError(
            f"[downstreams.{name}] names no downstream of this project",
            at=_place(project, name),
            why="its limits would hold for nobody",
            hint=did_you_mean(name, known),
        )
    return replace(found, services=tuple(s.tuned(lambda one: _turned(one, sections)) for s in found.services))


def _declared(services: Iterable[Service]) -> set[str]:
    return {one.name for service in services for s in service.signatures for one in s.downstreams.values()}


def _place(project: Project, name: str) -> str | None:
    settings = (setting for setting in project.config.values if setting.name.startswith(f"downstreams.{name}."))
    return next((setting.origin for setting in settings if setting.origin != "default"), None)


def _turned(declared: Downstream, sections: Mapping[str, DownstreamSection]) -> Downstream:
    section = sections.get(declared.name)
    if section is None:
        return declared
    breaker = {key.removeprefix("breaker_"): value for key, value in asdict(section).items() if "breaker_" in key}
    turned = {key: value for key, value in breaker.items() if value}
    return Downstream(
        declared.name,
        timeout_s=section.timeout_s or declared.timeout_s,
        concurrency=section.concurrency or declared.concurrency,
        rate_per_s=section.rate_per_s or declared.rate_per_s,
        breaker=replace(declared.breaker or Breaker(), **turned) if turned else declared.breaker,
    )
