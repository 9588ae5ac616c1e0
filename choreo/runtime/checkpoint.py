"""The checkpoint: the one place where what handlers wrote down becomes true."""

from collections.abc import Sequence
from typing import NamedTuple

from choreo.log.interface import Identity, Member, Receipt, Transaction, Writer
from choreo.record import NewRecord, TopicPartition, of_fields
from choreo.runtime.journal import Page, last_page_entry
from choreo.runtime.live import LiveTask
from choreo.runtime.options import FaultPoint, RunOptions
from choreo.runtime.task import Portion
from choreo.state.changelog import changelog_records
from choreo.state.meta import TaskMeta, meta_entry


class Written(NamedTuple):
    """What a checkpoint wrote: events and dead letters, and records on the changelog."""

    outputs: int
    entries: int


class Checkpoint:
    """Commits the tasks of one worker, all together, in one short transaction."""

    def __init__(self, scope: str, options: RunOptions, reach: FaultPoint) -> None:
        self._changelog = f"{scope}.changelog"
        self._journal = f"{scope}.journal"
        self._options = options
        self._reach = reach

    def commit(
        self, writer: Writer, member: Member, identity: Identity, tasks: Sequence[LiveTask], *, epoch: int, now: int
    ) -> Written:
        """Make the tasks' portions visible, then true in their stores.

        1. the outputs, 2. one changelog record per dirty key, 3. one page of the journal per task,
        4. the offsets of every task that takes part, moved or not, under the identity under which the work was done;
        commit; 5. the stores. A crash between commit and 5 is mended from the changelog, before it nothing is visible.
        Raises TransactionAbortedError, FencedError or PublishError: then nothing of it was committed.
        """
        portions = [self._portion(live) for live in tasks]
        changelogs = [
            changelog_records(self._changelog, live.task.partition, portion.logged)
            for live, portion in zip(tasks, portions, strict=True)
        ]
        transaction = writer.begin()
        try:
            self._reach("checkpoint.begun")
            self._append(transaction, [record for portion in portions for record in portion.outputs])  # 1
            receipts = [self._append(transaction, records) for records in changelogs]  # 2
            self._append(transaction, self._pages(tasks, portions, epoch))  # 3
            self._reach("checkpoint.appended")
            offsets = [live.offsets() for live in tasks]
            everybodys: dict[TopicPartition, int] = {}
            for its in offsets:
                everybodys.update(its)
            transaction.send_offsets(member, identity, everybodys)  # 4
            self._reach("checkpoint.offsets_sent")
            transaction.commit()
        except Exception:
            transaction.abort()
            raise
        self._reach("checkpoint.committed")
        for live, portion, receipt, its in zip(tasks, portions, receipts, offsets, strict=True):  # 5
            self._store(live, portion, receipt, now)
            live.committed = its
        self._reach("checkpoint.stored")
        return Written(sum(len(p.outputs) for p in portions), sum(len(p.logged) for p in portions))

    def _portion(self, live: LiveTask) -> Portion:
        portion = live.task.portion()
        if portion.steps:
            portion.logged.update(last_page_entry(live.meta.checkpoint + 1))
        return portion

    def _append(self, transaction: Transaction, records: list[NewRecord]) -> Receipt | None:
        return transaction.append(records) if records else None

    def _pages(self, tasks: Sequence[LiveTask], portions: Sequence[Portion], epoch: int) -> list[NewRecord]:
        options = self._options
        found: list[NewRecord] = []
        for live, portion in zip(tasks, portions, strict=True):
            if portion.steps:
                number = live.meta.checkpoint + 1
                page = Page(options.build, options.specs, epoch, number, live.task.plan.topics, portion.steps)
                found += page.records(self._journal, live.task.partition)
        return found

    def _store(self, live: LiveTask, portion: Portion, receipt: Receipt | None, now: int) -> None:
        service, cluster, topic_id, partitions, offset, number, _, _, _ = live.meta
        if receipt is not None and receipt.offset is not None:
            offset = receipt.offset + 1
        number += 1 if portion.steps else 0
        its = (service, cluster, topic_id, partitions, offset, number, live.task.now, now, self._options.build)
        meta = of_fields(TaskMeta, its)
        key, value = meta_entry(meta)
        live.task.entries.backend.write({**portion.logged, **portion.local, key: value})
        live.meta = meta
        live.task.positions.clear()
        live.announced = True
