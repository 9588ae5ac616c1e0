"""A worker: the tasks of one service that one member of its group has. A step machine; it never waits.

`poll` asks the log, `step` does everything else and answers when it wants to be called again.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence

from choreo.clock import NEVER
from choreo.errors import ChoreoError, FencedError, PublishError, StartError, TransactionAbortedError
from choreo.events.codec import Codec
from choreo.log.interface import Identity, Member, Membership, Writer
from choreo.record import Record, TopicPartition
from choreo.runtime.assignment import Assignment, start_offsets
from choreo.runtime.checkpoint import Checkpoint
from choreo.runtime.frontier import Frontier
from choreo.runtime.live import SLICE, LiveTask
from choreo.runtime.opening import Opening
from choreo.runtime.options import FaultPoint, RunOptions, Site, no_faults
from choreo.runtime.pace import Pace
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import check_topics
from choreo.service.needs import Needs
from choreo.service.service import Service

logger = logging.getLogger("choreo.runtime")
POLL_AGAIN = 1000
"""Microseconds until the log is asked again for what a task waits for."""
MAX_FENCED = 3
"""So often in a row a fenced writer is replaced."""


class Worker:
    """Runs one service. `start`, then `step(now, poll(wait))` again and again, then `stop`."""

    def __init__(
        self,
        service: Service,
        site: Site,
        options: RunOptions | None = None,
        *,
        settings: object = None,
        reach: FaultPoint = no_faults,
    ) -> None:
        self.service = service
        self.plan = plan_of(service)
        self.tasks: dict[int, LiveTask] = {}
        self.checkpoints = 0
        self.failed_checkpoints = 0
        self._closed_handled = 0
        self._site = site
        self._options = options or RunOptions()
        self._needs = Needs(service, settings)
        self._codec = Codec(site.registry, self.plan.classes, site.log.cluster_id())
        self._assignment = Assignment(self.plan.topics)
        self._openings: dict[int, Opening] = {}
        self._checkpoint = Checkpoint(service.scope, self._options, reach)
        self._failure: Exception | None = None
        self._identity: Identity | None = None
        self._fenced = 0
        self._interval = round(self._options.checkpoint_interval_s * 1_000_000)
        self._pace = Pace(self._options)
        self._busy: dict[int, LiveTask] = {}
        """Tasks that have something to commit."""
        self._instance = ""
        self._seen_epoch = 0
        self._cautious = 0
        self._waiting = False
        self._member: Member | None = None
        self._writer: Writer | None = None
        self._frontier: Frontier | None = None

    @property
    def handled(self) -> int:
        """Inputs handled since the start."""
        return self._closed_handled + sum(live.task.handled for live in self.tasks.values())

    @property
    def ready(self) -> bool:
        """Whether it has tasks and all of them are open."""
        return bool(self.tasks) and not self._openings

    @property
    def member(self) -> Member:
        assert self._member is not None, "start comes first"  # a programming error of the caller
        return self._member

    def start(self) -> None:
        """Open what the handlers need and join the group. Raises where the service can't run on this log."""
        check_topics(self.plan, self._site.log)
        self._instance = f"{self.service.scope}.{self._site.backends.instance_id()}.{self._options.worker}"
        self._writer = self._site.log.writer(self._instance)
        membership = Membership(self.service.scope, self.plan.topics, self._instance, self._options.session_timeout_s)
        self._member = self._site.log.join(membership, self)
        self._frontier = Frontier(self._site.log, self)

    def poll(self, timeout_s: float = 0.0) -> list[Record]:
        """Records for the next step; waits at most `timeout_s` for the first. Assignments change in here."""
        return self.member.poll(timeout_s, self._options.batch_records)

    def step(self, now: int, records: Sequence[Record] = ()) -> int:
        """Do all that can be done at `now` (microseconds); answers when to step again at the latest, NEVER if only for input."""
        self._raise_failure()
        if self._openings or self._assignment.epoch != self._seen_epoch:
            self._open_tasks()
        self._receive(now, records)
        more = self._advance(now)
        if self._busy and (self._cautious or self._checkpoint_due(more)):
            self._commit()
        return self._next_due(now, more)

    def stop(self) -> None:
        """Commit what is done and leave. What is at hand and not begun is left for the next owner."""
        try:
            if self._member is not None:
                self._commit()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Leave without committing."""
        self._drop(list(self.tasks) + list(self._openings))
        if self._member is not None:
            self._member.close()
        if self._writer is not None:
            self._writer.close()
        self._needs.close()

    # -- what the log tells, inside poll -------------------------------------------------------------------------------

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        """These partitions are ours; answers where to read each from."""
        try:
            offsets = self._start_offsets(committed)
            self._assignment.add(offsets)
            return offsets
        except Exception as error:  # a callback must not raise: the next step does
            self._failure = error
            return {tp: offset or 0 for tp, offset in committed.items()}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These go to somebody else after this: commit what is done, then let go."""
        try:
            self._commit()
        except Exception:  # a callback must not raise, and what was not committed is taken again by the next owner
            logger.warning(
                "%s: what was done could not be committed before a hand-over", self.service.name, exc_info=True
            )
        finally:
            self.lost(partitions)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These are somebody else's: drop everything about them."""
        self._assignment.remove(partitions)
        self._drop({tp.partition for tp in partitions})
        if self._frontier is not None:
            self._frontier.forget(partitions)

    def position(self, partition: TopicPartition) -> int:
        """How far an input is handled, for the frontier."""
        live = self.tasks.get(partition.partition)
        return live.inputs.position(partition) if live is not None else self.member.position(partition)

    # -- the parts of a step -------------------------------------------------------------------------------------------

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _receive(self, now: int, records: Sequence[Record]) -> None:
        for record in records:
            live = self.tasks.get(record.partition)
            if live is not None:
                live.inputs.feed(record, now)
            elif record.partition in self._openings:
                self._openings[record.partition].early.append((record, now))

    def _open_tasks(self) -> None:
        """Begin, continue and finish the opening of tasks that are complete."""
        self._seen_epoch = self._assignment.epoch
        for number, offsets in self._assignment.complete().items():
            if number not in self.tasks and number not in self._openings:
                self._openings[number] = Opening(self.plan, number, offsets, self._site, self._options)
                self.member.pause(offsets)
        for number, topics in self._assignment.incomplete().items():
            logger.info("task %s-%d waits: its %s is elsewhere", self.service.name, number, ", ".join(topics))
        for number, opening in list(self._openings.items()):
            if opening.step():
                del self._openings[number]
                self.tasks[number] = self._busy[number] = opening.finish(self._codec, self._needs, self.member)
                self.member.resume(opening.offsets)
        self.tasks = dict(sorted(self.tasks.items()))

    def _advance(self, now: int) -> bool:
        """Run the tasks; answers whether there is more to do at once. `_waiting` tells whether a task waits for the log."""
        frontier = self._frontier
        assert frontier is not None, "start comes first"  # a programming error of the caller
        self._waiting = False
        active = [live for live in self.tasks.values() if live.inputs.count or live.due <= now]
        if not active:
            return False
        if self._identity is None:
            self._identity = self.member.identity()
        wanted = [tp for live in active for tp in live.wanting(frontier, now)]
        if wanted:
            frontier.look(wanted, now)
        deadline = self._site.clock.now() + self._interval
        more = False
        for live in active:
            while live.run_slice(frontier, now, 1 if self._cautious else SLICE):
                if self._cautious or self._site.clock.now() >= deadline:
                    more = True
                    break
            if live.task.dirty:
                self._busy[live.task.partition] = live
            self._waiting = self._waiting or bool(live.inputs.count) or live.due <= now
            self._gate(live)
            if self._cautious and self._busy:
                return True
        return more

    def _gate(self, live: LiveTask) -> None:
        """Hold back the inputs of a task that takes nothing in; let them flow again when it does."""
        if live.closed == live.paused:
            return
        live.paused = live.closed
        if live.paused:
            why = live.task.halted or f"{live.task.parked:,} inputs are parked"
            logger.error("task %s-%d takes nothing more in: %s", self.service.name, live.task.partition, why)
            self.member.pause(live.inputs.partitions)
        else:
            self.member.resume(live.inputs.partitions)

    def _checkpoint_due(self, more: bool) -> bool:
        tasks = [live.task for live in self._busy.values()]
        since, size = sum(task.since for task in tasks), sum(task.entries.changed_bytes for task in tasks)
        return self._pace.due(self._site.clock.now(), since, size, more=more)

    def _next_due(self, now: int, more: bool) -> int:
        if more or self._openings:
            return now
        if self.member.identity() is None:
            return now + POLL_AGAIN
        due = min([live.due for live in self.tasks.values()], default=NEVER)
        if due <= now or self._waiting:
            due = now + POLL_AGAIN
        return min(due, self._pace.next_due())

    def _commit(self) -> None:
        """One checkpoint of all tasks that have something to say. A failed one is rewound and its inputs taken again."""
        tasks = list(self._busy.values())
        since = {live.task.partition: live.task.since for live in tasks if live.task.dirty}
        identity, self._identity = self._identity or self.member.identity(), None
        if not tasks or identity is None:
            return
        self._busy = {}
        self._pace.settled()
        assert self._writer is not None, "start comes first"  # a programming error of the caller
        try:
            self._checkpoint.commit(
                self._writer, self.member, identity, tasks, epoch=self._assignment.epoch, now=self._site.clock.now()
            )
        except FencedError as error:
            self._replace_writer(error)
            self._rewind(tasks)
        except TransactionAbortedError as error:
            logger.warning("checkpoint of %s was refused, its inputs are taken again: %s", self.service.name, error)
            self._rewind(tasks)
        except PublishError as error:
            self._find_culprit(tasks, since, error)
        else:
            self.checkpoints += 1
            self._fenced = 0
            self._cautious = max(self._cautious - 1, 0)

    def _replace_writer(self, error: FencedError) -> None:
        """A fenced writer is dead: an expired transaction, or another process with our id. Raises StartError for the latter."""
        self._fenced += 1
        if self._fenced > MAX_FENCED:
            raise StartError(
                f"worker {self._options.worker} of {self.service.name} is taken over by another process, again and again",
                why="it has the same instance id: a copy of the state directory, or the same --worker number twice",
                hint="stop one of them",
            ) from error
        logger.warning("the writer of %s was fenced, a new one takes over: %s", self.service.name, error)
        assert self._writer is not None, "start comes first"  # a programming error of the caller
        self._writer.close()
        self._writer = self._site.log.writer(self._instance)

    def _find_culprit(self, tasks: Sequence[LiveTask], since: Mapping[int, int], error: PublishError) -> None:
        """Something can't be published: go one input a checkpoint until it is known which, and make that a dead letter.

        `since` counts the inputs of each task in the checkpoint that failed.
        """
        self._rewind(tasks)
        if sum(since.values()) > 1:
            logger.warning("%s: a checkpoint can't be published, looking for the input: %s", self.service.name, error)
            self._cautious = sum(since.values())
            return
        logger.warning("%s: an input can't be published and goes to the dead letters: %s", self.service.name, error)
        for number in since:
            self.tasks[number].task.refuse_next(str(error))

    def _rewind(self, tasks: Iterable[LiveTask]) -> None:
        self.failed_checkpoints += 1
        assert self._frontier is not None, "start comes first"  # a programming error of the caller
        ours = self._assignment.complete()
        for live in tasks:
            offsets = live.rewind()
            if not live.announced:
                self._busy[live.task.partition] = live
            self._frontier.forget(offsets)
            if live.task.partition in ours:
                for tp, offset in offsets.items():
                    self.member.seek(tp, offset)

    def _drop(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            opening = self._openings.pop(number, None)
            if opening is not None:
                opening.close()
            live = self.tasks.pop(number, None)
            self._busy.pop(number, None)
            if live is not None:
                self._closed_handled += live.task.handled
                live.task.entries.backend.close()

    def _start_offsets(self, committed: Mapping[TopicPartition, int | None]) -> dict[TopicPartition, int]:
        log, start_from = self._site.log, self._options.start_from
        fresh = [tp for tp, offset in committed.items() if offset is None]
        at_time = log.offsets_at(fresh, start_from) if isinstance(start_from, int) and fresh else {}
        ends = log.ends(fresh) if fresh else {}
        return start_offsets(committed, log.starts(committed), ends, start_from, at_time)


def failure_text(error: Exception) -> str:
    """One error for a log line."""
    return str(error) if isinstance(error, ChoreoError) else f"{type(error).__name__}: {error}"
