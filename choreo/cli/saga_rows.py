"""Instances as their lifecycle topics tell: the last event of a key is how it stands, all of them are its history."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.records import Bodies, one_of, read_to_end
from choreo.cli.saga_view import SagaView
from choreo.errors import ChoreoError, ConfigError, DecodeError
from choreo.log.interface import Log
from choreo.log.partitioner import partition_of
from choreo.log.up_to import read_up_to
from choreo.record import Record, TopicPartition
from choreo.saga.explain import as_it_stands
from choreo.saga.instance import Instance

PREFIX, SUFFIX = "choreo.saga.", ".lifecycle"
CLOCKS_APART_MS = 60_000
"""So far the clock of a coordinator may go before that of the log."""
UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


class Name(NamedTuple):
    """What an instance is: the saga's name and its key."""

    saga: str
    key: str


def instances(project: Project, sagas: Iterable[str]) -> list[dict[str, Any]]:
    """How every instance stands, by saga and key."""
    told: dict[tuple[str, bytes | None], list[Record]] = {}
    with project.progress.of("sagas", "records") as reached:
        for record in read_to_end(project.past, lifecycle_topics(project, sagas), reached):
            told.setdefault((record.topic, record.key), []).append(record)
    reading = _Reading(project)
    rows = [row for records in told.values() if (row := next(reading.rows(reversed(records)), None)) is not None]
    reading.close(rows)
    return sorted(rows, key=lambda row: (row["saga"], row["key"]))


def one_instance(project: Project, instance_id: str, saga: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How one instance stands, and all that happened to it. Raises ConfigError where the id is none or ambiguous.

    A whole key is found by the coordinators' stores; the beginning of one, and what they have forgotten, by all that
    the lifecycle topics tell.
    """
    topics = lifecycle_topics(project, [saga] if saga else [])
    found = _of_key(project, topics, instance_id) or _beginning_with(project, topics, instance_id)
    key = one_of({name.key for name in found}, instance_id, "sagas", "choreo sagas list")
    owners = sorted({name.saga for name in found if name.key == key})
    if len(owners) > 1:
        raise ConfigError(f"{key} is a key of {len(owners)} sagas", why=", ".join(owners), hint=f"--saga {owners[0]}")
    reading = _Reading(project)
    history = list(reading.rows(found[Name(owners[0], key)]))
    reading.close(history)
    return history[-1], [{name: past[name] for name in ("at", "status", "change", "steps")} for past in history]


def _of_key(project: Project, topics: Iterable[str], key: str) -> dict[Name, list[Record]]:
    """What is told of the instances with this key that the stores have."""
    found: dict[Name, list[Record]] = {}
    for topic in topics:
        with SagaView(project, saga_of(topic)) as seen:
            instance = seen.instance(key)
        if instance is not None and (told := _told_since(project.past, topic, instance)):
            found[Name(instance.saga, key)] = told
    return found


def _told_since(log: Log, topic: str, instance: Instance) -> list[Record]:
    """The lifecycle events of one instance: they lie in one partition, from about its start on."""
    place = TopicPartition(topic, partition_of(instance.key.encode(), log.topics()[topic].partitions))
    start = log.offsets_at([place], instance.started_at // 1000 - CLOCKS_APART_MS)
    return [
        record
        for records, _ in read_up_to(log, start, log.ends([place]))
        for record in records
        if record.key == instance.key.encode()
    ]


def _beginning_with(project: Project, topics: Iterable[str], start: str) -> dict[Name, list[Record]]:
    """What is told of every instance; the records of those only whose key begins like this."""
    found: dict[Name, list[Record]] = {}
    with project.progress.of("sagas", "records") as reached:
        for record in read_to_end(project.past, topics, reached):
            key = (record.key or b"").decode("utf-8", "backslashreplace")
            told = found.setdefault(Name(saga_of(record.topic), key), [])
            if key.startswith(start):
                told.append(record)
    return found


def lifecycle_topic(saga: str) -> str:
    return f"{PREFIX}{saga}{SUFFIX}"


def saga_of(topic: str) -> str:
    """The saga whose lifecycle events lie on a topic."""
    return topic.removeprefix(PREFIX).removesuffix(SUFFIX)


def sagas_on(log: Log) -> list[str]:
    """The sagas that have lifecycle events on a log."""
    return [saga_of(name) for name in log.topics() if name.startswith(PREFIX) and name.endswith(SUFFIX)]


def lifecycle_topics(project: Project, sagas: Iterable[str]) -> list[str]:
    chosen, every = list(sagas), sagas_on(project.past)
    for saga in chosen:
        if saga not in every:
            known = ", ".join(every) or "none"
            raise ConfigError(f"there is no saga {saga} on the log", at=project.past.url, hint=f"known: {known}")
    return [lifecycle_topic(saga) for saga in chosen] or sorted(map(lifecycle_topic, every))


class _Reading:
    """Lifecycle events as listings show them. Whatever else lies on their topics is left out, and said so."""

    def __init__(self, project: Project) -> None:
        self._bodies = Bodies(project.registry)
        self._strange: list[ChoreoError] = []

    def rows(self, records: Iterable[Record]) -> Iterator[dict[str, Any]]:
        """Who, how, what for; then the rest."""
        for record in records:
            try:
                body = self._bodies.read(record)
                first = {name: body[name] for name in ("saga", "key", "status", "waits_for")}
                told = body | {"steps": as_it_stands(body["status"], body["steps"])}
            except KeyError:
                self._strange.append(DecodeError("this record is no lifecycle event", at=record.position))
            except ChoreoError as error:
                self._strange.append(error)
            else:
                yield first | {name: value for name, value in told.items() if name not in first}

    def close(self, found: Sequence[object]) -> None:
        """Say what was left out. Raises it where nothing else was found: then it is not the records that are wrong."""
        if self._strange and not found:
            raise self._strange[0]
        if self._strange:
            note(f"left out {len(self._strange)} records that are no lifecycle events: {self._strange[0].message}")


def short_names(events: Iterable[str]) -> list[str]:
    """Event names without their namespaces."""
    return [event.rpartition(".")[2] for event in events]


def moment_text(moment: datetime) -> str:
    """A moment in UTC, to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S}Z"


def span_text(seconds: int) -> str:
    """How long something takes, by its two largest units: `2 h 10 min`."""
    parts: list[str] = []
    for size, unit in UNITS:
        if seconds >= size and len(parts) < 2:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts) or "0 s"
