"""The real registry's fixtures: `registry_url`, and `prefix` for names that no other test has."""

import os
import sys
from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.cli.conftest import choreo, directory, project
from tests.java import NotHereError
from tests.registry.apicurio import Apicurio

__all__ = ["choreo", "directory", "prefix", "project", "registry_url"]

_said: list[str] = []


@pytest.fixture(scope="session")
def registry_url() -> Iterator[str]:
    """The registry that all tests share: REGISTRY_URL, or an Apicurio of our own; else a loud skip (CI=true: fails)."""
    if given := os.environ.get("REGISTRY_URL"):
        yield given
        return
    try:
        registry = Apicurio().__enter__()
    except NotHereError as error:
        line = f"NO REGISTRY: the tests against a real schema registry do not run here: {error}"
        if not _said:
            _said.append(line)
            print(f"\n!!! {line} !!!", file=sys.__stderr__, flush=True)
        if os.environ.get("CI") == "true":
            pytest.fail(line, pytrace=False)
        pytest.skip(line)
    try:
        yield registry.url
    finally:
        registry.__exit__()


@pytest.fixture
def prefix() -> str:
    """The namespace of a test of its own."""
    return f"test_{uuid4().hex[:10]}"
