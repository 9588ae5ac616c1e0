"""The cast of a scenario: services with their replaced dependencies, and a coordinator for each saga spec."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

from choreo.errors import ConfigError
from choreo.events.event import Event
from choreo.runtime.plan import plan_of
from choreo.saga.coordinator import coordinator
from choreo.saga.lifecycle import lifecycle_event
from choreo.saga.locks import lock_services
from choreo.saga.offers import Offers
from choreo.saga.spec import folder_of, load_spec
from choreo.service.service import Service
from choreo.service.store import Store

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class Cast:
    """Everybody who takes part."""

    services: tuple[Service, ...]
    """The services, then a coordinator for each saga, then what keeps their locks."""
    sagas: Mapping[str, type[Event]]
    """The lifecycle event of each saga, by its name."""
    specs: tuple[str, ...]
    """Digests of the specs."""
    settings: Mapping[str, object]
    """The services' own settings, by service, of those that need any and were given some."""
    own_count: int
    """How many of the services are the author's."""

    @property
    def own(self) -> tuple[Service, ...]:
        """The services without the coordinators and what keeps their locks."""
        return self.services[: self.own_count]

    def keepers(self, store: Store[K, V]) -> list[Service]:
        """The services that keep this store. Raises ConfigError where none does."""
        found = [service for service in self.services if store in stores_of(service)]
        if not found:
            raise ConfigError(
                f"none of these services keeps the store {store.name!r}",
                why=f"they are {', '.join(service.name for service in self.own) or 'none'}",
                hint="name it as its handler does: ReserveStock.stock",
            )
        return found


def stores_of(service: Service) -> list[Store[Any, Any]]:
    """The stores of a service, each once."""
    return list({id(store): store for one in service.signatures for store in one.stores.values()}.values())


def cast_of(
    services: Sequence[Service],
    sagas: Iterable[str | Path],
    given: Mapping[str, object],
    settings: Mapping[str, object],
) -> Cast:
    """The services, `given` in place of their own dependencies, and the coordinators of these specs.

    Raises ConfigError for a dependency that nobody needs, for settings of nobody and for a spec that is not there, and
    SpecError.
    """
    _check_needed(services, given)
    _check_settings(services, settings)
    catalogue = catalogue_of(services)
    coordinators, lifecycles, specs = [], {}, []
    paths = [_found(path, services) for path in sagas]
    offers = Offers(*(folder_of(path) for path in paths))
    for path in paths:
        spec = load_spec(path, catalogue, offers)
        coordinators.append(coordinator(spec, catalogue))
        lifecycles[spec.name] = lifecycle_event(spec.name)
        specs.append(spec)
    replaced = [_without_idle_settings(service.using(**given)) for service in services]
    wanted = [service.name for service in replaced if service.settings is not None]
    found = {name: settings[name] for name in wanted if name in settings}
    everybody = (*replaced, *coordinators, *lock_services(specs))
    return Cast(everybody, lifecycles, tuple(spec.digest for spec in specs), found, len(replaced))


def _check_needed(services: Sequence[Service], given: Mapping[str, object]) -> None:
    known = {need for service in services for one in service.signatures for need in one.needs}
    known |= {name for service in services for name in service.provide}
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            raise ConfigError(
                f"using({name}=...): none of these services needs {name}",
                why=f"they need {', '.join(sorted(known)) or 'nothing'}",
                hint=f"did you mean {near[0]}?" if near else None,
            )


def _check_settings(services: Sequence[Service], settings: Mapping[str, object]) -> None:
    having = [service.name for service in services if service.settings is not None]
    for name in settings:
        if name not in having:
            said = f"Scenario(settings={{{name!r}: ...}}): none of these services is called {name} and has settings"
            raise ConfigError(said, why=f"those with settings are {', '.join(having) or 'none'}")


def _without_idle_settings(service: Service) -> Service:
    """Without its settings where everything that would read them is replaced: a test has no secrets to set."""
    wanted = {need for one in service.signatures for need in one.needs}
    asked = [one for make in service.provide.values() for one in signature(make).parameters.values()]
    wanted |= {one.name for one in asked if one.default is one.empty}
    if service.settings is None or "settings" in wanted:
        return service
    bare = copy(service)
    bare.settings = None
    return bare


def catalogue_of(services: Sequence[Service]) -> dict[str, type[Event]]:
    """What a spec may speak of: the events of these services first, then any other that was imported.

    Of two classes with one full name the one whose module lies nearest to the services is meant.
    """
    found: dict[str, type[Event]] = {}
    for service in services:
        found |= {event.contract.full_name: event for event in plan_of(service).classes}
    homes = {handler.__module__ for service in services for handler in service.handlers}
    others: dict[str, list[type[Event]]] = {}
    for event in _published(Event):
        if event.contract.full_name not in found:
            others.setdefault(event.contract.full_name, []).append(event)
    return found | {name: max(events, key=lambda event: _nearness(event, homes)) for name, events in others.items()}


def _published(cls: type[Event]) -> Iterator[type[Event]]:
    """All that are still what their module says: a reloaded module leaves its earlier classes behind."""
    for below in cls.__subclasses__():
        module = sys.modules.get(below.__module__)
        if not below.contract.abstract and getattr(module, below.__qualname__, below) is below:
            yield below
        yield from _published(below)


def _nearness(event: type[Event], homes: Iterable[str]) -> int:
    """How many leading words of its module's name it shares with a service's."""
    own = event.__module__.split(".")
    pairs = (zip(own, home.split("."), strict=False) for home in homes)
    return max((len(list(takewhile(lambda words: words[0] == words[1], pair))) for pair in pairs), default=0)


def _found(path: str | Path, services: Sequence[Service]) -> Path:
    """A spec's file: seen from here, else from the directories above the services' code."""
    wanted = Path(path)
    modules = [sys.modules.get(handler.__module__) for service in services for handler in service.handlers]
    files = [Path(module.__file__).resolve() for module in modules if module is not None and module.__file__]
    above = dict.fromkeys(directory for file in files for directory in file.parents)
    for directory in (Path.cwd(), *above):
        if (directory / wanted).is_file():
            return directory / wanted
    raise ConfigError(
        f"there is no saga spec {path}",
        why="looked for it here and in the directories above the services' code",
        hint="sagas=[...] takes paths, such as saga_specs/order_fulfilment.yaml",
    )
