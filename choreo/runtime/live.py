"""A task at work: with its inputs, its backend and what it has committed."""

from dataclasses import dataclass

from choreo.clock import NEVER
from choreo.record import TopicPartition
from choreo.runtime.frontier import Frontier
from choreo.runtime.inputs import Inputs
from choreo.runtime.options import RunOptions
from choreo.runtime.task import Task
from choreo.state.meta import TaskMeta

SLICE = 64
"""Inputs between two looks at the time."""
NONE: frozenset[TopicPartition] = frozenset()


@dataclass(slots=True)
class LiveTask:
    """One task of a worker, from its assignment to its revocation."""

    task: Task
    inputs: Inputs
    meta: TaskMeta
    committed: dict[TopicPartition, int]
    """The next offset of each input, as the group has it once the last checkpoint stands."""
    news: dict[bytes, bytes]
    """Entries that its first checkpoint writes: what is new of the shapes of its stores."""
    announced: bool = False
    """Whether the group knows these offsets: an input without one would look like a first start."""
    most_at_hand: int = RunOptions.at_hand_records
    held: frozenset[TopicPartition] = NONE
    """Inputs that the log keeps for now."""
    sated: bool = False
    """Whether so much is at hand that the log should keep the rest: calls, or a cause far behind, may be slower than
    reading.
    """
    alarmed: bool = False
    """Whether an operator was told that it takes nothing more in."""
    due: int = 0
    """When it has something to do without input (microseconds)."""

    @property
    def closed(self) -> bool:
        """Whether nothing may come in: it was stopped by a policy, or too much is parked."""
        return self.task.halted is not None or self.task.full

    def to_hold(self) -> frozenset[TopicPartition]:
        """Inputs that the log should keep from now on. Never one of which nothing is at hand, but where the task takes
        nothing in: what it holds may have to go before all that is at hand.
        """
        inputs, most = self.inputs, self.most_at_hand
        self.sated = inputs.count >= (most // 5 if self.sated else most)
        if self.closed:
            return frozenset(inputs.partitions)
        if not self.sated:
            return NONE
        return frozenset([tp for tp, left in inputs.at_hand() if left >= (1 if tp in self.held else most // 20 or 1)])

    def tell_news(self) -> None:
        """Put what is new since it was opened before its next checkpoint."""
        for key, data in self.news.items():
            self.task.entries.put(key, data)

    def offsets(self) -> dict[TopicPartition, int]:
        """What a checkpoint commits: every input, moved or not."""
        return self.committed | self.task.offsets

    def wanting(self, frontier: Frontier, now: int) -> list[TopicPartition]:
        """Inputs whose ends must be known before this task can go on."""
        if self.closed:
            return []
        if self.inputs.unsure(frontier):
            return sorted(self.inputs.partitions)
        due = self.task.entries.timers.next_due()
        return sorted(frontier.behind(self.inputs.partitions, due)) if due <= now else []

    def run_slice(self, frontier: Frontier, now: int, limit: int = SLICE) -> bool:
        """Take up to `limit` inputs, then timers. Answers whether it stopped only because the slice was full."""
        self.task.read_clock(now)
        more = self._take(frontier, now, limit) or self._fire(frontier, now, limit)
        self.due = NEVER if self.task.halted is not None else self.task.next_due()
        return more

    def _take(self, frontier: Frontier, now: int, limit: int) -> bool:
        task, inputs = self.task, self.inputs
        for _ in range(limit):
            if not inputs.count or (not task.at_rest and (self.closed or task.crowded)):
                return False
            lacking = inputs.unsure(frontier)
            if lacking:
                frontier.look(lacking, now)
                if inputs.unsure(frontier):
                    return False
            task.take(inputs.pop())
        return True

    def _fire(self, frontier: Frontier, now: int, limit: int) -> bool:
        """Retries that are due, then timers whose time the frontier has passed."""
        task, timers = self.task, self.task.entries.timers
        for _ in range(limit):
            if task.halted is not None or task.crowded:
                return False
            retry = task.due_retry(now)
            if retry is not None:
                task.fire(*retry)
                continue
            due = timers.next_due()
            if due > now or frontier.behind(self.inputs.partitions, due):
                return False
            popped = timers.pop(now)
            if popped is not None:
                task.fire(popped[1], popped[0])
        return True

    def rewind(self) -> dict[TopicPartition, int]:
        """Forget everything since the last checkpoint; answers from where to read again."""
        self.task.reset()
        if not self.announced:
            self.tell_news()
        self.inputs.clear()
        self.due = 0
        return dict(self.committed)
