"""Sections of the settings that bear a name: whether anybody is called so."""

from collections.abc import Iterator, Mapping

from choreo.checks.choreography import Choreography
from choreo.checks.finding import Finding
from choreo.config.sections import did_you_mean

SAYS: Mapping[str, tuple[str, str]] = {
    "downstreams": ("unknown-downstream", "no handler of this project declares a downstream of this name"),
    "topics": ("unknown-topic", "no service of this project uses a topic of this name"),
    "settings": ("unknown-settings", "no service of this name has settings"),
}


def find_settings(whole: Choreography) -> Iterator[Finding]:
    """Names that nobody bears: what is set there holds for nobody. Only where all of the project is known."""
    if not whole.whole:
        return
    known = _known(whole)
    for section, name, spot in whole.named:
        code, says = SAYS[section]
        if name not in known[section]:
            yield Finding(code, f"[{section}.{name}]: {says}", spot, did_you_mean(name, known[section]))


def _known(whole: Choreography) -> Mapping[str, set[str]]:
    declared = [one for service in whole.services for s in service.signatures for one in s.downstreams.values()]
    scopes = [plan.service.scope for plan in whole.plans]
    topics = {event.contract.topic for plan in whole.plans for event in plan.classes}
    topics |= {topic for plan in whole.plans for topic in plan.topics}
    topics |= {f"{scope}.{kind}" for scope in scopes for kind in ("changelog", "journal", "dead-letters")}
    return {
        "downstreams": {one.name for one in declared},
        "topics": topics | {"default"},
        "settings": {service.name for service in whole.services if service.settings is not None},
    }
