"""Where the entries of one task lie: an ordered map of bytes with atomic batches. Two backends, one contract."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping


class Backend(ABC):
    """One task's entries, in the order of their key bytes."""

    @abstractmethod
    def get(self, key: bytes) -> bytes | None: ...

    @abstractmethod
    def scan(self, prefix: bytes = b"", start: bytes | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Entries whose key begins with `prefix`, from key `start` on, in key order.

        What is written while a scan is open may or may not be seen by it.
        """

    @abstractmethod
    def write(self, batch: Mapping[bytes, bytes | None]) -> None:
        """Write all entries or none (None deletes); survives kill -9 on return."""

    @abstractmethod
    def wipe(self) -> None:
        """Delete everything."""

    @abstractmethod
    def close(self) -> None:
        """Release it; safe to call twice."""


class Snapshots(ABC):
    """Copies of one task's entries as they once were, each by a number (of a checkpoint), in ascending order."""

    @abstractmethod
    def take(self, number: int) -> None:
        """Keep a copy of the entries as of now; the task's backend must be open. One of this number is kept as it is.

        Raises StateError.
        """

    @abstractmethod
    def numbers(self) -> list[int]:
        """Those that there are, whole ones only, the lowest first."""

    @abstractmethod
    def open(self, number: int) -> Backend:
        """The entries as they were, to be looked at only, beside whoever is at work. Raises StateError for none."""

    @abstractmethod
    def drop(self, number: int) -> None:
        """Keep it no longer; nothing happens where there is none."""


class Backends(ABC):
    """Opens the backends of one worker: its state directory."""

    @abstractmethod
    def open(self, task: str) -> Backend:
        """The entries of this task (its name is `SERVICE-PARTITION`). One opener at a time, else StateInUseError."""

    @abstractmethod
    def snapshots(self, task: str) -> Snapshots:
        """The copies of this task's entries that were kept."""

    @abstractmethod
    def instance_id(self) -> str:
        """Made once and kept: part of the transactional id, so that a restart takes over from itself."""

    @abstractmethod
    def close(self) -> None: ...
