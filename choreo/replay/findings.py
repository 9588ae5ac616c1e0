"""What a verification finds: an entry, a write or an event that is not what the log says, and where that came about."""

from dataclasses import dataclass, field
from typing import Literal

from choreo.record import NewRecord, Record
from choreo.replay.naming import Named

MOST_KEPT = 1_000
What = Literal["entry", "write", "event"]


@dataclass(frozen=True)
class Difference:
    """One entry of a store that is not what the log says. None stands for no entry."""

    partition: int
    store: str
    key: tuple[object, ...]
    live: bytes | None
    replayed: bytes | None

    def __str__(self) -> str:
        where = f"{self.store} {self.key!r} in task {self.partition}"
        return f"{where}: live {shown(self.live)}, replayed {shown(self.replayed)}"


def entry_name(store: str, parts: tuple[object, ...]) -> str:
    """An entry by its store and key."""
    return f"{store} {parts[0]!r}" if len(parts) == 1 else f"{store} {parts!r}"


@dataclass(frozen=True)
class Finding:
    """One thing that the live run did otherwise than the replay, with what brought it about."""

    what: What
    name: str
    """The store and its key, or the event's type and id."""
    partition: int
    checkpoint: int
    now: int
    """What the handlers were told (microseconds)."""
    cause: Named
    handlers: tuple[str, ...]
    build: str
    """Which code made the checkpoint."""
    live: bytes | Record | None
    replayed: bytes | NewRecord | None
    among: int = 1
    """How many inputs of the checkpoint wrote this entry: the log tells what the last of them came to."""
    entry: tuple[str, tuple[object, ...]] | None = None
    """The store and the parts of the key; None of an event."""


@dataclass
class Verdict:
    """What a verification found."""

    service: str
    partitions: int = 0
    checkpoints: int = 0
    inputs: int = 0
    entries: int = 0
    emissions: int = 0
    """Events of the replay that were looked for on the log."""
    build: str = ""
    """The code at hand."""
    builds: set[str] = field(default_factory=set)
    """Which code made the checkpoints."""
    differences: list[Difference] = field(default_factory=list)
    """Entries of the stores, the first MOST_KEPT of them."""
    different: int = 0
    """How many entries of the stores differ."""
    older: int = 0
    """What differs where only another build ran than the code at hand, or of which the stores were rebuilt since: no
    fault of this one.
    """
    erased: int = 0
    """Entries and events that differ only in what was erased since."""
    unlike: int = 0
    """Events that are not on the log as the replay published them."""
    rewritten: int = 0
    """Entries that a checkpoint wrote otherwise than the replay; later ones may have mended them."""
    divergences: list[str] = field(default_factory=list)
    """Why a task could not be replayed to its end."""
    findings: list[Finding] = field(default_factory=list)
    """The first of all these, the earliest first."""

    @property
    def clean(self) -> bool:
        return not self.faults

    @property
    def others_work(self) -> bool:
        """Whether the code at hand has made none of the checkpoints: then what differs may be what it does otherwise
        than the code before, and nothing that went wrong.
        """
        return self.checkpoints > 0 and self.build not in self.builds

    @property
    def faults(self) -> int:
        """Everything that differs."""
        return self.different + self.unlike + self.rewritten + len(self.divergences)

    def saw(self, difference: Difference) -> None:
        """An entry that differs."""
        self.different += 1
        if len(self.differences) < MOST_KEPT:
            self.differences.append(difference)


def shown(value: bytes | None) -> str:
    """A store's value as text."""
    return "nothing" if value is None else value[1:].decode(errors="replace")[:200]
