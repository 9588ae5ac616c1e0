"""Handlers that nobody runs: written, and forgotten in the list of their service."""

from collections.abc import Iterator

from choreo.checks.choreography import Choreography
from choreo.checks.finding import Finding, spot_of_class


def find_handlers(whole: Choreography) -> Iterator[Finding]:
    """Handlers that are in no service. Only where all of the project is known."""
    if not whole.whole:
        return
    used = {handler for service in whole.services for handler in service.handlers}
    for handler in whole.handlers:
        if not any(issubclass(one, handler) for one in used):
            cure = "add it to handlers=[...] of its service, or delete it"
            yield Finding("unused-handler", f"{handler.__name__} is in no service", spot_of_class(handler), cure)
