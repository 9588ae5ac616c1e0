"""The tally: an observer that counts, in plain integers, for status pages and metrics to read at any time."""

from dataclasses import asdict, dataclass

from choreo.runtime.observer import (
    Assigned,
    AttemptFailed,
    Committed,
    DeadLettered,
    Happening,
    Observer,
    Refused,
    Released,
    Restored,
)


@dataclass(slots=True)
class ServiceCounts:
    """Of one service in this process since it started."""

    checkpoints: int = 0
    inputs: int = 0
    """Inputs and timers in its checkpoints."""
    outputs: int = 0
    entries: int = 0
    """Records on its changelog."""
    checkpoint_us: int = 0
    """Microseconds that its checkpoints took, all together."""
    slowest_checkpoint_us: int = 0
    refused: int = 0
    rebalances: int = 0
    """Assignments gained or given up."""
    restored: int = 0
    """Changelog records that were read to restore tasks."""


@dataclass(slots=True)
class TaskCounts:
    """Of one task in this process since it started. What is taken again after a refusal counts again."""

    failed_attempts: int = 0
    parked: int = 0
    """How often a key was parked behind a failed input."""
    dead_letters: int = 0


class Tally(Observer):
    """Counts. One thread writes the counts of a service; any thread reads them."""

    def __init__(self) -> None:
        self.services: dict[str, ServiceCounts] = {}
        self.tasks: dict[tuple[str, int], TaskCounts] = {}

    def saw(self, happening: Happening) -> None:
        match happening:
            case Committed():
                self._committed(happening)
            case Refused(service=service):
                self._service(service).refused += 1
            case Assigned(service=service) | Released(service=service):
                self._service(service).rebalances += 1
            case Restored(service=service, records=records):
                self._service(service).restored += records
            case AttemptFailed(subject=subject, wait_us=wait_us):
                task = self._task(subject.service, subject.partition)
                task.failed_attempts += 1
                task.parked += 1 if wait_us else 0
            case DeadLettered(subject=subject):
                self._task(subject.service, subject.partition).dead_letters += 1

    def of_service(self, service: str) -> dict[str, int]:
        """The counts of a service by name; zeros where nothing was heard of it."""
        return asdict(self.services.get(service) or ServiceCounts())

    def of_task(self, service: str, partition: int) -> dict[str, int]:
        """The counts of a task by name; zeros where nothing was heard of it."""
        return asdict(self.tasks.get((service, partition)) or TaskCounts())

    def _committed(self, made: Committed) -> None:
        counts = self._service(made.service)
        counts.checkpoints += 1
        counts.inputs += made.inputs
        counts.outputs += made.outputs
        counts.entries += made.entries
        counts.checkpoint_us += made.duration_us
        counts.slowest_checkpoint_us = max(counts.slowest_checkpoint_us, made.duration_us)

    def _service(self, service: str) -> ServiceCounts:
        return self.services.setdefault(service, ServiceCounts())

    def _task(self, service: str, partition: int) -> TaskCounts:
        return self.tasks.setdefault((service, partition), TaskCounts())
