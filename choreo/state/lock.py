"""A directory that belongs to one process at a time: an operating system's lock, gone when its holder is."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from choreo.errors import StateError, StateInUseError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

PAUSE_S = 0.05
_BEYOND = 1 << 20
"""Windows keeps others from reading what is locked: lock a byte that the file does not have."""


class DirectoryLock:
    """Held from its making until `close`, or the end of the process, kill -9 included.

    Tries for `wait_s` (seconds; `pause` sleeps). Raises StateInUseError, naming the holder's process id, and StateError
    where the directory can't be made or written.
    """

    def __init__(self, directory: Path, wait_s: float, pause: Callable[[float], None] = time.sleep) -> None:
        self._file: int | None = None
        path = directory / "lock"
        holder = "unknown"
        for _ in range(max(1, round(wait_s / PAUSE_S))):
            file = _opened(path)
            if _lock(file) and _lies_at(file, path):
                os.ftruncate(file, 0)
                os.lseek(file, 0, os.SEEK_SET)
                os.write(file, str(os.getpid()).encode())
                self._file = file
                return
            os.lseek(file, 0, os.SEEK_SET)  # to lock may have moved it
            holder = os.read(file, 20).decode("ascii", "replace").strip() or "unknown"
            os.close(file)
            pause(PAUSE_S)
        raise StateInUseError(
            f"the directory {directory} is in use",
            why=f"process {holder} has it open",
            hint="stop that process, or give this one a state directory of its own",
        )

    def close(self) -> None:
        """Let the next one in; safe to call twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _opened(path: Path) -> int:
    """The file, made where it is not there."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise StateError(
            f"the directory {path.parent} can't be used",
            why="it is a file" if isinstance(error, FileExistsError) else error.strerror,
            hint="give a directory that this user may write",
        ) from error


def _lies_at(file: int, path: Path) -> bool:
    """Whether an open file is the one that lies there: its holder may have taken the directory away as it let go."""
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _lock(file: int) -> bool:
    """True once this open file has the lock."""
    try:
        if sys.platform == "win32":
            os.lseek(file, _BEYOND, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
