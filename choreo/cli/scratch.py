"""A place for what a command has to sort or join and that may not fit into memory: gone when the command ends."""

import marshal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from choreo.cli.project import Project
from choreo.state.backend import Backend
from choreo.state.rocks import RocksBackends

PREFIX = "choreo-scratch-"
BATCH = 5_000


@contextmanager
def scratch(project: Project) -> Iterator[Backend]:
    """An empty store in a directory of its own below the state directory; where nothing has run yet, beside it."""
    place = project.config.state_dir()
    within = place if place.is_dir() else None
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=within) as directory,
        closing(RocksBackends(Path(directory))) as backends,
        closing(backends.open("scratch")) as backend,
    ):
        yield backend


class Batched:
    """Writes values of plain types to a store, many at a time."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._batch: dict[bytes, bytes | None] = {}

    def put(self, key: bytes, value: Any) -> None:
        """Keep one; it can be scanned after `flush`."""
        self._batch[key] = marshal.dumps(value)  # never read by another process, or another Python
        if len(self._batch) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Write what is left."""
        self._backend.write(self._batch)
        self._batch = {}


def loaded(value: bytes) -> Any:
    """A value as it was put."""
    return marshal.loads(value)  # written by this process
