"""What a TARGET names: services, saga specs, event classes; found in choreo.toml, in modules and in files.

TARGET is a name in choreo.toml, module[:attr], file.py[:attr], spec.yaml, `sagas` (every spec), `demo` (the sample
shop), `demo:purchasing` (the saga of the sample of purchase to pay) or nothing (everything).
"""

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from inspect import isabstract
from pathlib import Path
from typing import TYPE_CHECKING, Any

from choreo.config import Config
from choreo.config.modules import Modules, spec_files
from choreo.config.sections import did_you_mean
from choreo.errors import ChoreoError, ConfigError

if TYPE_CHECKING:
    from choreo.events.event import Event
    from choreo.service.handler import Handler
    from choreo.service.service import Service

SPEC_SUFFIXES = (".yaml", ".yml")
ALL_SPECS = "sagas"
SAMPLE_SHOP = "demo"
SAMPLE_PURCHASING = "demo:purchasing"


@dataclass
class Targets:
    """What was found, in the order of asking, each once."""

    services: list["Service"] = field(default_factory=list)
    specs: list[Path] = field(default_factory=list)
    events: list[type["Event"]] = field(default_factory=list)


class Finder:
    """Looks for targets from a directory (where the command runs) and from the project's own."""

    def __init__(self, config: Config, here: Path) -> None:
        self._config, self._here = config, here
        self._modules = Modules(config.directory, here)
        self._services: list[Service] = []

    def find(self, targets: Sequence[str]) -> Targets:
        """Everything that the targets name; without one, everything that choreo.toml names. Raises ConfigError."""
        found = Targets()
        for target in targets:
            self._add(target, found)
        if not targets:
            for entry in self._config.project.services:
                self._add_code(entry, found)
            self._add(ALL_SPECS, found)
        if not targets and not found.services and not found.specs:
            raise ConfigError(
                "there is nothing to run",
                at=self._config.file or self._config.directory,
                why="no [project] services and no saga specs were found",
                hint="name a target, as in choreo run shop.py, or list services = [...] in choreo.toml",
            )
        return found

    def spec_files(self) -> list[Path]:
        """The saga specs that the project's globs find."""
        return spec_files(self._config)

    def service_names(self) -> list[str]:
        """What the project's services can be called as targets; their code is not loaded."""
        return [_short(entry) for entry in self._config.project.services]

    def event(self, target: str) -> type["Event"]:
        """The one event class that a target names. Raises ConfigError."""
        found = self.find([target])
        if len(found.events) == 1 and not found.services:
            return found.events[0]
        names = [event.__name__ for event in found.events]
        raise ConfigError(
            f"{target} names no single event class", hint=f"{target.partition(':')[0]}:NAME, one of {', '.join(names)}"
        )

    def catalogue(self) -> dict[str, type["Event"]]:
        """What a saga spec may speak of, by full name: the event classes of the packages that were loaded, and those
        that services handle or emit, wherever they were written.
        """
        from choreo.events.event import Event

        ours = [event for event in _subclasses(Event) if self._is_ours(event)]
        events = [event for event in (*self._used(), *ours) if not event.contract.abstract]
        return {event.contract.full_name: event for event in events}

    def _used(self) -> Iterator[type["Event"]]:
        """What the services that were found handle and emit; one that breaks a rule of the runtime says nothing."""
        for service in self._services:
            with suppress(ChoreoError):
                yield from (*service.handled, *service.emitted)

    def handlers(self) -> list[type["Handler[Any]"]]:
        """Every handler class that can be run, of the packages that were loaded."""
        from choreo.service.handler import Handler

        return [handler for handler in _subclasses(Handler) if self._is_ours(handler) and not isabstract(handler)]

    def _is_ours(self, cls: type) -> bool:
        """Whether a class is of a loaded package, and still what its module says."""
        module = sys.modules.get(cls.__module__)
        if module is None or cls.__module__.partition(".")[0] not in self._modules.packages:
            return False
        named = cls.__qualname__.isidentifier()  # else made within a function, or of a generic one
        return getattr(module, cls.__qualname__, None if named else cls) is cls

    def _add(self, target: str, found: Targets) -> None:
        if target == SAMPLE_SHOP:
            self._add_shop(found)
        elif target == SAMPLE_PURCHASING:
            self._add_purchasing(found)
        elif target == ALL_SPECS:
            found.specs += [path for path in self.spec_files() if path not in found.specs]
        elif target.endswith(SPEC_SUFFIXES):
            found.specs.append(self._modules.file(target))
        elif not self._add_named(target, found):
            self._add_code(target, found)

    def _add_code(self, target: str, found: Targets) -> None:
        from choreo.events.event import Event
        from choreo.service.service import Service

        attribute = target.partition(":")[2]
        module, things = self._modules.find(target)
        before = len(found.services)
        for thing in things:
            if isinstance(thing, Service) and thing not in found.services:
                found.services.append(thing)
                self._services.append(thing)
            elif isinstance(thing, type) and issubclass(thing, Event) and not thing.contract.abstract:
                found.events.append(thing)
        if attribute and not isinstance(things[0], Service) and things[0] not in found.events:
            raise ConfigError(f"{target} is a {type(things[0]).__name__}: neither a service nor an event class")
        if not attribute and len(found.services) == before and not found.events:
            raise ConfigError(
                f"{target} holds no service and no event class", at=module.__file__, hint="module:attribute"
            )

    def _add_shop(self, found: Targets) -> None:
        from choreo.demo.shop import load_shop

        shop = load_shop()
        self._modules.packages.add("services")
        found.services += [service for service in shop.services if service not in found.services]
        found.specs.append(shop.spec)

    def _add_purchasing(self, found: Targets) -> None:
        from choreo.demo.purchasing import load_purchasing

        found.specs.append(load_purchasing().spec)
        self._modules.packages.add("services")

    def _add_named(self, name: str, found: Targets) -> bool:
        """A name without dots: the last word of an entry in choreo.toml, or what a service or spec is called."""
        if "." in name or "/" in name or ":" in name:
            return False
        entries = {_short(entry): entry for entry in self._config.project.services}
        specs = {path.stem: path for path in self.spec_files()}
        if name in entries:
            self._add_code(entries[name], found)
            return True
        if name in specs:
            found.specs.append(specs[name])
            return True
        if importlib.util.find_spec(name) is not None:
            return False
        everything = self.find([]) if entries else Targets()
        called = {service.name: service for service in everything.services}
        if name not in called:
            raise ConfigError(
                f"nothing is called {name}",
                at=self._config.file or self._here,
                why=f"looked for a service in choreo.toml, a saga spec and a module {name} on {self._here}",
                hint=did_you_mean(name, {*entries, *specs, *called}),
            )
        found.services.append(called[name])
        return True


def _short(entry: str) -> str:
    """What an entry of choreo.toml is called: `services.orders.service:orders` is orders."""
    place, _, attribute = entry.partition(":")
    return attribute or place.removesuffix(".py").removesuffix(".service").replace("/", ".").rpartition(".")[2]


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for below in cls.__subclasses__():
        yield below
        yield from _subclasses(below)
