"""A change of a spec against what is deployed on the log: instances keep the version with which they began."""

from collections.abc import Iterator

from choreo.checks.choreography import Choreography, Deployed
from choreo.checks.finding import Finding, Spot
from choreo.saga.rules import Spec


def find_versions(whole: Choreography) -> Iterator[Finding]:
    """Version numbers that are taken, and instances under way that could not go on."""
    specs = {one.spec.name: one for one in whole.specs}
    for old in whole.deployed:
        new = specs.get(old.saga)
        if new and new.spec.version == old.version and new.spec.digest != old.digest:
            says = f"saga {old.saga}: version {old.version} was deployed with another content"
            last = max(one.version for one in whole.deployed if one.saga == old.saga)
            yield Finding("version-taken", says, new.spot(str(old.version)), f"version: {last + 1}")
        if old.running:
            yield from _stranded(whole, old, Spot(new.file) if new else None)


def _stranded(whole: Choreography, old: Deployed, spot: Spot | None) -> Iterator[Finding]:
    count = len(old.running)
    who = f"{count} instance{'s' if count > 1 else ''} of saga {old.saga} ({_some(old.running)})"
    if spot is None:
        if whole.whole:
            says = f"{who} would be followed by nobody: the project has no spec of it"
            yield Finding("strands-instances", says, None, "keep the spec until they have ended")
        return
    for problem in [old.problem] if old.spec is None else _lacks(whole, old.spec):
        says = f"{who} could not go on with version {old.version}: {problem}"
        yield Finding("strands-instances", says, spot, "keep what that version needs until they have ended")


def _lacks(whole: Choreography, old: Spec) -> Iterator[str]:
    """What instances of an older version wait for, and nobody does any more."""
    if whole.services:
        yield from (f"no handler returns {event}" for event in whole.unsaid(old))
        yield from (f"no handler takes {event}" for event in whole.unheard(old))


def _some(keys: tuple[str, ...]) -> str:
    shown = ", ".join(sorted(keys)[:3])
    return f"{shown}, ..." if len(keys) > 3 else shown
