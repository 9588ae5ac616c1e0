"""The files of data that lie somewhere else: found under one of their names, their columns found by theirs, or said to
be missing.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from choreo.errors import ConfigError


def find_file(directory: Path, names: Sequence[str], what: str, hint: str) -> Path:
    """The first file of these two names that is there. Raises ConfigError; `what` is it, `hint` how it is named."""
    for name in names:
        if (directory / name).is_file():
            return directory / name
    raise ConfigError(
        f"no {what} in {directory}",
        at=directory,
        why=f"neither {names[0]} nor {names[1]} is there" if directory.is_dir() else "the directory does not exist",
        hint=hint,
    )


def columns_in(path: Path, header: Sequence[str], columns: Sequence[str]) -> list[int]:
    """Where each of these columns stands in a CSV file of this first line. Raises ConfigError."""
    found = [name.strip() for name in header]
    for name in columns:
        if name not in found:
            close = get_close_matches(name, found, n=1)
            raise ConfigError(
                f"{path.name} has no column {name}",
                at=f"{path}:1",
                why=f"its columns are {', '.join(found) or 'none: the file is empty'}",
                hint=f"rename {close[0]} to {name}" if close else f"add the column {name}",
            )
    return [found.index(name) for name in columns]
