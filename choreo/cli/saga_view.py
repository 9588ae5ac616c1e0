"""What the coordinators' stores hold as of now, read beside whoever runs them, and the row of a listing made of it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from choreo.cli.project import Project
from choreo.cli.stores import place_of
from choreo.clock import SystemClock, to_datetime
from choreo.errors import StateError
from choreo.record import TopicPartition
from choreo.runtime.options import RunOptions
from choreo.saga.coordinator import Coordinator
from choreo.saga.explain import explain, reason, waits_for
from choreo.saga.index import INDEX, text_of
from choreo.saga.instance import Instance
from choreo.saga.lock_line import Line
from choreo.saga.locks import LockKeeper
from choreo.saga.rules import Spec
from choreo.state.backend import Backend
from choreo.state.meta import Facts, read_meta
from choreo.state.rocks import glimpse
from choreo.state.view import view


class ServiceView:
    """The stores of one service, task by task."""

    def __init__(self, project: Project, service: str) -> None:
        self._project, self._service = project, service
        self._open = ExitStack()
        changelog = f"choreo.{self._service}.changelog"
        topic = project.log.topics().get(changelog)
        count = topic.partitions if topic else 0
        self._tasks = [self._task(TopicPartition(changelog, n), topic.topic_id, count) for n in range(count) if topic]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def _task(self, changelog: TopicPartition, topic_id: str, count: int) -> Backend:
        log = self._project.log
        facts = Facts(
            service=self._service,
            cluster_id=log.cluster_id(),
            changelog_topic_id=topic_id,
            partitions=count,
            changelog_end=log.ends([changelog])[changelog],
            now=SystemClock().now(),
            delete_retention_s=RunOptions().tombstones_kept_s,
        )
        made = view(log, changelog, self._store_here(f"{self._service}-{changelog.partition}"), facts)
        self._open.callback(made.close)
        return made

    def _store_here(self, task: str) -> Backend | None:
        """The copy of a task on this machine that is furthest, None where there is none that can be read."""
        state_dir = self._project.config.state_dir()
        places = [place_of(state_dir, self._service), *sorted(state_dir.glob(f"{self._service}@*")), state_dir]
        best: tuple[int, Backend] | None = None
        for place in places:
            store = _readable(place / task)
            if store is None:
                continue
            self._open.callback(store.close)
            meta = read_meta(store)
            if meta is not None and (best is None or meta.changelog_offset > best[0]):
                best = (meta.changelog_offset, store)
        return None if best is None else best[1]


class LockView(ServiceView):
    """The locks of one scope."""

    def __init__(self, project: Project, scope: str) -> None:
        super().__init__(project, f"locks.{scope}")

    def lines(self) -> Iterator[tuple[str, Line]]:
        """Every lock that is held, and the line before it."""
        keys, values = LockKeeper.lines.codecs()
        for task in self._tasks:
            for raw, value in task.scan(keys.prefix(())):
                yield keys.decode(raw), values.load(value)


class SagaView(ServiceView):
    """The instances of one saga, found by key or by what they remember."""

    def __init__(self, project: Project, saga: str) -> None:
        super().__init__(project, f"saga.{saga}")
        self._keys, self._values = Coordinator.instances.codecs()
        self._index, _ = INDEX.codecs()

    def instance(self, key: str) -> Instance | None:
        """The instance of this key."""
        raw = self._keys.encode(key)
        found = next((value for task in self._tasks if (value := task.get(raw)) is not None), None)
        return None if found is None else self._loaded(found)

    def instances(self) -> Iterator[Instance]:
        """All of them."""
        for task in self._tasks:
            for _, value in task.scan(self._keys.prefix(())):
                yield self._loaded(value)

    def found(self, fields: Mapping[str, str]) -> Iterator[Instance]:
        """Those that remember all of these values, by the index: the others are not looked at."""
        keys: set[str] | None = None
        for field, value in fields.items():
            prefix = self._index.prefix((field, text_of(value)))
            here = {self._index.decode(raw)[2] for task in self._tasks for raw, _ in task.scan(prefix)}
            keys = here if keys is None else keys & here
        for key in sorted(keys or ()):
            instance = self.instance(key)
            if instance is not None:
                yield instance

    def _loaded(self, value: bytes) -> Instance:
        instance: Instance = self._values.load(value)
        return instance


def _readable(path: Path) -> Backend | None:
    try:
        return glimpse(path)
    except StateError:  # none here, or its owner is just changing its files: the changelog has it all
        return None


def row_of(instance: Instance, spec: Spec) -> dict[str, Any]:
    """How an instance stands, as listings show it."""
    return {
        "saga": instance.saga,
        "key": instance.key,
        "status": instance.status,
        "waits_for": list(waits_for(spec, instance)),
        "explanation": explain(spec, instance),
        "reason": reason(instance),
        "version": instance.version,
        "digest": instance.digest,
        "steps": {name: record.state.value for name, record in instance.steps.items()},
        "started_at": to_datetime(instance.started_at),
        "ended_at": None if instance.ended_at is None else to_datetime(instance.ended_at),
    }


def values_of(instance: Instance, names: Iterable[str]) -> dict[str, Any]:
    """The values of `saga.FIELD`, `steps.NAME.status` and `steps.NAME.FIELD`, those that have one."""
    found: dict[str, Any] = {}
    for name in names:
        head, _, rest = name.partition(".")
        step, _, field = rest.partition(".")
        if head == "saga" and rest in instance.remembered:
            found[name] = instance.remembered[rest]
        elif head == "steps" and step in instance.steps:
            record = instance.steps[step]
            fields = {**record.fields, "status": record.state.value}
            if field in fields:
                found[name] = fields[field]
    return found
