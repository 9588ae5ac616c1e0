"""The memory backend keeps the contract of all state backends."""

from pathlib import Path

from choreo.state.backend import Backends
from choreo.state.memory import MemoryBackends
from choreo.testing.backend_contract import BackendContract


class TestMemory(BackendContract):
    """A restart is a close and a reopening of the same object: its memory is the disk."""

    def make(self, directory: Path) -> Backends:
        return MemoryBackends(directory.name)

    def again(self, backends: Backends, directory: Path) -> Backends:
        return backends
