"""The committer: which tasks have something to commit, when that is due, and what follows when it is refused."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from choreo.errors import (
    FencedError,
    LogUnavailableError,
    NotAuthorizedError,
    PublishError,
    StaleMemberError,
    StartError,
    TransactionAbortedError,
    UnknownTopicError,
)
from choreo.log.interface import Identity, Member, Writer
from choreo.resilience.dead_letter import shortened
from choreo.runtime.checkpoint import Checkpoint
from choreo.runtime.live import LiveTask
from choreo.runtime.log_fields import about
from choreo.runtime.observer import Committed, Reason, Refused
from choreo.runtime.options import FaultPoint, RunOptions, Site
from choreo.runtime.pace import Pace
from choreo.runtime.plan import Plan
from choreo.runtime.snapshots import SnapshotTaking
from choreo.runtime.topics import check_topics

logger = logging.getLogger("choreo.runtime")
MAX_FENCED = 3
"""So often in a row a fenced writer is replaced."""

Rewind = Callable[[Sequence[LiveTask]], None]
"""Takes tasks back to their last checkpoint."""


class Committer:
    """Commits the work of one worker's tasks, all together, and takes them back where the log refuses."""

    def __init__(self, scope: str, site: Site, options: RunOptions, reach: FaultPoint, rewind: Rewind) -> None:
        self.busy: dict[int, LiveTask] = {}
        """Tasks that have something to commit."""
        self.cautious = 0
        """So many checkpoints are yet to be made of one input each: one of them can't be published."""
        self.done = 0
        self.refused = 0
        self._scope, self._name = scope, scope.removeprefix("choreo.")
        self._site = site
        self._rewind = rewind
        self.snapshots = SnapshotTaking(site, options)
        self._checkpoint = Checkpoint(scope, options, reach)
        self._pace = Pace(options)
        self._writer: Writer | None = None
        self._instance = ""
        self._identity: Identity | None = None
        self._fenced = 0
        self._why: Reason | None = None
        self._buried = False
        """Whether the input of the next checkpoint is a dead letter, because it could not be published."""

    def open(self, instance: str) -> None:
        """Take over from whoever wrote under this transactional id before."""
        self._instance = instance
        self._writer = self._site.log.writer(instance)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def polled(self, identity: Identity | None) -> None:
        """The member has just polled: where it is still one, a writer that was fenced may be replaced.

        Not sooner: a worker that was thrown out of its group must not fence the one that took over.
        """
        if self._writer is None and identity is not None:
            self._writer = self._site.log.writer(self._instance)

    def work_under(self, identity: Identity | None) -> None:
        """The right under which the tasks work from here on, unless they have begun under another."""
        if self._identity is None:
            self._identity = identity

    def due(self, *, more: bool) -> bool:
        """Whether to commit now; `more` says that there is more at hand."""
        if not self.busy:
            return False
        since, size, quiet, flights = 0, 0, True, False
        for live in self.busy.values():
            task = live.task
            since += task.since
            size += task.entries.changed_bytes
            quiet = quiet and live.announced and task.quiet
            flights = flights or bool(task.flights)
        now = self._site.clock.now()
        why = self._pace.due(now, since, size, more=more, quiet=quiet, flights=flights)
        self._why = "cautious" if self.cautious > 0 else why
        return self._why is not None

    def next_due(self) -> int:
        """When to ask again (microseconds), NEVER where nothing waits."""
        return self._pace.next_due()

    def commit(self, member: Member, epoch: int) -> None:
        """One checkpoint of all that is busy. A refused one is rewound, and its inputs are taken again.

        Raises StartError where another process has our id, NotAuthorizedError and UnknownTopicError where something
        can't be written whatever the input, PublishError where not even a dead letter can.
        """
        tasks = list(self.busy.values())
        if not tasks or self._writer is None:
            return
        identity, self._identity = self._identity or member.identity(), None
        why, self._why = self._why, None
        if identity is None:
            return
        since = {live.task.partition: live.task.since for live in tasks if live.task.dirty}
        self.busy = {}
        self._pace.settled()
        try:
            now = self._site.clock.now()
            written = self._checkpoint.commit(self._writer, member, identity, tasks, epoch=epoch, now=now)
        except FencedError as error:
            self._refused(tasks, error)
            self._buried = False
            self._drop_writer(error)
            self._take_back(tasks)
        except TransactionAbortedError as error:
            self._refused(tasks, error)
            self._take_back(tasks)
            self._answer(error, tasks, since)
        except PublishError as error:
            self._refused(tasks, error)
            self._take_back(tasks)
            self._find_culprit(tasks, since, error)
        else:
            self.done += 1
            self._fenced = 0
            self._buried = False
            self.cautious = max(self.cautious - 1, 0)
            took, ended = tuple(live.task.partition for live in tasks), self._site.clock.now()
            counts = (sum(since.values()), written.outputs, written.entries)
            self._pace.committed(ended, ended - now, counts[0])
            self.snapshots.committed(tasks, since)
            self._site.observer.saw(Committed(self._name, took, *counts, why or "hand-over", ended - now, ended))

    def _refused(self, tasks: Sequence[LiveTask], error: Exception) -> None:
        now = self._site.clock.now()
        self._site.observer.saw(Refused(self._name, tuple(live.task.partition for live in tasks), error, now))

    def _take_back(self, tasks: Sequence[LiveTask]) -> None:
        self.refused += 1
        self._rewind(tasks)
        self.busy |= {live.task.partition: live for live in tasks if not live.announced}

    def _drop_writer(self, error: FencedError) -> None:
        """A fenced writer is dead: its transaction expired, or another process has our id."""
        self._fenced += 1
        if self._fenced > MAX_FENCED:
            raise StartError(
                f"{self._instance} is taken over by another process, again and again",
                why="it has the same instance id: a copy of the state directory, or the same --worker number twice",
                hint="stop one of them",
            ) from error
        logger.warning("%s was fenced: %s", self._instance, error, extra=about(service=self._name))
        self.close()

    def _answer(self, error: TransactionAbortedError, tasks: Sequence[LiveTask], since: Mapping[int, int]) -> None:
        cause = error.__cause__
        if isinstance(cause, PublishError):
            self._find_culprit(tasks, since, cause)
        elif isinstance(cause, NotAuthorizedError | UnknownTopicError):
            self._check_topics(tasks[0].task.plan)
            raise cause
        else:
            self._buried = False
            logger.warning(
                "a checkpoint of %s was refused, its inputs are taken again: %s",
                self._scope,
                error,
                extra=about(service=self._name),
            )
            if not isinstance(error, StaleMemberError):
                self._check_topics(tasks[0].task.plan)

    def _check_topics(self, plan: Plan) -> None:
        """A topic may have gone. Kafka does not say so: what is written to it only takes too long."""
        with suppress(LogUnavailableError):
            check_topics(plan, self._site.log)

    def _find_culprit(self, tasks: Sequence[LiveTask], since: Mapping[int, int], error: PublishError) -> None:
        """Go one input a checkpoint until it is known which can't be published, and make that a dead letter.

        `since` counts the inputs of each task in the checkpoint that failed.
        """
        if sum(since.values()) > 1:
            logger.warning(
                "a checkpoint of %s can't be published, looking for the input: %s",
                self._scope,
                error,
                extra=about(service=self._name),
            )
            self.cautious = sum(since.values())
            self._buried = False
            return
        if self._buried:
            raise PublishError(
                f"an input of {self._scope} can't be handled, and not even its dead letter can be written",
                why=error.message,
                hint=error.hint,
            ) from error
        logger.warning(
            "an input of %s can't be published and goes to the dead letters: %s",
            self._scope,
            error,
            extra=about(service=self._name),
        )
        for live in tasks:
            if live.task.partition in since:
                live.task.refuse_next(shortened(str(error)))
        self._buried = True
        self.cautious = max(self.cautious, 1)
