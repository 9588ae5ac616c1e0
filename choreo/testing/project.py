"""The project of choreo.toml as a scenario: what the fixture `scenario` gives."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

from choreo.config import Sources, load
from choreo.errors import ConfigError
from choreo.service.service import Service
from choreo.testing.scenario import Scenario


def project_scenario(start: Path) -> Scenario:
    """All services and sagas that the choreo.toml in or above `start` names. Raises ConfigError."""
    config = load(Sources(start, os.environ))
    if not config.project.services:
        raise ConfigError(
            "the fixture scenario needs a project",
            at=config.file or start,
            why="no choreo.toml in this directory or above it names services",
            hint='[project] services = ["services.orders"], or make Scenario(orders, ...) in a fixture of your own',
        )
    if str(config.directory) not in sys.path:
        sys.path.insert(0, str(config.directory))
    services = [service for entry in config.project.services for service in _services(entry, config.directory)]
    specs = sorted({path for pattern in config.project.sagas for path in config.directory.glob(pattern)})
    return Scenario(*dict.fromkeys(services), sagas=specs)


def _services(entry: str, directory: Path) -> list[Service]:
    """The services of one entry: `services.orders`, `services.orders.service:orders` or `shop.py`."""
    place, _, attribute = entry.partition(":")
    if place.endswith(".py"):
        place = ".".join((directory / place).resolve().relative_to(directory.resolve()).with_suffix("").parts)
    module = importlib.import_module(place)
    if not attribute and hasattr(module, "__path__") and importlib.util.find_spec(f"{place}.service"):
        module = importlib.import_module(f"{place}.service")
    things = [getattr(module, attribute, None)] if attribute else list(vars(module).values())
    found = [thing for thing in things if isinstance(thing, Service)]
    if not found:
        raise ConfigError(f"{entry} of [project] services holds no service", at=module.__file__)
    return found
