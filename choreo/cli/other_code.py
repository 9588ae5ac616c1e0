"""Code of the same names from another place: a second version of a project beside the one that is loaded."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from choreo.errors import ConfigError
from choreo.service.service import Service

OURS = "choreo"


@contextmanager
def code_of(root: Path) -> Iterator[None]:
    """For as long as the block lasts modules come from `root` first, and none that is loaded under a name that `root`
    has stands in their way; afterwards everything is as it was. Nothing is written below `root`.
    """
    names = _names_in(root)
    path, quiet = list(sys.path), sys.dont_write_bytecode
    before = _taken_out(names)
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        _taken_out(names)
        sys.modules.update(before)
        sys.path[:], sys.dont_write_bytecode = path, quiet
        importlib.invalidate_caches()


def expect_code_of(service: Service, root: Path) -> None:
    """Raises ConfigError where none of a service's handlers was loaded from `root`: it is other code of nothing."""
    files = {file for handler in service.handlers if (file := _file_of(handler)) is not None}
    lies_there = (file.is_relative_to(root) or file.resolve().is_relative_to(root.resolve()) for file in files)
    if files and not any(lies_there):
        raise ConfigError(
            f"there is no code of {service.name} in {root}",
            why=f"it comes from {', '.join(sorted(map(str, files)))}",
            hint="--code: a folder with the project's modules under the same names",
        )


def _file_of(handler: type) -> Path | None:
    """Where a handler's class was loaded from; None for those that come with Choreo, such as a coordinator."""
    module = sys.modules.get(handler.__module__)
    file = getattr(module, "__file__", None)
    return Path(file).absolute() if file and handler.__module__.partition(".")[0] != OURS else None


def _names_in(root: Path) -> set[str]:
    """What can be imported from there: files, and folders with any code in them."""
    found = {file.stem for file in root.glob("*.py")}
    found |= {folder.name for folder in root.iterdir() if folder.is_dir() and any(folder.rglob("*.py"))}
    return {name for name in found if name.isidentifier() and name != OURS}


def _taken_out(names: set[str]) -> dict[str, ModuleType]:
    """Forget the modules of these packages; answers them."""
    gone = [name for name in sys.modules if name.partition(".")[0] in names]
    return {name: sys.modules.pop(name) for name in gone}
