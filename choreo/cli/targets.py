"""What a TARGET names: services, saga specs, event classes; found in choreo.toml, in modules and in files.

TARGET is a name in choreo.toml, module[:attr], file.py[:attr], spec.yaml, `sagas` (every spec), `demo` (the sample
shop) or nothing (everything).
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from inspect import isabstract
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from choreo.config import Config
from choreo.config.sections import did_you_mean
from choreo.errors import ChoreoError, ConfigError

if TYPE_CHECKING:
    from choreo.events.event import Event
    from choreo.service.handler import Handler
    from choreo.service.service import Service

SPEC_SUFFIXES = (".yaml", ".yml")
ALL_SPECS = "sagas"
SAMPLE_SHOP = "demo"


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
        self._packages: set[str] = set()
        """Top packages and modules that were loaded for a target: whose events the project may speak of."""
        for directory in (config.directory, here):
            if str(directory) not in sys.path:
                sys.path.insert(0, str(directory))

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
                hint="name a target: choreo run shop.py, or list services = [...] in choreo.toml",
            )
        return found

    def spec_files(self) -> list[Path]:
        """The saga specs that the project's globs find."""
        root = self._config.directory
        return sorted({path for pattern in self._config.project.sagas for path in root.glob(pattern)})

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
        """Every event class of the packages that were loaded, by full name: what a saga spec may speak of."""
        from choreo.events.event import Event

        events = [event for event in _subclasses(Event) if self._is_ours(event) and not event.contract.abstract]
        return {event.contract.full_name: event for event in events}

    def handlers(self) -> list[type["Handler[Any]"]]:
        """Every handler class that can be run, of the packages that were loaded."""
        from choreo.service.handler import Handler

        return [handler for handler in _subclasses(Handler) if self._is_ours(handler) and not isabstract(handler)]

    def _is_ours(self, cls: type) -> bool:
        """Whether a class is of a loaded package, and still what its module says."""
        module = sys.modules.get(cls.__module__)
        if module is None or cls.__module__.partition(".")[0] not in self._packages:
            return False
        return getattr(module, cls.__qualname__, cls) is cls

    def _add(self, target: str, found: Targets) -> None:
        if target == SAMPLE_SHOP:
            self._add_shop(found)
        elif target == ALL_SPECS:
            found.specs += [path for path in self.spec_files() if path not in found.specs]
        elif target.endswith(SPEC_SUFFIXES):
            found.specs.append(self._existing(target))
        elif not self._add_named(target, found):
            self._add_code(target, found)

    def _add_code(self, target: str, found: Targets) -> None:
        from choreo.events.event import Event
        from choreo.service.service import Service

        place, _, attribute = target.partition(":")
        module = self._module(place, target)
        things = [_attribute(module, attribute, target)] if attribute else list(vars(module).values())
        before = len(found.services)
        for thing in things:
            if isinstance(thing, Service) and thing not in found.services:
                found.services.append(thing)
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
        self._packages.add("services")
        found.services += [service for service in shop.services if service not in found.services]
        found.specs.append(shop.spec)

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

    def _module(self, place: str, target: str) -> ModuleType:
        """The module; of a package without services, its `service` module."""
        if place.endswith(".py"):
            return self._load(*_module_of(self._existing(place)), target)
        module = self._load(place, None, target)
        if ":" not in target and hasattr(module, "__path__") and importlib.util.find_spec(f"{place}.service"):
            return self._load(f"{place}.service", None, target)
        return module

    def _load(self, name: str, root: Path | None, target: str) -> ModuleType:
        if root is not None and str(root) not in sys.path:
            sys.path.insert(0, str(root))
        self._packages.add(name.partition(".")[0])
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                raise ConfigError(
                    f"there is no module {error.name}",
                    why=f"looked for {target} in {', '.join(sys.path[:3])}",
                    hint="a module is written with dots from the project's directory; a file ends in .py",
                ) from error
            raise self._broken(target, error) from error
        except ChoreoError:
            raise
        except Exception as error:
            raise self._broken(target, error) from error
        if root is not None and module.__file__ and Path(module.__file__).resolve().parent != _directory(name, root):
            raise ConfigError(f"{target}: another module is called {name}", at=module.__file__, hint="rename the file")
        return module

    def _broken(self, target: str, error: Exception) -> ConfigError:
        """A module that fails while it is imported: the place in the user's own code, and what it said."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
        own = [frame for frame in frames if self._is_own(frame.filename)] or frames[1:]
        place = f"{own[-1].filename}:{own[-1].lineno}:{(own[-1].colno or 0) + 1}" if own else None
        if isinstance(error, SyntaxError):
            place = f"{error.filename}:{error.lineno}:{error.offset or 1}"
        return ConfigError(
            f"{target} can't be imported: {type(error).__name__}: {error}", at=place, hint="-v shows the traceback"
        )

    def _is_own(self, filename: str) -> bool:
        path = Path(filename)
        roots = (self._config.directory, self._here)
        return any(path.is_relative_to(root) for root in roots) and "site-packages" not in path.parts

    def _existing(self, target: str) -> Path:
        """A file as seen from here, else from the project's directory."""
        looked = [directory / target for directory in dict.fromkeys([self._here, self._config.directory])]
        for path in looked:
            if path.is_file():
                return path.resolve()
        raise ConfigError(f"there is no file {target}", why="looked for " + ", ".join(str(path) for path in looked))


def _module_of(path: Path) -> tuple[str, Path]:
    """The dotted name of a file and the directory from which it is imported: the first one that is no package."""
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    return ".".join(parts), root


def _directory(name: str, root: Path) -> Path:
    return root.joinpath(*name.split(".")[:-1]).resolve()


def _short(entry: str) -> str:
    """What an entry of choreo.toml is called: `services.orders.service:orders` is orders."""
    place, _, attribute = entry.partition(":")
    return attribute or place.removesuffix(".py").removesuffix(".service").replace("/", ".").rpartition(".")[2]


def _attribute(module: ModuleType, name: str, target: str) -> object:
    if not hasattr(module, name):
        public = [word for word in vars(module) if not word.startswith("_")]
        raise ConfigError(
            f"{target}: {module.__name__} has no {name}", at=module.__file__, hint=did_you_mean(name, public)
        )
    found: object = getattr(module, name)
    return found


def _subclasses(cls: type[Any]) -> Iterator[type[Any]]:
    for below in cls.__subclasses__():
        yield below
        yield from _subclasses(below)
