"""The shelf: every version of a spec on the log; a version never changes under the instances that follow it."""

import pytest

from choreo.errors import SpecError
from choreo.log.memory import MemoryLog
from choreo.saga.almanac import NO_SHARED
from choreo.saga.offers import NOBODY
from choreo.saga.shelf import deploy, older_specs, shelf
from choreo.saga.spec import examine_again, parse_spec
from tests.saga.shop import EVENTS as CATALOGUE
from tests.saga.shop import ORDER


def source(version: int, within: str = "1h") -> str:
    return ORDER.replace("version: 1", f"version: {version}").replace("within: 1h", f"within: {within}", 1)


def test_a_spec_is_deployed_once() -> None:
    """The same content is on the shelf once, however often it is deployed."""
    log, spec = MemoryLog(), parse_spec(source(3), "s.yaml", CATALOGUE)
    assert deploy(log, spec, source(3))
    assert not deploy(log, spec, source(3))
    assert [one.version for one in shelf(log, spec.name)] == [3]
    assert older_specs(log, spec, CATALOGUE) == []


def test_older_versions_can_be_followed() -> None:
    """A new version finds the ones before it, as they were."""
    log = MemoryLog()
    first, second = (parse_spec(source(n, f"{n}h"), "s.yaml", CATALOGUE) for n in (3, 4))
    deploy(log, first, source(3, "3h"))
    deploy(log, second, source(4, "4h"))
    assert [one.digest for one in older_specs(log, second, CATALOGUE)] == [first.digest]


def test_a_version_with_another_content_is_refused() -> None:
    """Changing a spec without raising its version is an error that says which version is free."""
    log = MemoryLog()
    deploy(log, parse_spec(source(3), "s.yaml", CATALOGUE), source(3))
    changed = parse_spec(source(3, "2h"), "s.yaml", CATALOGUE)
    with pytest.raises(SpecError, match="version 3 was deployed with another content") as raised:
        deploy(log, changed, source(3, "2h"))
    assert "version: 4" in str(raised.value)


def test_what_is_looked_for_since_then_strands_nobody() -> None:
    """A version that an older release deployed is followed on, though a newer one would refuse its file."""
    old = source(3, "0s")
    with pytest.raises(SpecError, match="over before anything can happen"):
        parse_spec(old, "s.yaml", CATALOGUE)
    deployed, problems = examine_again(old, "s.yaml", CATALOGUE, NOBODY, NO_SHARED)
    assert deployed is not None
    assert problems.found == []
    log, current = MemoryLog(), parse_spec(source(4), "s.yaml", CATALOGUE)
    deploy(log, deployed, old)
    assert [one.version for one in older_specs(log, current, CATALOGUE)] == [3]
