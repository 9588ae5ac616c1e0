"""The broker that chaos tests kill, and the marks that all of them bear."""

import pytest

from tests.kafka.fixtures import own_broker

__all__ = ["own_broker"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One after the other: each of them fills the machine."""
    for item in items:
        if item.path.is_relative_to(__file__.removesuffix("conftest.py")):
            item.add_marker(pytest.mark.chaos)
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.xdist_group("chaos"))
