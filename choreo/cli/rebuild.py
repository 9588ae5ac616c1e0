"""`choreo replay rebuild`: new stores from the log by the code at hand, in the place of a service's own."""

import hashlib
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import click

from choreo.cli.assembly import assemble, lacking_topics, settings_of, wanted_topics
from choreo.cli.desk import Ordered, ordered
from choreo.cli.faults import fault_point
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.stores import owned_places, place_of
from choreo.clock import SystemClock, to_datetime
from choreo.errors import ConfigError, StateInUseError
from choreo.events.codec import Codec
from choreo.record import NewRecord, TopicPartition
from choreo.replay.rebuilding import Origins, Rebuilding
from choreo.replay.replacing import Exchange, Replaced, Replacing, Story
from choreo.replay.standing import Standing
from choreo.resilience.operations import SPEC, OperationBegan, OperationEnded
from choreo.runtime.build import build_of
from choreo.runtime.plan import plan_of
from choreo.runtime.snapshots import forget_snapshots
from choreo.service.client import fresh_ids
from choreo.service.service import Service
from choreo.state.rocks import RocksBackends

COLUMNS = ["service", "task", "checkpoints", "entries", "put", "deleted", "outcome"]
SCRATCH = ".rebuild"
"""Below the state directory: what is rebuilt, until it is in place."""


@command("rebuild")
@click.argument("service", metavar="SERVICE")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option("--partition", type=click.IntRange(min=0), metavar="N", help="Only this task.")
@ordered
def rebuild(project: Project, service: str, targets: Sequence[str], partition: int | None, desk: Ordered) -> int:
    """Make the stores of SERVICE anew from the log, by the code at hand, and put them in place of its own.

    SERVICE is a name as `choreo services list` has it, among TARGETs (none = the whole project). While it is redone the
    service may run, and for a dry run all the time; then it must stand still. Interrupted, the same command goes on.
    Nothing is emitted again.
    """
    desk.expect_reason()
    found = _named(project, service, targets)
    topic = project.past.topics().get(f"{found.scope}.journal")
    if topic is None:
        raise ConfigError(f"{service} has never run on {project.log.url}", hint="choreo services list")
    if partition is not None and partition >= topic.partitions:
        raise ConfigError(f"{service} has no task {partition}", why=f"its tasks are 0 to {topic.partitions - 1}")
    tasks = range(topic.partitions) if partition is None else (partition,)
    place = project.config.state_dir() / SCRATCH / service
    origins = Origins(
        found, project.past, project.log, project.registry, _code(project, found), settings_of(project, found)
    )
    with closing(RocksBackends(place)) as scratch, closing(Rebuilding(origins, scratch, SystemClock())) as rebuilding:
        work = Work(project, found, rebuilding, scratch, tasks)
        work.redo()
        done = work.look() if desk.dry_run else work.replace(desk)
    if done:
        shutil.rmtree(place, ignore_errors=True)
    return 0


