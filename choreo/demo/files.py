"""The files of data that lie somewhere else: found under one of their names, or said to be missing."""

from collections.abc import Sequence
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
