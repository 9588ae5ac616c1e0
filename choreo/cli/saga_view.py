"""What the coordinators' stores hold as of now, read beside whoever runs them, and the row of a listing made of it."""

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from choreo.cli.project import Project
from choreo.cli.service_view import ServiceView
from choreo.clock import to_datetime
from choreo.saga.coordinator import Coordinator
from choreo.saga.explain import as_it_stands, explain, reason, waits_for
from choreo.saga.index import INDEX, text_of
from choreo.saga.instance import Glance, Instance, glance
from choreo.saga.rules import Spec
from choreo.state.backend import Backend


class SagaView:
    """The instances of one saga, found by key or by what they remember."""

    def __init__(self, project: Project, saga: str) -> None:
        self._keys, self._values = Coordinator.instances.codecs()
        self._index, _ = INDEX.codecs()
        self._view = ServiceView(project, f"saga.{saga}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._view.__exit__(*error)

    @property
    def _tasks(self) -> list[Backend]:
        return self._view.tasks()

    def instance(self, key: str) -> Instance | None:
        """The instance of this key."""
        raw, likely = self._keys.encode(key), self._view.task_of(key.encode())
        found = likely.get(raw) if likely is not None else None
        if found is None:  # whoever wrote the first event may have placed it otherwise
            found = next((value for task in self._tasks if (value := task.get(raw)) is not None), None)
        return None if found is None else self._loaded(found)

    def instances(self, wanted: Callable[[Glance], bool] = lambda seen: True) -> Iterator[Instance]:
        """Those that are wanted at first sight, by their keys: the others are not read."""
        for _, value in heapq.merge(*(task.scan(self._keys.prefix(())) for task in self._tasks)):
            seen = glance(value)
            if seen is None or wanted(seen):
                yield self._loaded(value)

    def glances(self) -> Iterator[Glance]:
        """All of them at first sight."""
        for task in self._tasks:
            for _, value in task.scan(self._keys.prefix(())):
                seen = glance(value)
                if seen is None:
                    self._loaded(value)  # says what is wrong with it
                else:
                    yield seen

    def remembers(self, field: str) -> bool:
        """Whether any of them has this field in the index."""
        prefix = self._index.prefix((field,))
        return any(True for task in self._tasks for _ in task.scan(prefix))

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
        "steps": as_it_stands(instance.status, {name: one.state.value for name, one in instance.steps.items()}),
        "started_at": to_datetime(instance.started_at),
        "ended_at": None if instance.ended_at is None else to_datetime(instance.ended_at),
    }
