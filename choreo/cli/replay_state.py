"""`choreo replay state`: what the stores of a service held at any point of its past, and what changed them."""

import heapq
import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import click

from choreo.cli.assembly import assemble
from choreo.cli.options import command
from choreo.cli.output import as_value, note
from choreo.cli.personal_keys import TIMER
from choreo.cli.points import partitions_of, point_of
from choreo.cli.project import Project
from choreo.cli.records import uuid_text
from choreo.cli.sandbox import sandbox_of
from choreo.cli.store_values import StoreValues, key_text
from choreo.clock import iso, to_datetime
from choreo.config.sections import did_you_mean
from choreo.errors import ConfigError
from choreo.log.interface import Log
from choreo.log.partitioner import partition_of
from choreo.replay.naming import entry_of
from choreo.replay.past import Past
from choreo.replay.points import Moment, Point
from choreo.replay.rebuild import Act
from choreo.replay.sandbox import Sandbox
from choreo.replay.scratch import Scratch
from choreo.runtime.build import build_of
from choreo.service.service import Service
from choreo.state.changelog import entries

NOW = Moment(1 << 62)
INNER = "~"
"""Begins the names of stores that are the runtime's own."""


class Wanted(NamedTuple):
    """Which entries are asked for: of a store, of a key (what they begin with), or all."""

    store: str | None
    key: str | None

    def takes(self, store: str, parts: tuple[object, ...]) -> bool:
        if store.startswith(INNER) and store != self.store:
            return False
        if self.store is not None and store != self.store:
            return False
        return self.key is None or self.key in [str(part) for part in (parts[0], parts[-1])]


@command("state")
@click.argument("service_name", metavar="SERVICE")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option("--at", metavar="POINT", help="A time, TOPIC[PARTITION]@OFFSET of an input, or an event's id.")
@click.option("--diff", nargs=2, metavar="POINT POINT", help="The entries that differ, with what changed each last.")
@click.option(
    "--step", is_flag=True, help="Every change on the way to that point, or from one to the other, one by one."
)
@click.option("--store", metavar="NAME", help="Only entries of this store.")
@click.option("--key", metavar="KEY", help="Only entries of this key.")
def show_state(project: Project, service_name: str, targets: Sequence[str], **asked: Any) -> int | None:
    """What the stores of SERVICE held at a point of its past (none = its last checkpoint).

    Read from the log and the nearest snapshot; nothing live is touched. TARGET says where the service's code is.
    """
    services = assemble(project, targets, project.past).services
    sandbox = sandbox_of(project, service_in(services, service_name, project.past), project.past)
    _check(sandbox, asked["store"], project.past.url)
    wanted = Wanted(asked["store"], asked["key"])
    texts = [asked["at"]] if asked["at"] else list(asked["diff"] or ())
    if asked["at"] and asked["diff"]:
        raise ConfigError("--at and --diff exclude each other", hint="--diff POINT POINT by itself")
    points = [point_of(project, sandbox, text) for text in texts] or [NOW]
    tasks = partitions_of(sandbox, points)
    if wanted.key is not None:
        home = partition_of(wanted.key.encode(), sandbox.partitions)
        tasks = [number for number in tasks if number == home] or tasks
    if asked["step"]:
        _steps(project, sandbox, tasks, points, wanted)
    elif asked["diff"]:
        _differences(project, sandbox, tasks, points, wanted)
    else:
        _entries(project, sandbox, tasks, points[0], wanted)
    return None


def service_in(services: Sequence[Service], name: str, log: Log) -> Service:
    """The service of this name, which has run on this log. Raises ConfigError."""
    known = {service.name: service for service in services}
    if name not in known:
        raise ConfigError(f"there is no service {name}", hint=did_you_mean(name, known))
    if f"{known[name].scope}.journal" not in log.topics():
        raise ConfigError(f"{name} has never run on {log.url}")
    return known[name]


def _check(sandbox: Sandbox, store: str | None, url: str) -> None:
    """Raises ConfigError for a store that the service does not keep."""
    stores = {one.name for signature in sandbox.service.signatures for one in signature.stores.values()}
    if store is not None and store not in stores and not store.startswith((INNER, TIMER)):
        raise ConfigError(f"{sandbox.service.name} keeps no store {store}", at=url, hint=did_you_mean(store, stores))


def _entries(project: Project, sandbox: Sandbox, tasks: Sequence[int], point: Point, wanted: Wanted) -> None:
    values = StoreValues(sandbox.service)
    pasts: list[Past] = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in tasks:
            with project.progress.of(f"{sandbox.service.name}, task {number}", "checkpoints") as told:
                pasts.append(Past(sandbox.telling(told), number))
                with pasts[-1].at(point) as backend:
                    for key, data in entries(backend):
                        store, parts = entry_of(key)
                        if wanted.takes(store, parts):
                            name, value = key_text(values.parts(store, parts)), values.plain(store, data)
                            yield {"store": store, "key": name, "value": value, "task": number}

    _sorted(project, rows(), ["store", "key", "value", "task"], empty="no entries then")
    tell_other_code(sandbox, pasts)


