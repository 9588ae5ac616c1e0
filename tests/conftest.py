"""What every test stands on: properties that do not depend on how busy the machine is."""

import os

import pytest
from hypothesis import HealthCheck, settings

PROPERTY_WITHIN_S = 600
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("here"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")


@pytest.hookimpl(trylast=True)  # Hypothesis puts its marks first
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Properties have more time than other tests: a limit that ends an example looks like a failure of that example,
    which Hypothesis runs again, does not find, and calls a flaky strategy.
    """
    for item in items:
        if item.get_closest_marker("hypothesis") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(PROPERTY_WITHIN_S))
