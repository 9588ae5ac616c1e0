"""The project of choreo.toml as a scenario, with the settings of its services: what the fixture `scenario` gives."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from choreo.config import Config, Sources, load, service_settings
from choreo.config.modules import Modules, spec_files
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
    modules = Modules(config.directory)
    services = dict.fromkeys(s for entry in config.project.services for s in _services(modules, entry))
    return Scenario(*services, sagas=spec_files(config), settings=_SettingsOfProject(config, services))


class _SettingsOfProject(Mapping[str, object]):
    """The settings of each service that has some, by its name; read when asked for: a test that replaces what needs
    them sets no secrets.
    """

    def __init__(self, config: Config, services: Mapping[Service, None]) -> None:
        self._config = config
        self._models = {service.name: service.settings for service in services if service.settings is not None}

    def __getitem__(self, name: str) -> object:
        return service_settings(self._config, name, self._models[name], os.environ)

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def __contains__(self, name: object) -> bool:
        return name in self._models


def _services(modules: Modules, entry: str) -> list[Service]:
    """The services of one entry: `services.orders`, `services.orders.service:orders` or `shop.py`."""
    module, things = modules.find(entry)
    found = [thing for thing in things if isinstance(thing, Service)]
    if not found:
        raise ConfigError(f"{entry} of [project] services holds no service", at=module.__file__)
    return found
