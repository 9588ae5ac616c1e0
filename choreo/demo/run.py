"""Drives the sample shop over rows: writes their script, runs all services and the saga, says what came of it.

In virtual time (on a log in this process) two years run in seconds, the same in every run. In wall time every answer
comes at once, since the dates of the rows are past.
"""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple, Self

from choreo.clock import Clock, SystemClock, VirtualClock, to_micros
from choreo.demo.follow import UNDONE, Follower
from choreo.demo.rows import Row
from choreo.demo.script import write_script
from choreo.demo.shop import Shop, load_shop
from choreo.demo.summary import Glimpse, Summary, Time, Watch, percentile
from choreo.errors import ConfigError, StartError
from choreo.events.codec import Codec
from choreo.events.event import Event
from choreo.events.registry import Registry
from choreo.log.interface import Log
from choreo.runtime.heap import rare_collections
from choreo.runtime.idle import Idleness
from choreo.runtime.loop import run_workers
from choreo.runtime.options import RunOptions, Site
from choreo.runtime.plan import plan_of
from choreo.runtime.topics import create_topics
from choreo.runtime.virtual import VirtualTime
from choreo.runtime.worker import Worker
from choreo.saga.coordinator import coordinator
from choreo.saga.lifecycle import lifecycle_event
from choreo.saga.spec import load_spec
from choreo.service.service import Service
from choreo.state.backend import Backends

AFTERWARDS = timedelta(days=1)
"""How long a run in virtual time goes on after the last date of its rows."""
QUIET_S = 30 * 86_400.0
"""In virtual time, how long a place in the inputs may stand uncommitted where nothing else changed: the end
commits it.
"""
GLIMPSE_US = 200_000
"""Wall time between two looks at a run."""


class Stage(NamedTuple):
    """Where a run takes place: the log, the schemas, the stores. The caller opened them and closes them."""

    log: Log
    registry: Registry
    backends: Backends
    partitions: int = 4


class Cast(NamedTuple):
    """Everybody who takes part: the services of the shop, last the coordinator of its saga."""

    shop: Shop
    services: tuple[Service, ...]
    lifecycle: type[Event]
    digest: str
    """Of the saga's spec."""


def cast_of(shop: Shop) -> Cast:
    """The services of the shop and the coordinator of its saga. Raises SpecError."""
    catalogue = {
        event.contract.full_name: event for service in shop.services for event in (*service.handled, *service.emitted)
    }
    spec = load_spec(shop.spec, catalogue)
    return Cast(shop, (*shop.services, coordinator(spec, catalogue)), lifecycle_event(spec.name), spec.digest)


def run_virtual(stage: Stage, rows: Sequence[Row], watch: Watch | None = None) -> Summary:
    """Run all rows to their end, in virtual time from the first purchase on. For logs in this process.

    Stores and log are left as they are at the end. Raises ConfigError where there are no rows, or the log holds the
    run of other ones.
    """
    wall = SystemClock()
    began = looked = wall.now()
    clock = VirtualClock(_first(rows))
    with _Run(
        stage,
        rows,
        clock,
        RunOptions(start_from="earliest", checkpoint_dry_s=0, inline_calls=True, checkpoint_quiet_s=QUIET_S),
    ) as run:

        def look(due: int) -> None:
            nonlocal looked
            if watch is not None and wall.now() - looked >= GLIMPSE_US:
                looked = wall.now()
                watch(run.glimpse(due))

        last = max(max(row.times) for row in rows) + AFTERWARDS
        with rare_collections():
            VirtualTime(clock, run.workers).run(to_micros(last), look)
        for worker in run.workers:
            worker.stop()
        return run.summary("virtual time", wall.now() - began)


