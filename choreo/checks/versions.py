"""A change of a spec against what is deployed on the log: instances keep the version with which they began."""

from collections.abc import Iterator

from choreo.checks.choreography import Choreography, Deployed, SpecFile
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
            yield from _stranded(whole, old, new)


def stranded(whole: Choreography) -> Iterator[tuple[Deployed, Spec]]:
    """Deployed versions with which instances could not go on, where the project has another one for them."""
    specs = {one.spec.name: one.spec for one in whole.specs}
    for old in whole.deployed:
        new = specs.get(old.saga)
        if old.running and new is not None and new.digest != old.digest and any(_problems(whole, old)):
            yield old, new


def _stranded(whole: Choreography, old: Deployed, new: SpecFile | None) -> Iterator[Finding]:
    count = len(old.running)
    who = f"{count} instance{'s' if count > 1 else ''} of saga {old.saga} ({_some(old.running)})"
    if new is None:
        if whole.whole:
            says = f"{who} would be followed by nobody: the project has no spec of it"
            yield Finding("strands-instances", says, None, "keep the spec until they have ended")
        return
    under, cure = _outlook(old, new.spec)
    for problem in _problems(whole, old):
        says = f"{who} could not go on with version {old.version}: {problem}{under}"
        yield Finding("strands-instances", says, Spot(new.file), cure)


def _problems(whole: Choreography, old: Deployed) -> Iterator[str]:
    """What keeps instances from going on with an older version."""
    return iter([old.problem]) if old.spec is None else _lacks(whole, old.spec)


def _outlook(old: Deployed, new: Spec) -> tuple[str, str]:
    """What would become of them under the project's version, and what to do."""
    keep = "keep what that version needs until they have ended"
    if not old.outcomes:
        return "", keep
    under = f"; under version {new.version}: " + ", ".join(f"{count} {word}" for word, count in old.outcomes.items())
    if old.outcomes.keys() <= {"stays"}:
        return under, keep
    order = f"choreo sagas migrate {old.saga} --to {new.version}, once it is deployed"
    return under, order if old.outcomes.keys() <= {"safe"} else f"{order}; {keep.replace('they', 'the others')}"


def _lacks(whole: Choreography, old: Spec) -> Iterator[str]:
    """What instances of an older version wait for, and nobody does any more."""
    if whole.services:
        yield from (f"no handler returns {event}" for event in whole.unsaid(old))
        yield from (f"no handler takes {event}" for event in whole.unheard(old))


def _some(keys: tuple[str, ...]) -> str:
    shown = ", ".join(sorted(keys)[:3])
    return f"{shown}, ..." if len(keys) > 3 else shown
