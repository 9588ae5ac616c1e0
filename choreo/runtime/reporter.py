"""The reporter: an observer that writes what happens to the log `choreo.runtime`, and does not flood it."""

import logging
import threading
from collections.abc import Iterator
from typing import NamedTuple

from choreo.errors import ChoreoError
from choreo.record import TopicPartition
from choreo.resilience.dead_letter import shortened
from choreo.runtime.log_fields import about, subject_fields
from choreo.runtime.observer import (
    Assigned,
    AttemptFailed,
    Committed,
    DeadLettered,
    HandOverFailed,
    Happening,
    IntakeClosed,
    IntakeOpened,
    Observer,
    Released,
    Restored,
    Restoring,
    StoreWiped,
    Subject,
    TaskWaits,
    WorkerEnded,
    WorkerStarted,
)

logger = logging.getLogger("choreo.runtime")
BURST = 5
"""Failures of one kind that are told one by one in each window; the others are counted."""
WINDOW_US = 10_000_000


class Kind(NamedTuple):
    """Failures that are alike."""

    what: str
    service: str
    handler: str | None
    error: str


class Repeats:
    """Which of many failures are told: the first few of a kind in a window, then a count when the window is over."""

    def __init__(self) -> None:
        self._windows: dict[Kind, list[int]] = {}  # when it began, how many were told, how many not

    def admit(self, kind: Kind, at: int) -> bool:
        """Whether this one is told."""
        window = self._windows.setdefault(kind, [at, 0, 0])
        if window[1] < BURST:
            window[1] += 1
            return True
        window[2] += 1
        return False

    def overdue(self, at: int) -> Iterator[tuple[Kind, int]]:
        """Windows that are over (all of them at NEVER), with how many were not told, where there were any."""
        for kind, (began, _, withheld) in list(self._windows.items()):
            if at - began >= WINDOW_US:
                del self._windows[kind]
                if withheld:
                    yield kind, withheld

    def __bool__(self) -> bool:
        return bool(self._windows)


