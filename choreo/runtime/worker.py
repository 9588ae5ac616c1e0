"""A worker: the tasks of one service that one member of its group has. A step machine; it never waits.

`poll` asks the log, `step` does everything else and answers when it wants to be called again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from choreo.clock import NEVER
from choreo.events.codec import Codec
from choreo.log.interface import Member, Membership
from choreo.record import Record, TopicPartition
from choreo.runtime.assignment import Assignment, start_offsets
from choreo.runtime.build import build_of
from choreo.runtime.calling import LoopOutside
from choreo.runtime.committer import Committer
from choreo.runtime.frontier import Frontier
from choreo.runtime.live import SLICE, LiveTask
from choreo.runtime.observer import (
    Assigned,
    HandOverFailed,
    IntakeClosed,
    IntakeOpened,
    Released,
    TaskWaits,
    WorkerEnded,
    WorkerStarted,
)
from choreo.runtime.opening import Opening
from choreo.runtime.options import FaultPoint, RunOptions, Site, no_faults
from choreo.runtime.outside import InlineOutside, Outside
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import check_topics
from choreo.service.needs import Needs
from choreo.service.service import Service

POLL_AGAIN = 1000
"""Microseconds until the log is asked again for what a task waits for."""


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
        outside: Outside | None = None,
    ) -> None:
        self.service = service
        self.plan = plan_of(service)
        self.tasks: dict[int, LiveTask] = {}
        self.turns = 0
        """Steps that have ended."""
        self.stepped_at = 0
        """When the last of them was (microseconds); 0 before the start."""
        self.ended = False
        self._closed_handled = 0
        self._site = site
        options = options or RunOptions()
        self._options = options if options.build else replace(options, build=build_of(service))
        self._interval = round(self._options.checkpoint_interval_s * 1_000_000)
        self._needs = Needs(service, settings)
        self._codec = Codec(site.registry, self.plan.classes, site.log.cluster_id(), topics=self.plan.sources)
        self._assignment = Assignment(self.plan.topics)
        self._seen_epoch = 0
        self._openings: dict[int, Opening] = {}
        self._committer = Committer(service.scope, site, self._options, reach, self._rewind)
        self._outside = outside or self._made_outside()
        self._failure: Exception | None = None
        self._joined = False
        self._waiting = False
        """Whether a task waits for what the log has yet to hand out."""
        self._plenty = False
        """Whether a batch or more lies at hand that can go on at once."""
        self._member: Member | None = None
        self._frontier: Frontier | None = None

    @property
    def handled(self) -> int:
        """Inputs handled since the start."""
        return self._closed_handled + sum(live.task.handled for live in self.tasks.values())

    @property
    def checkpoints(self) -> int:
        """Checkpoints made since the start."""
        return self._committer.done

    @property
    def ready(self) -> bool:
        """Whether it has tasks and all of them are open."""
        return bool(self.tasks) and not self._openings

    @property
    def restoring(self) -> dict[int, tuple[int, int]]:
        """Tasks that are being opened, and their changelog records (done, total)."""
        return {number: opening.progress for number, opening in self._openings.copy().items()}

    @property
    def incomplete(self) -> dict[int, list[str]]:
        """Tasks that can't open, and the topics whose partition somebody else has."""
        return self._assignment.incomplete()

    @property
    def settled(self) -> bool:
        """Whether it is a member of its group and every task that it can open is open."""
        joined = self._joined and not self.ended and self.member.identity() is not None
        return joined and self._assignment.complete().keys() <= self.tasks.keys()

    @property
    def refused(self) -> int:
        """Checkpoints that were refused since the start."""
        return self._committer.refused

    @property
    def member(self) -> Member:
        assert self._member is not None, "start comes first"  # a programming error of the caller
        return self._member

    def start(self) -> None:
        """Open what the handlers need and join the group. Raises where the service can't run on this log."""
        check_topics(self.plan, self._site.log)
        instance = f"{self.service.scope}.{self._site.backends.instance_id()}.{self._options.worker}"
        self._committer.open(instance)
        membership = Membership(self.service.scope, self.plan.topics, instance, self._options.session_timeout_s)
        self._member = self._site.log.join(membership, self)
        self._frontier = Frontier(self._site.log, self)
        self.stepped_at = self._site.clock.now()
        self._site.observer.saw(WorkerStarted(self.service.name, self.stepped_at))

    def poll(self, timeout_s: float = 0.0) -> list[Record]:
        """Records for the next step; waits at most `timeout_s` for the first. Assignments change in here."""
        # A slow handler would else draw a whole backlog into memory; one record keeps the membership alive.
        records = self.member.poll(timeout_s, 1 if self._plenty else self._options.batch_records)
        self._committer.polled(self.member.identity())
        return records

    def step(self, now: int, records: Sequence[Record] = ()) -> int:
        """Do all that can be done at `now` (microseconds); answers when to step again at the latest, NEVER if only
        for input.
        """
        self._raise_failure()
        if self._openings or self._assignment.epoch != self._seen_epoch:
            self._open_tasks()
        self._receive(records)
        heard = self._hear(now)
        more = self._advance(now) or heard
        self._plenty = more and sum(live.inputs.count for live in self.tasks.values()) >= self._options.batch_records
        if self._committer.due(more=more):
            self._commit()
        self.turns += 1
        self.stepped_at = self._site.clock.now()
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
        self._committer.close()
        self._outside.close()
        self._needs.close()
        if self.stepped_at and not self.ended:
            self._site.observer.saw(WorkerEnded(self.service.name, self._site.clock.now()))
        self.ended = True

    # -- what the log tells, inside poll -------------------------------------------------------------------------------

    def assigned(self, committed: Mapping[TopicPartition, int | None]) -> Mapping[TopicPartition, int]:
        """These partitions are ours; answers where to read each from."""
        try:
            offsets = self._start_offsets(committed)
            self._assignment.add(offsets)
            self._joined = True
            self._site.observer.saw(Assigned(self.service.name, tuple(offsets), self._site.clock.now()))
            return offsets
        except Exception as error:  # a callback must not raise: the next step does
            self._failure = error
            return {tp: offset or 0 for tp, offset in committed.items()}

    def revoked(self, partitions: Sequence[TopicPartition]) -> None:
        """These go to somebody else after this: commit what is done, then let go."""
        try:
            self._commit()
        except Exception as error:  # a callback must not raise; what was not committed is taken again by the next owner
            self._site.observer.saw(HandOverFailed(self.service.name, error, self._site.clock.now()))
        finally:
            self._let_go(partitions, lost=False)

    def lost(self, partitions: Sequence[TopicPartition]) -> None:
        """These are somebody else's: drop everything about them."""
        self._let_go(partitions, lost=True)

    def _let_go(self, partitions: Sequence[TopicPartition], *, lost: bool) -> None:
        self._site.observer.saw(Released(self.service.name, tuple(partitions), lost, self._site.clock.now()))
        self._joined = False
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

    def _receive(self, records: Sequence[Record]) -> None:
        assert self._frontier is not None, "start comes first"  # a programming error of the caller
        self._frontier.polls = poll = self.turns + 1
        tasks = self.tasks
        for record in records:
            live = tasks.get(record[1])
            if live is not None:
                live.inputs.feed(record, poll)
            elif record.partition in self._openings:
                self._openings[record.partition].early.append((record, poll))

    def _open_tasks(self) -> None:
        """Begin, continue and finish the opening of tasks that are complete."""
        news, self._seen_epoch = self._assignment.epoch != self._seen_epoch, self._assignment.epoch
        for number, offsets in self._assignment.complete().items():
            if number not in self.tasks and number not in self._openings:
                self._openings[number] = Opening(self.plan, number, offsets, self._site, self._options)
                self.member.pause(offsets)
        for number, topics in self._assignment.incomplete().items() if news else ():
            waits = TaskWaits(self.service.name, number, tuple(topics), self._site.clock.now())
            self._site.observer.saw(waits)
        for number, opening in list(self._openings.items()):
            if opening.step():
                live = opening.finish(self._codec, self._needs, self.member)
                del self._openings[number]
                live.task.at_once = self._outside.at_once
                self._committer.snapshots.build_began(live, self._options.build)
                self.tasks[number] = self._committer.busy[number] = live
                self.member.resume(opening.offsets)
        self.tasks = dict(sorted(self.tasks.items()))

    def _made_outside(self) -> Outside:
        if self._options.inline_calls:
            return InlineOutside(self._site.clock)
        return LoopOutside(self._site.clock, self._options.call_threads)

    def _hear(self, now: int) -> bool:
        """Let flights go on whose calls have ended, a slice of them, so that others take off soon in their stead;
        answers whether there may be more.
        """
        replies = self._outside.replies(SLICE)
        if not replies:
            return False
        heard: dict[int, LiveTask] = {}
        for partition, question, recorded in replies:
            live = self.tasks.get(partition)
            if live is None or live.task.flights.get(question.key) is not question.flight:
                continue  # it was begun anew, or is somebody else's by now
            if partition not in heard:
                heard[partition] = live
                self._committer.work_under(self.member.identity())
                live.task.read_clock(now)
            live.task.answer(question.key, recorded)
        for partition, live in heard.items():
            live.due = 0
            self._committer.busy[partition] = live
            self._ask(live)
        return len(replies) == SLICE

    def _ask(self, live: LiveTask) -> None:
        for question in live.task.questions():
            self._outside.ask(live.task.partition, question)

    def _advance(self, now: int) -> bool:
        """Run the tasks; answers whether there is more to do at once. `_waiting` tells whether a task waits for
        the log.
        """
        frontier = self._frontier
        assert frontier is not None, "start comes first"  # a programming error of the caller
        self._waiting = False
        active = [live for live in self.tasks.values() if live.inputs.count or live.due <= now]
        if not active:
            return False
        self._committer.work_under(self.member.identity())
        wanted = [tp for live in active for tp in live.wanting(frontier, now)]
        if wanted:
            frontier.look(wanted, now)
        deadline = self._site.clock.now() + self._interval
        more = False
        for live in active:
            while live.run_slice(frontier, now, 1 if self._committer.cautious else SLICE):
                self._ask(live)
                if self._committer.cautious or self._site.clock.now() >= deadline:
                    more = True
                    break
            self._ask(live)
            if live.task.dirty:
                self._committer.busy[live.task.partition] = live
            self._waiting = self._waiting or bool(live.inputs.count) or live.due <= now
            self._gate(live)
            if self._committer.cautious and self._committer.busy:
                return True
        return more

    def _gate(self, live: LiveTask) -> None:
        """Hold back inputs of a task that takes nothing in, or has enough; let them flow again when it takes more."""
        closed = live.closed
        if closed != live.alarmed:
            live.alarmed = closed
            name, number, now = self.service.name, live.task.partition, self._site.clock.now()
            if closed:
                why = live.task.halted or f"{live.task.parked:,} inputs are parked"
                self._site.observer.saw(IntakeClosed(name, number, why, now))
            else:
                self._site.observer.saw(IntakeOpened(name, number, now))
        held = live.to_hold()
        if held == live.held:
            return
        fewer, more = live.held - held, held - live.held
        live.held = held
        if more:
            self.member.pause(more)
        if fewer:
            self.member.resume(fewer)

    def _next_due(self, now: int, more: bool) -> int:
        if more or self._openings:
            return now
        if self.member.identity() is None:
            return now + POLL_AGAIN
        due, flying = NEVER, False
        for live in self.tasks.values():
            due = min(due, live.due)
            flying = flying or bool(live.task.flights)
        if due <= now or self._waiting:
            due = now + POLL_AGAIN
        if flying:
            due = min(due, self._outside.next_due(now))
        return min(due, self._committer.next_due())

    def _commit(self) -> None:
        self._committer.commit(self.member, self._assignment.epoch)

    def _rewind(self, tasks: Sequence[LiveTask]) -> None:
        assert self._frontier is not None, "start comes first"  # a programming error of the caller
        ours = self._assignment.complete()
        for live in tasks:
            offsets = live.rewind()
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
            self._committer.busy.pop(number, None)
            if live is not None:
                self._closed_handled += live.task.handled
                live.task.close()
                live.task.entries.backend.close()

    def _start_offsets(self, committed: Mapping[TopicPartition, int | None]) -> dict[TopicPartition, int]:
        log, start_from = self._site.log, self._options.start_from
        fresh = [tp for tp, offset in committed.items() if offset is None]
        at_time = log.offsets_at(fresh, start_from) if isinstance(start_from, int) and fresh else {}
        ends = log.ends(fresh) if fresh else {}
        return start_offsets(committed, log.starts(committed), ends, start_from, at_time)
