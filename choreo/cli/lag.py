"""`choreo services lag`: how far behind each task is and how old its last checkpoint, from the log alone."""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

import click

from choreo.cli.assembly import assemble
from choreo.cli.options import command
from choreo.cli.output import Row
from choreo.cli.project import Project
from choreo.clock import SystemClock
from choreo.log.interface import Log, Topic
from choreo.log.up_to import read_up_to
from choreo.record import Record, TopicPartition
from choreo.runtime.plan import Plan

LOOK_BACK = 100
"""Offsets from the end of a journal in which its last record is looked for: markers and aborted ones lie there too."""
COLUMNS = ["service", "task", "lag", "oldest_s", "checkpoint_age_s"]


@command("lag")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def show_lag(project: Project, targets: Sequence[str]) -> None:
    """How far each task of these services is behind, and since when; touches no running process.

    LAG counts offsets from the first event that no checkpoint has; OLDEST S is how long ago that was written,
    CHECKPOINT AGE S how long ago the last checkpoint with work in it was made.
    """
    found, known = assemble(project, targets), project.log.topics()
    rows: list[Row] = []
    for plan in found.plans():
        if all(topic in known for topic in plan.topics):
            rows += lag_of(project.log, plan, known)
        else:
            missing = ", ".join(topic for topic in plan.topics if topic not in known)
            rows.append({"service": plan.service.name, "missing": missing})
    project.output.listing(rows, COLUMNS, empty="no services")


class _Input(NamedTuple):
    """One input of a task. `lag` in offsets."""

    topic: str
    partition: int
    committed: int | None
    end: int
    lag: int
    oldest_s: float | None


def lag_of(log: Log, plan: Plan, known: Mapping[str, Topic]) -> Iterator[dict[str, Any]]:
    """Each task of a service: `lag` in offsets, how old the oldest of them and the last checkpoint are (seconds)."""
    count, journal = known[plan.topics[0]].partitions, f"{plan.service.scope}.journal"
    partitions = [TopicPartition(topic, number) for topic in plan.topics for number in range(count)]
    pages = [TopicPartition(journal, number) for number in range(count)] if journal in known else []
    committed = log.committed(plan.service.scope, partitions)
    starts, ends = log.starts([*partitions, *pages]), log.ends([*partitions, *pages])
    now_ms = SystemClock().now() // 1000
    for number in range(count):
        inputs = []
        for topic in plan.topics:
            tp = TopicPartition(topic, number)
            first = _first(log, tp, max(committed[tp] or 0, starts[tp]), ends[tp])
            lag = 0 if first is None else ends[tp] - first.offset
            inputs.append(_Input(topic, number, committed[tp], ends[tp], lag, _age_s(first, now_ms)))
        last = _last(log, pages[number], starts[pages[number]], ends[pages[number]]) if pages else None
        yield {
            "service": plan.service.name,
            "task": number,
            "lag": sum(each.lag for each in inputs),
            "oldest_s": max((each.oldest_s for each in inputs if each.oldest_s is not None), default=None),
            "checkpoint_age_s": _age_s(last, now_ms),
            "inputs": [each._asdict() for each in inputs],
        }


def _first(log: Log, tp: TopicPartition, start: int, end: int) -> Record | None:
    """The first record from `start` on; None where only markers and aborted ones lie there."""
    return next(_records(log, tp, start, end, 1), None)


def _last(log: Log, tp: TopicPartition, start: int, end: int) -> Record | None:
    """The last record of a journal, None where there is none."""
    return max(_records(log, tp, max(start, end - LOOK_BACK), end, LOOK_BACK), key=attrgetter("offset"), default=None)


def _records(log: Log, tp: TopicPartition, start: int, end: int, limit: int) -> Iterator[Record]:
    for records, _ in read_up_to(log, {tp: start}, {tp: end}, limit):
        yield from records


def _age_s(record: Record | None, now_ms: int) -> float | None:
    return None if record is None else max(now_ms - record.timestamp_ms, 0) / 1000