class Reporter(Observer):
    """Failures and rebalances from INFO to ERROR, checkpoints at DEBUG; each record carries whose it is and the ids."""

    def __init__(self) -> None:
        self._repeats = Repeats()
        self._lock = threading.Lock()

    def saw(self, happening: Happening) -> None:
        if self._repeats:
            self._tell_overdue(happening.at)
        match happening:
            case Committed():
                self._committed(happening)
            case AttemptFailed():
                self._attempt_failed(happening)
            case DeadLettered():
                self._dead_lettered(happening)
            case Restoring() | Restored() | StoreWiped() | TaskWaits() | IntakeClosed() | IntakeOpened():
                self._of_task(happening)
            case HandOverFailed(service=service, error=error):
                text = "%s: what was done could not be committed before a hand-over"
                logger.warning(text, service, exc_info=error, extra=about(service=service))
            case Assigned() | Released() | WorkerStarted() | WorkerEnded():
                self._of_worker(happening)

    def _tell_overdue(self, at: int) -> None:
        with self._lock:
            overdue = list(self._repeats.overdue(at))
        for kind, withheld in overdue:
            logger.warning(
                "%s: %d more %s by %s were not told one by one",
                kind.handler or kind.service,
                withheld,
                kind.what,
                kind.error,
                extra=about(service=kind.service, handler=kind.handler, withheld=withheld),
            )

    def _admitted(self, what: str, subject: Subject, error: Exception, at: int) -> bool:
        kind = Kind(what, subject.service, subject.handler, type(error).__name__)
        with self._lock:
            return self._repeats.admit(kind, at)

    def _committed(self, made: Committed) -> None:
        if not logger.isEnabledFor(logging.DEBUG):
            return
        logger.debug(
            "%s: checkpoint of tasks %s (%s): %d inputs, %d outputs, %d entries in %.1f ms",
            made.service,
            ", ".join(map(str, made.tasks)),
            made.reason,
            made.inputs,
            made.outputs,
            made.entries,
            made.duration_us / 1000,
            extra=about(service=made.service, duration_ms=made.duration_us / 1000, reason=made.reason),
        )

    def _attempt_failed(self, failed: AttemptFailed) -> None:
        subject, wait_us = failed.subject, failed.wait_us
        if (
            wait_us is None
        ):  # the dead letter that follows is told, and what a handler gives up with is its own business
            level, then = logging.DEBUG, "it was the last"
        elif wait_us == 0:
            level, then = logging.INFO, "it is tried again at once"
        else:
            level, then = logging.WARNING, f"its key is parked for {wait_us / 1_000_000:g} s"
        if not logger.isEnabledFor(level) or not self._admitted("failed attempts", subject, failed.error, failed.at):
            return
        logger.log(
            level,
            "%s: attempt %d at %s failed, %s: %s",
            subject.handler,
            failed.attempt,
            _named(subject),
            then,
            _said(failed.error),
            extra=about(**subject_fields(subject, failed.attempt), error_type=type(failed.error).__name__),
        )

    def _dead_lettered(self, buried: DeadLettered) -> None:
        subject, error = buried.subject, buried.error
        if not self._admitted("dead letters", subject, error, buried.at):
            return
        logger.error(
            "%s: %s is a dead letter (%s): %s",
            subject.handler or subject.service,
            _named(subject),
            buried.door,
            _said(error),
            extra=about(**subject_fields(subject, buried.attempts), door=buried.door, error_type=type(error).__name__),
            exc_info=None if isinstance(error, ChoreoError) else error,
        )

    def _of_task(self, news: Restoring | Restored | StoreWiped | TaskWaits | IntakeClosed | IntakeOpened) -> None:
        name, extra = f"{news.service}-{news.partition}", about(service=news.service, task=news.partition)
        match news:
            case Restoring(done=done, total=total):
                logger.info("task %s: restoring, %d of %d changelog records", name, done, total, extra=extra)
            case Restored(records=records, duration_us=duration_us):
                if records:
                    seconds = duration_us / 1_000_000
                    logger.info("task %s: restored %d changelog records in %.1f s", name, records, seconds, extra=extra)
            case StoreWiped(reason=reason):
                logger.warning("task %s: its store is wiped and restored: %s", name, reason, extra=extra)
            case TaskWaits(topics=topics):
                logger.info("task %s waits: its %s is elsewhere", name, ", ".join(topics), extra=extra)
            case IntakeClosed(why=why):
                logger.error("task %s takes nothing more in: %s", name, why, extra=extra)
            case IntakeOpened():
                logger.info("task %s takes inputs in again", name, extra=extra)

    def _of_worker(self, news: Assigned | Released | WorkerStarted | WorkerEnded) -> None:
        extra = about(service=news.service)
        match news:
            case Assigned(partitions=partitions):
                logger.info("%s: has %s", news.service, _listed(partitions), extra=extra)
            case Released(partitions=partitions, lost=False):
                logger.info("%s: gives back %s", news.service, _listed(partitions), extra=extra)
            case Released(partitions=partitions):
                logger.warning("%s: lost %s", news.service, _listed(partitions), extra=extra)
            case WorkerStarted():
                logger.debug("%s: its worker has joined the group", news.service, extra=extra)
            case WorkerEnded():
                self._tell_overdue(news.at + WINDOW_US)
                logger.debug("%s: its worker has left", news.service, extra=extra)


def _listed(partitions: tuple[TopicPartition, ...]) -> str:
    """`orders[0, 1], payments[0, 1]`."""
    found: dict[str, list[int]] = {}
    for topic, number in sorted(partitions):
        found.setdefault(topic, []).append(number)
    return ", ".join(f"{topic}[{', '.join(map(str, numbers))}]" for topic, numbers in found.items()) or "nothing"


def _named(subject: Subject) -> str:
    event = subject.event or "what can't be read"
    return f"{event} ({subject.place})" if subject.place is not None else event


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {shortened(str(error))}"