class Work:
    """One rebuild of one service."""

    def __init__(
        self,
        project: Project,
        service: Service,
        rebuilding: Rebuilding,
        scratch: RocksBackends,
        tasks: Sequence[int],
    ) -> None:
        self._project, self._service, self._rebuilding = project, service, rebuilding
        self._scratch, self._tasks = scratch, tasks

    def redo(self) -> None:
        """To the end of the journal as of now."""
        for task in self._tasks:
            with self._told(task) as told:
                self._rebuilding.redo(task, told)

    def look(self) -> bool:
        """Show what would change."""
        exchanges = self._exchanges()
        self._show(self._rows(exchanges, [each.counted() for each in exchanges]), "would be replaced")
        return False

    def replace(self, desk: Ordered) -> bool:
        """Put it in place, once the service stands still; answers whether that was done."""
        with ExitStack() as held:
            places = self._locked(held)
            self._prepare_topics()
            self.redo()
            exchanges = self._exchanges()
            counted = [each.counted() for each in exchanges]
            self._confirm(counted, desk)
            clock, session_s = SystemClock(), self._project.config.run.session_timeout_s
            instances = [f"{self._service.scope}.{one.instance_id()}.{number}" for number, one in places]
            standing = Standing(self._project.log, plan_of(self._service), instances[0], clock, session_s)
            held.callback(standing.close)
            # Making a writer fences whoever wrote under its id, should it only be asleep.
            writers = [held.enter_context(closing(self._project.log.writer(one))) for one in instances]
            if self._moved(exchanges):  # somebody was at work until it was held
                exchanges = self._exchanges()
            rows = self._rows(exchanges, [each.counted() for each in exchanges])
            who = f"{desk.who} ({desk.why})"
            reach = fault_point(os.environ)
            replacing = Replacing(f"{self._service.scope}.changelog", writers[0], standing, who, reach)

            def forget(partition: int) -> None:
                for _, backends in places:
                    store = backends.open(f"{self._service.name}-{partition}")
                    store.wipe()
                    store.close()
                    forget_snapshots(backends.snapshots(f"{self._service.name}-{partition}"))  # of what other code made

            replacing.replace(exchanges, forget, lambda found: self._story(desk, found))
            self._install(exchanges, places[0][1])
            reach("replace.installed")
            self._show(rows, "replaced")
        return True

    def _moved(self, exchanges: Sequence[Exchange]) -> bool:
        """Whether anything came to the changelogs since they were read."""
        places = [TopicPartition(f"{self._service.scope}.changelog", each.renewal.partition) for each in exchanges]
        ends = self._project.log.settled(places)
        return any(ends[place] != each.end for place, each in zip(places, exchanges, strict=True))

    def _exchanges(self) -> list[Exchange]:
        found = []
        for task in self._tasks:
            with self._told(task) as told:
                found.append(self._rebuilding.exchange(task, told))
        return found

    def _locked(self, held: ExitStack) -> list[tuple[int, RocksBackends]]:
        """The state directories of all workers of this machine, each with the number of the worker; the first is where
        `choreo run SERVICE` has its own.

        Raises StateInUseError where one of them is at work.
        """
        state_dir, name = self._project.config.state_dir(), self._service.name
        main = place_of(state_dir, name)
        found = []
        for place in dict.fromkeys([main, *owned_places(state_dir, name)]):
            try:
                number = place.name.rpartition("@")[2]
                backends = RocksBackends(place)
            except StateInUseError as error:
                raise StateInUseError(
                    f"service {name} must stand still while its stores are replaced",
                    at=place,
                    why=error.why,
                    hint="stop it, and give the same command again: what is rebuilt is kept",
                ) from error
            worker = int(number) if place != main and number.isdecimal() else 0
            found.append((worker, held.enter_context(closing(backends))))
        return found

    def _prepare_topics(self) -> None:
        """A changelog that is gone is made again; so is the topic that tells of operations."""
        log = self._project.log
        wanted = wanted_topics(self._project, [plan_of(self._service)], log.topics())
        log.create_topics([*lacking_topics(log, wanted), *lacking_topics(log, [SPEC])])

    def _install(self, exchanges: Sequence[Exchange], live: RocksBackends) -> None:
        """The rebuilt stores become those of the worker, at the end of their changelogs."""
        now, build = SystemClock().now(), build_of(self._service)
        for each in exchanges:
            place = TopicPartition(f"{self._service.scope}.changelog", each.renewal.partition)
            end = self._project.log.ends([place])[place]
            each.renewal.scratch.write(each.renewal.meta(self._project.log, end, now, build))
            live.take_over(f"{self._service.name}-{each.renewal.partition}", self._scratch)

    def _story(self, desk: Ordered, found: Sequence[Replaced]) -> Story:
        codec, now = Codec(self._project.registry, (), self._project.log.cluster_id()), SystemClock().now()
        operation, at = uuid.uuid4(), to_datetime(now)
        asked = {"tasks": ", ".join(str(one.partition) for one in found)}
        who, why, subjects = desk.who, desk.why, (self._service.name,)
        counts = {"put": sum(one.put for one in found), "deleted": sum(one.deleted for one in found)}
        began = OperationBegan(
            operation=operation, kind="rebuild", subjects=subjects, who=who, why=why, asked=asked, at=at
        )
        ended = OperationEnded(operation=operation, counts=counts, at=at)
        first: NewRecord = codec.encode(began, fresh_ids(now))
        return Story(first, codec.encode(ended, fresh_ids(now)))

    def _confirm(self, counted: Sequence[Replaced], desk: Ordered) -> None:
        """Let the person at the console decide. Raises ConfigError where there is none."""
        puts, deletes = sum(one.put for one in counted), sum(one.deleted for one in counted)
        waiting = sum(one.let_go for one in counted)
        lost = f", and {waiting:,} inputs that wait to let go without what follows from them" if waiting else ""
        desk.confirm(self._project, f"{puts:,} entries of {self._service.name} to put and {deletes:,} to delete{lost}")

    def _rows(self, exchanges: Sequence[Exchange], counted: Sequence[Replaced]) -> list[dict[str, Any]]:
        return [
            {
                "service": self._service.name,
                "task": one.partition,
                "checkpoints": each.renewal.checkpoint,
                "entries": sum(1 for _ in each.renewal.entries()),
                "put": one.put,
                "deleted": one.deleted,
                "let_go": one.let_go,
            }
            for each, one in zip(exchanges, counted, strict=True)
        ]

    def _show(self, rows: Sequence[dict[str, Any]], outcome: str) -> None:
        with self._project.progress.of("events that were emitted", "records") as told:
            found = self._rebuilding.emitted.others(self._project.past, told)
        self._project.output.listing([row | {"outcome": outcome} for row in rows], COLUMNS)
        if waiting := sum(row["let_go"] for row in rows):
            note(
                f"{waiting:,} inputs that wait behind a failure count as handled then, and what follows from them is "
                f"never emitted: let the service handle them first (choreo parked list)"
            )
        if found.others:
            was = "what was emitted stays as it is"
            note(f"{found.others:,} of {found.events:,} emitted events would be other ones today; {was}")
        if found.letters:
            note(f"{found.letters:,} inputs would be dead letters today: this code fails on what was handled")

    @contextmanager
    def _told(self, task: int) -> Iterator[Callable[[int, int], None]]:
        with self._project.progress.of(f"{self._service.name}, task {task}", "checkpoints") as told:
            yield told


def _named(project: Project, name: str, targets: Sequence[str]) -> Service:
    """The service of this name. Raises ConfigError."""
    services = {service.name: service for service in assemble(project, targets, project.past).services}
    if name not in services:
        hint = f"one of {', '.join(services)}" if services else "choreo services list"
        raise ConfigError(f"there is no service {name} here", hint=hint)
    return services[name]


def _code(project: Project, service: Service) -> str:
    """A digest of all code of the project that is loaded: a handler may call any of it."""
    digest = hashlib.sha256(build_of(service).encode())
    roots = {project.config.directory.resolve(), Path.cwd().resolve()}
    for name, module in sorted(sys.modules.items()):
        file = Path(str(getattr(module, "__file__", None) or ""))
        if (
            file.suffix == ".py"
            and "site-packages" not in file.parts
            and any(map(file.resolve().is_relative_to, roots))
        ):
            digest.update(name.encode() + file.read_bytes())
    return digest.hexdigest()