def run_wall(stage: Stage, rows: Sequence[Row], watch: Watch | None = None) -> Summary:
    """Run all rows as far as they go, in wall time: a thread for each service, every answer at once.

    Ends when nothing is left to do. Raises what `run_virtual` raises.
    """
    clock = SystemClock()
    began = clock.now()
    _first(rows)
    idle, stopping = threading.Event(), threading.Event()
    with _Run(stage, rows, clock, RunOptions(start_from="earliest")) as run, ThreadPoolExecutor(1) as thread:
        running = thread.submit(run_workers, run.workers, clock, stopping.is_set)
        try:
            with Idleness(run.workers, stage.log, clock, idle):
                quiet_since = _watched(run, clock, lambda: idle.is_set() or running.done(), watch)
        finally:
            stopping.set()
        running.result()
        return run.summary("wall time", quiet_since - began)


def _first(rows: Sequence[Row]) -> int:
    """When the first order is placed, microseconds."""
    if not rows:
        raise ConfigError("there are no orders to run", hint="a directory with orders, or a count above zero")
    return to_micros(min(row.purchased_at for row in rows))


def _watched(run: "_Run", clock: Clock, over: Callable[[], bool], watch: Watch | None) -> int:
    """Show a run until it is over; answers when the last thing happened, microseconds."""
    handled, since = -1, clock.now()
    while not over():
        glimpse = run.glimpse(clock.now())
        if watch is not None:
            watch(glimpse)
        if glimpse.handled != handled:
            handled, since = glimpse.handled, glimpse.now
        time.sleep(GLIMPSE_US / 1_000_000)
    return since


class _Run:
    """Topics, script and started workers of one run; what they left undone is abandoned when an error ends it."""

    def __init__(self, stage: Stage, rows: Sequence[Row], clock: Clock, options: RunOptions) -> None:
        cast = cast_of(load_shop())
        log = stage.log
        plans = [plan_of(service) for service in cast.services]
        create_topics(log, plans, stage.partitions)
        write_script(log, stage.registry, cast.shop, rows, clock.now())
        site = Site(log, stage.registry, stage.backends, clock)
        options = replace(options, specs=(cast.digest,))
        self.workers = [Worker(service, site, options) for service in cast.services]
        self._rows = rows
        self._overdue, self._refused = cast.shop.overdue, cast.shop.refused
        classes = {event for plan in plans for event in plan.classes}
        codec = Codec(stage.registry, classes, log.cluster_id())
        self._follower = Follower(log, codec, cast.lifecycle, (self._overdue, self._refused))

    def __enter__(self) -> Self:
        try:
            for worker in self.workers:
                worker.start()
        except BaseException:
            self.__exit__(StartError, None, None)
            raise
        return self

    def __exit__(self, error: type[BaseException] | None, *rest: object) -> None:
        self._follower.close()
        if error is not None:
            for worker in self.workers:
                worker.abandon()

    @property
    def handled(self) -> int:
        return sum(worker.handled for worker in self.workers)

    def glimpse(self, now: int) -> Glimpse:
        self._follower.read()
        return Glimpse(len(self._rows), now, self.handled, self._follower.statuses)

    def summary(self, time: Time, wall_us: int) -> Summary:
        follower = self._follower
        follower.read_to_end()
        sagas = follower.sagas
        took = sorted(
            (saga.ended_at - saga.started_at) / 1_000_000 for saga in sagas.values() if saga.ended_at is not None
        )
        first = min((saga.started_at for saga in sagas.values()), default=follower.last_at)
        return Summary(
            orders=len(self._rows),
            statuses=dict(follower.statuses),
            compensations=sum(state == UNDONE for saga in sagas.values() for state in saga.steps.values()),
            overdue=follower.counts[self._overdue],
            refused=follower.counts[self._refused],
            handled=self.handled,
            wall_s=wall_us / 1_000_000,
            time=time,
            spanned_s=(follower.last_at - first) / 1_000_000,
            saga_p50_s=percentile(took, 0.5),
            saga_p99_s=percentile(took, 0.99),
            examples={saga.status: key for key, saga in sorted(sagas.items(), reverse=True)},
        )
