"""All checks of a choreography, one after the other."""

from collections.abc import Callable, Iterator

from choreo.checks.choreography import Choreography
from choreo.checks.correlation import find_correlation
from choreo.checks.cycles import find_cycles
from choreo.checks.emissions import find_emissions
from choreo.checks.finding import Finding
from choreo.checks.handlers import find_handlers
from choreo.checks.partitions import find_partitions
from choreo.checks.partners import find_partners
from choreo.checks.paths import find_paths
from choreo.checks.settings import find_settings
from choreo.checks.skipping import find_skipping
from choreo.checks.values import find_values
from choreo.checks.versions import find_versions
from choreo.checks.waiting import find_waiting

CHECKS: tuple[Callable[[Choreography], Iterator[Finding]], ...] = (
    find_emissions,
    find_handlers,
    find_partners,
    find_paths,
    find_skipping,
    find_values,
    find_waiting,
    find_correlation,
    find_partitions,
    find_cycles,
    find_versions,
    find_settings,
)


def find_all(whole: Choreography) -> Iterator[Finding]:
    """Everything that does not fit."""
    for check in CHECKS:
        yield from check(whole)