def _differences(
    project: Project, sandbox: Sandbox, tasks: Sequence[int], points: Sequence[Point], wanted: Wanted
) -> None:
    """What is not the same at two points, the earlier one on the left."""
    telling = Telling(sandbox)
    pasts: list[Past] = []

    def rows() -> Iterator[dict[str, Any]]:
        for number in tasks:
            with project.progress.of(f"{sandbox.service.name}, task {number}", "checkpoints") as told:
                pasts.append(Past(sandbox.telling(told), number))
                for key, before, after, act in pasts[-1].between(points[0], points[1]):
                    if wanted.takes(*entry_of(key)):
                        yield telling.change(number, act, key, before, after)

    columns = ["store", "key", "before", "after", "cause", "place", "at"]
    _sorted(project, rows(), columns, empty="no entry differs")
    tell_other_code(sandbox, pasts)


def _sorted(project: Project, rows: Iterator[dict[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """List them by store and key: there may be more than memory should hold."""
    with Scratch(project.config.state_dir()) as scratch:
        for row in rows:
            place = f"{row['store']}\0{row['key']}\0{row['task']}"
            scratch.put(place.encode("utf-8", "backslashreplace"), pickle.dumps(row))
        listed = (pickle.loads(packed) for _, packed in scratch.scan(b""))
        project.output.listing(listed, columns, empty=empty)


def _steps(project: Project, sandbox: Sandbox, tasks: Sequence[int], points: Sequence[Point], wanted: Wanted) -> None:
    """Every change to what is wanted, by time, each below what brought it about: up to a point, or between two."""
    telling = Telling(sandbox)
    found = 0
    for number, act in acts_by_time(project, sandbox, tasks, *reversed(points)):
        changed = [key for key in act.changes if wanted.takes(*entry_of(key))]
        rows = [telling.change(number, act, key, *act.changes[key]) for key in changed]
        for count, row in enumerate(rows):
            lines = [telling.head(act)] if not count else []
            lines += [f"    {row['store']} {row['key']}: {as_value(row['before'])} -> {as_value(row['after'])}"]
            lines += telling.emission_lines(act) if count == len(rows) - 1 else []
            project.output.thing(row, lines)
        found += len(rows)
    if not found:
        note("nothing changed until then" if len(points) == 1 else "nothing changed in between")


def acts_by_time(
    project: Project, sandbox: Sandbox, tasks: Sequence[int], point: Point, since: Point | None = None
) -> Iterator[tuple[int, Act]]:
    """Everything that these tasks did up to a point, or from behind `since` on, each with the number of its task."""
    pasts = {number: Past(sandbox, number) for number in tasks}
    total = sum(past.checkpoints(point) for past in pasts.values())
    every = [((act.now, number, act) for act in past.acts(point, since)) for number, past in pasts.items()]
    reached: dict[int, int] = {}
    with project.progress.of(sandbox.service.name, "checkpoints") as told:
        for _, number, act in heapq.merge(*every, key=lambda one: one[:2]):
            reached[number] = act.checkpoint
            told(min(sum(reached.values()), total), total)
            yield number, act
    tell_other_code(sandbox, pasts.values())


def tell_other_code(sandbox: Sandbox, pasts: Iterable[Past]) -> None:
    """A note where another build did it: what is shown need not be what stood there."""
    if set().union(*(past.builds for past in pasts)) - {build_of(sandbox.service)}:
        note("other code ran then: this is what the code at hand makes of the same inputs")


class Telling:
    """Rows and lines of what a task did."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._naming, self._values = sandbox.naming(), StoreValues(sandbox.service)

    def cause(self, act: Act) -> dict[str, Any]:
        """What an act acted upon, and when."""
        cause = self._naming.cause(act.cause)
        return {
            "at": iso(to_datetime(act.now), "microseconds"),
            "checkpoint": act.checkpoint,
            "cause": cause.name,
            "event_id": uuid_text(cause.event_id),
            "place": cause.place or None,
        }

    def change(self, task: int, act: Act, key: bytes, before: bytes | None, after: bytes | None) -> dict[str, Any]:
        """One entry that an act changed."""
        store, parts = entry_of(key)
        return self.cause(act) | {
            "task": task,
            "handlers": self._naming.blamed(act, store),
            "store": store,
            "key": key_text(self._values.parts(store, parts)),
            "before": self._values.plain(store, before),
            "after": self._values.plain(store, after),
            "emitted": self.emitted(act),
        }

    def head(self, act: Act) -> str:
        """What was acted upon, and when."""
        cause = self._naming.cause(act.cause)
        key = self._values.keys.cause(cause.place, cause.key)
        text = f"{iso(to_datetime(act.now), 'milliseconds')}  {cause.name} {key}"
        text += f"  {cause.place}" if cause.place else ""
        return text + (f"  {uuid_text(cause.event_id)}" if cause.event_id else "")

    def emitted(self, act: Act) -> list[str]:
        """The full names of the events that it emitted."""
        return [self._naming.event(record) for record in act.outputs]

    def emission_lines(self, act: Act) -> list[str]:
        return [f"    emits {name}" for name in self.emitted(act)]
