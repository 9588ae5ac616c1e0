"""What a worker tells of itself: a few values, once a checkpoint or a failure, never once an event that went well.

Logs, figures and traces listen here; the runtime knows none of them.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from choreo.events.envelope import Ids
from choreo.record import Position, TopicPartition
from choreo.resilience.dead_letter import Door

Reason = Literal["dry", "interval", "records", "bytes", "cautious", "hand-over"]
"""Why a checkpoint was made: the input ran dry, the time or a bound was reached, one input at a time while looking for
one that can't be published, or partitions were given back (also by stopping).
"""


class Subject(NamedTuple):
    """One input of a task, by what may be told of it: nothing that it holds."""

    service: str
    partition: int
    """The number of its task."""
    handler: str | None
    event: str | None
    """Full name of the event, or the method that answers a timer; None where it could not be read."""
    place: Position | None
    """None for a timer."""
    ids: Ids | None


class WorkerStarted(NamedTuple):
    """A worker has joined its group. As everywhere here, `at` is in microseconds."""

    service: str
    at: int


class WorkerEnded(NamedTuple):
    """A worker has left, or was given up."""

    service: str
    at: int


class Assigned(NamedTuple):
    """These partitions are the worker's."""

    service: str
    partitions: tuple[TopicPartition, ...]
    at: int


class Released(NamedTuple):
    """These partitions are somebody else's; `lost`: without notice, so nothing was committed for them."""

    service: str
    partitions: tuple[TopicPartition, ...]
    lost: bool
    at: int


class TaskWaits(NamedTuple):
    """A task can't open: its partitions of these topics are somebody else's."""

    service: str
    partition: int
    topics: tuple[str, ...]
    at: int


class StoreWiped(NamedTuple):
    """The store of a task can't be trusted and is restored from the changelog."""

    service: str
    partition: int
    reason: str
    at: int


class Restoring(NamedTuple):
    """A task is being restored: at the begin, and about once a second. Counts are changelog records."""

    service: str
    partition: int
    done: int
    total: int
    at: int


class Restored(NamedTuple):
    """A task is open. `records` were read from its changelog, 0 where its store was up to date."""

    service: str
    partition: int
    records: int
    duration_us: int
    at: int


class Committed(NamedTuple):
    """A checkpoint stands. `entries` counts the records on the changelog."""

    service: str
    tasks: tuple[int, ...]
    inputs: int
    outputs: int
    entries: int
    reason: Reason
    duration_us: int
    at: int


class Refused(NamedTuple):
    """A checkpoint was refused: nothing of it stands, its inputs are taken again."""

    service: str
    tasks: tuple[int, ...]
    error: Exception
    at: int


class HandOverFailed(NamedTuple):
    """What was done could not be committed before partitions were given back: the next owner takes it again."""

    service: str
    error: Exception
    at: int


class AttemptFailed(NamedTuple):
    """A handler raised. `wait_us` to the next attempt: 0 in place, more: its key is parked, None: it was the last."""

    subject: Subject
    attempt: int
    error: Exception
    wait_us: int | None
    at: int


class DeadLettered(NamedTuple):
    """An input became a dead letter."""

    subject: Subject
    door: Door
    error: Exception
    attempts: int
    at: int


class IntakeClosed(NamedTuple):
    """A task takes nothing more in: a policy stopped it, or too much is parked."""

    service: str
    partition: int
    why: str
    at: int


class IntakeOpened(NamedTuple):
    """A task takes inputs in again."""

    service: str
    partition: int
    at: int


Happening: TypeAlias = (
    WorkerStarted
    | WorkerEnded
    | Assigned
    | Released
    | TaskWaits
    | StoreWiped
    | Restoring
    | Restored
    | Committed
    | Refused
    | HandOverFailed
    | AttemptFailed
    | DeadLettered
    | IntakeClosed
    | IntakeOpened
)


class Observer:
    """Is told what happens in workers; this one listens to nothing.

    `saw` is called by the threads of the workers, several at once where several share an observer: it must be quick
    and must not raise. What is told of a checkpoint that is refused afterwards is told again when its inputs are
    taken again: counts of failures count attempts, not events.
    """

    def saw(self, happening: Happening) -> None:
        """One thing that happened just now."""


SILENT = Observer()


class Observers(Observer):
    """Tells several."""

    def __init__(self, observers: Iterable[Observer]) -> None:
        self._observers = tuple(observers)

    def saw(self, happening: Happening) -> None:
        for observer in self._observers:
            observer.saw(happening)
