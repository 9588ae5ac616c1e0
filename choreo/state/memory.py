"""Entries in memory: for simulation and tests. What was written outlives close and open, as a disk would keep it."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

from choreo.errors import StateError, StateInUseError
from choreo.state.backend import Backend, Backends, Snapshots

_CHUNK = 256
"""Entries that a scan looks at before it finds its place anew: a write in between may move it."""
_FEW = 32
"""Up to so many new keys are put into their place one by one; more are sorted in."""


class _Disk:
    """The entries of one task: a dict, and its keys in order as far as a scan has asked for them."""

    def __init__(self) -> None:
        self.data: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._new: list[bytes] = []
        self._dead: set[bytes] = set()

    def put(self, key: bytes, value: bytes | None) -> None:
        data = self.data
        if value is None:
            if data.pop(key, None) is not None:
                self._dead.add(key)
            return
        if key not in data:
            if key in self._dead:
                self._dead.discard(key)
            else:
                self._new.append(key)
        data[key] = value

    def keys(self) -> list[bytes]:
        """All keys in order, and some that are deleted."""
        if len(self._new) <= _FEW:
            for key in self._new:
                insort(self._keys, key)
        else:
            self._keys += self._new
            self._keys.sort()
        self._new.clear()
        if len(self._dead) > len(self._keys) // 2:
            self._keys = [key for key in self._keys if key not in self._dead]
            self._dead.clear()
        return self._keys


class MemoryBackend(Backend):
    """One task's entries, on a `_Disk` that outlives it."""

    def __init__(self, owner: "MemoryBackends", task: str, disk: _Disk) -> None:
        self._owner, self._task, self._disk = owner, task, disk
        self._open = True

    def get(self, key: bytes) -> bytes | None:
        if not self._open:
            self._refuse()
        return self._disk.data.get(key)

    def scan(self, prefix: bytes = b"", start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        last, find = max(prefix, start or b""), bisect_left
        while True:
            if not self._open:
                self._refuse()
            keys = self._disk.keys()
            at = find(keys, last)
            chunk = keys[at : at + _CHUNK]
            data = self._disk.data
            for key in chunk:
                if not key.startswith(prefix):
                    return
                value = data.get(key)
                if value is not None:
                    yield key, value
            if len(chunk) < _CHUNK:
                return
            last, find = chunk[-1], bisect_right

    def write(self, batch: Mapping[bytes, bytes | None]) -> None:
        if not self._open:
            self._refuse()
        put = self._disk.put
        for key, value in batch.items():
            put(key, value)

    def wipe(self) -> None:
        if not self._open:
            self._refuse()
        self._disk = self._owner.new_disk(self._task)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._owner.released(self._task)

    def _refuse(self) -> NoReturn:
        raise StateError(f"the state of {self._task} is closed")


class MemoryBackends(Backends):
    """The memory of one worker. `close` is the end of the process: `open` then starts the next one on the same "disk".

    `instance` is its name: workers of one group need names of their own.
    """

    def __init__(self, instance: str = "memory") -> None:
        self._instance = instance
        self._disks: dict[str, _Disk] = {}
        self._opened: dict[str, MemoryBackend] = {}
        self._kept: dict[str, dict[int, dict[bytes, bytes]]] = {}

    def open(self, task: str) -> Backend:
        if task in self._opened:
            raise StateInUseError(f"the state of {task} is open already", hint="close it before it is opened again")
        disk = self._disks.get(task) or self.new_disk(task)
        backend = self._opened[task] = MemoryBackend(self, task, disk)
        return backend

    def snapshots(self, task: str) -> Snapshots:
        return MemorySnapshots(lambda: self._disks[task].data, self._kept.setdefault(task, {}))

    def instance_id(self) -> str:
        return self._instance

    def close(self) -> None:
        for backend in list(self._opened.values()):
            backend.close()

    def new_disk(self, task: str) -> _Disk:
        """An empty one, for good."""
        disk = self._disks[task] = _Disk()
        return disk

    def released(self, task: str) -> None:
        """The task may be opened again."""
        self._opened.pop(task, None)


class MemorySnapshots(Snapshots):
    """Copies in memory, which outlive a restart as the entries do."""

    def __init__(self, entries: Callable[[], Mapping[bytes, bytes]], kept: dict[int, dict[bytes, bytes]]) -> None:
        self._entries, self._kept = entries, kept

    def take(self, number: int) -> None:
        if number not in self._kept:
            self._kept[number] = dict(self._entries())

    def numbers(self) -> list[int]:
        return sorted(self._kept)

    def open(self, number: int) -> Backend:
        if number not in self._kept:
            raise StateError(f"there is no snapshot {number}", why=f"there are {self.numbers()}")
        backend = MemoryBackends().open("snapshot")
        backend.write(self._kept[number])
        return backend

    def drop(self, number: int) -> None:
        self._kept.pop(number, None)
