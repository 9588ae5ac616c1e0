"""The code that a project names: `module[:attr]` and `file.py[:attr]`, imported from the project's directories, with an
error that says where something is missing or broken. What the things in it are is left to those who asked.
"""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from choreo.config.sections import Config, did_you_mean
from choreo.errors import ChoreoError, ConfigError

SHARED_CALENDARS = "calendars.yaml"
"""Lies beside specs and is none (`saga/spec.py`)."""


class Found(NamedTuple):
    """A module, and the things in it that were asked for: one by its name, or all."""

    module: ModuleType
    things: Sequence[object]


class Modules:
    """Imports from these directories, the last one first; they are put on `sys.path`."""

    def __init__(self, *directories: Path) -> None:
        self.packages: set[str] = set()
        """Top packages and modules that were loaded for a target: whose events the project may speak of."""
        self._directories = tuple(dict.fromkeys(directories))
        for directory in self._directories:
            if str(directory) not in sys.path:
                sys.path.insert(0, str(directory))

    def find(self, target: str) -> Found:
        """What `services.orders`, `services.orders.service:orders` or `shop.py` names. Raises ConfigError."""
        place, _, attribute = target.partition(":")
        module = self._module(place, target)
        return Found(module, [_attribute(module, attribute, target)] if attribute else list(vars(module).values()))

    def file(self, name: str) -> Path:
        """A file as seen from one of the directories. Raises ConfigError."""
        looked = [directory / name for directory in reversed(self._directories)]
        for path in looked:
            if path.is_file():
                return path.resolve()
        raise ConfigError(f"there is no file {name}", why="looked for " + ", ".join(str(path) for path in looked))

    def _module(self, place: str, target: str) -> ModuleType:
        """The module; of a package without an attribute, its `service` module."""
        if place.endswith(".py"):
            return self._load(*_module_of(self.file(place)), target)
        module = self._load(place, None, target)
        if ":" not in target and hasattr(module, "__path__") and importlib.util.find_spec(f"{place}.service"):
            return self._load(f"{place}.service", None, target)
        return module

    def _load(self, name: str, root: Path | None, target: str) -> ModuleType:
        if root is not None and str(root) not in sys.path:
            sys.path.insert(0, str(root))
        self.packages.add(name.partition(".")[0])
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
        return "site-packages" not in path.parts and any(path.is_relative_to(one) for one in self._directories)


def spec_files(config: Config) -> list[Path]:
    """The saga specs that the project's globs find, by name. The calendars that they share are none."""
    found = {path for pattern in config.project.sagas for path in config.directory.glob(pattern)}
    return sorted(path for path in found if path.name != SHARED_CALENDARS)


def import_place(path: Path) -> Path:
    """The directory from which a file is imported: the first one above it that is no package."""
    return _module_of(path)[1]


def _module_of(path: Path) -> tuple[str, Path]:
    """The dotted name of a file and the directory from which it is imported: the first one that is no package."""
    root, parts = path.parent, [path.stem]
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    return ".".join(parts), root


def _directory(name: str, root: Path) -> Path:
    return root.joinpath(*name.split(".")[:-1]).resolve()


def _attribute(module: ModuleType, name: str, target: str) -> object:
    if not hasattr(module, name):
        public = [word for word in vars(module) if not word.startswith("_")]
        raise ConfigError(
            f"{target}: {module.__name__} has no {name}", at=module.__file__, hint=did_you_mean(name, public)
        )
    found: object = getattr(module, name)
    return found
