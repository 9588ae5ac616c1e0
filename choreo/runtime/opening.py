"""Opening a task: its backend, wiped where it can't be trusted, restored from its changelog, in steps."""

from collections.abc import Mapping

from choreo.errors import StartError
from choreo.events.codec import Codec
from choreo.log.up_to import read_up_to
from choreo.record import Record, TopicPartition
from choreo.runtime.entries import Entries
from choreo.runtime.frontier import Positions
from choreo.runtime.inputs import Inputs
from choreo.runtime.journal import last_page
from choreo.runtime.live import LiveTask
from choreo.runtime.observer import Restored, Restoring, StoreWiped
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import Plan
from choreo.runtime.shapes import news_of, refuse_unfinished
from choreo.runtime.snapshots import forget_snapshots
from choreo.runtime.task import Task
from choreo.service.needs import Needs
from choreo.state.meta import facts_of, fresh_meta, read_meta, wipe_reason
from choreo.state.restore import Restore

RESTORE_STEP = 20_000
"""Changelog records applied between two polls."""
TELL_EVERY = 1_000_000
"""Microseconds between two lines about a restore."""


class Opening:
    """One task between its assignment and its first input."""

    def __init__(
        self, plan: Plan, partition: int, offsets: Mapping[TopicPartition, int], site: Site, options: RunOptions
    ):
        self.partition = partition
        self.offsets = dict(offsets)
        self.early: list[tuple[Record, int]] = []
        """Records that were polled before the task was ready."""
        self._plan = plan
        self._observer = site.observer
        self._backend = site.backends.open(f"{plan.service.name}-{partition}")
        changelog = TopicPartition(f"{plan.service.scope}.changelog", partition)
        topic = site.log.topics()[changelog.topic]
        now = site.clock.now()
        facts = facts_of(site.log, plan.service.name, topic, partition, now, options.tombstones_kept_s)
        meta = read_meta(self._backend)
        reason = wipe_reason(meta, facts) if meta is not None else None
        if reason is not None:
            self._observer.saw(StoreWiped(plan.service.name, partition, reason, now))
            self._backend.wipe()
            forget_snapshots(site.backends.snapshots(f"{plan.service.name}-{partition}"))
            meta = None
        try:
            news_of(plan.service, partition, self._backend)  # a store that is refused need not be brought up to date
        except Exception:
            self._backend.close()
            raise
        self._fresh = fresh_meta(facts, options.build)
        self._clock, self._log = site.clock, site.log
        self._specs, self._most_at_hand = options.specs, options.at_hand_records
        self._began_at = now
        self._told_at = 0
        self._restore = Restore(site.log, self._backend, changelog, meta or self._fresh)

    def step(self) -> bool:
        """Restore a little more; True when it is done."""
        done = self._restore.step(RESTORE_STEP)
        read, total = self._restore.progress
        name, now = self._plan.service.name, self._clock.now()
        if done:
            self._observer.saw(Restored(name, self.partition, total, now - self._began_at, now))
        elif total and now - self._told_at >= TELL_EVERY:
            self._told_at = now
            self._observer.saw(Restoring(name, self.partition, read, total, now))
        return done

    @property
    def progress(self) -> tuple[int, int]:
        """Changelog records (done, total)."""
        return self._restore.progress

    def finish(self, codec: Codec, needs: Needs, polled: Positions) -> LiveTask:
        """The task, ready for input. Raises StartError where its stores hold what this code can't read, and where they
        are empty while its journal is not.
        """
        refuse_unfinished(self._plan.service.name, self.partition, self._backend)
        if not last_page(self._backend):
            self._refuse_lost()
        news = news_of(self._plan.service, self.partition, self._backend)
        task = Task(self._plan, self.partition, Entries(self._backend), codec, needs)
        task.observe(self._observer)
        meta = read_meta(self._backend) or self._fresh
        # A store that was restored has the entries of its last checkpoint, not its own note of that checkpoint's
        # number.
        meta = meta._replace(checkpoint=max(meta.checkpoint, last_page(self._backend)))
        task.read_clock(meta.last_now)
        task.specs = self._specs
        inputs = Inputs(sorted(self.offsets), codec, polled, task.answers)
        for record, poll in self.early:
            inputs.feed(record, poll)
        live = LiveTask(task, inputs, meta, dict(self.offsets), news, most_at_hand=self._most_at_hand)
        live.tell_news()
        return live

    def _refuse_lost(self) -> None:
        """Raises StartError where the journal has pages: what they led to was lost, with its changelog."""
        name = self._plan.service.name
        place = TopicPartition(f"{self._plan.service.scope}.journal", self.partition)
        starts, ends = self._log.starts([place]), self._log.settled([place])
        for records, _ in read_up_to(self._log, starts, ends, limit=1):
            if records:
                raise StartError(
                    f"the stores of service {name} are lost: its journal tells of checkpoints, its changelog of none",
                    at=f"task {self.partition}",
                    why="it would go on as if nothing had happened so far",
                    hint=f"make them anew from the log: choreo replay rebuild {name}",
                )

    def close(self) -> None:
        self._restore.close()
        self._backend.close()
