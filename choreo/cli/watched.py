"""The files of a project that a save may change: found by looking again and again, which works on every file system."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

SUFFIXES = (".py", ".yaml", ".yml", ".avsc", ".toml")
TESTS = ("test_", "conftest.")
"""How files begin that a run does not load."""
OTHERS = frozenset({"__pycache__", "node_modules", "site-packages"})
"""Directories in which nobody writes by hand; those that begin with a dot and virtual environments are left out too."""


class Stamp(NamedTuple):
    """When a file was written (ns) and how long it is."""

    written_ns: int
    size: int


Look = Mapping[Path, Stamp]


class WatchedFiles:
    """Code, specs, contracts and settings below some directories, but for what lies below `left_out`."""

    def __init__(self, roots: Iterable[Path], left_out: Iterable[Path] = ()) -> None:
        self._roots = tuple(dict.fromkeys(root.resolve() for root in roots))
        self._left_out = frozenset(path.resolve() for path in left_out)

    def look(self) -> Look:
        """Every file as it is now. A file that goes while it is looked at is not there."""
        return dict(entry for root in self._roots for entry in self._below(root))

    def _below(self, directory: Path) -> Iterator[tuple[Path, Stamp]]:
        try:
            entries = list(os.scandir(directory))
        except OSError:
            return
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            return
        for entry in entries:
            path = directory / entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name[0] != "." and entry.name not in OTHERS and path not in self._left_out:
                        yield from self._below(path)
                elif entry.name.endswith(SUFFIXES) and not entry.name.startswith((".", *TESTS)):
                    found = entry.stat()
                    yield path, Stamp(found.st_mtime_ns, found.st_size)
            except OSError:
                continue


def changed(before: Look, after: Look) -> list[Path]:
    """The files that are new, gone or written since, in order."""
    return sorted(path for path in {**before, **after} if before.get(path) != after.get(path))
