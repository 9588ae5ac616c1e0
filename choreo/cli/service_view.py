"""What the stores of a service hold as of now, read beside whoever runs it, also on another machine."""

from contextlib import ExitStack
from typing import Self

from choreo.cli.project import Project
from choreo.cli.stores import places_of
from choreo.clock import SystemClock
from choreo.errors import StateError
from choreo.log.interface import Topic
from choreo.log.partitioner import partition_of
from choreo.record import TopicPartition
from choreo.replay.scratch import ScratchBackends
from choreo.runtime.options import RunOptions
from choreo.state.backend import Backend
from choreo.state.meta import facts_of, read_meta
from choreo.state.rocks import glimpse
from choreo.state.view import view


class ServiceView:
    """The tasks of one service, each opened when it is first asked for; none where it has never run on this log."""

    def __init__(self, project: Project, service: str) -> None:
        self._project, self._service = project, service
        self._open = ExitStack()
        self._opened: dict[int, Backend] = {}
        self._changelog = project.log.topics().get(f"choreo.{service}.changelog")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def tasks(self) -> list[Backend]:
        """The entries of all of them."""
        if self._changelog is None:
            return []
        return [self._task(self._changelog, number) for number in range(self._changelog.partitions)]

    def task_of(self, key: bytes) -> Backend | None:
        """The entries of the task that handles events of this key."""
        if self._changelog is None:
            return None
        return self._task(self._changelog, partition_of(key, self._changelog.partitions))

    def _task(self, changelog: Topic, partition: int) -> Backend:
        if partition not in self._opened:
            log, kept_s = self._project.log, RunOptions().tombstones_kept_s
            facts = facts_of(log, self._service, changelog, partition, SystemClock().now(), kept_s)
            store = self._store_here(f"{self._service}-{partition}")
            place = TopicPartition(changelog.name, partition)
            self._opened[partition] = view(log, place, store, facts, self._room)
            self._open.callback(self._opened[partition].close)
        return self._opened[partition]

    def _room(self) -> Backend:
        """A store on disk for as long as this view is open."""
        backends = ScratchBackends(self._project.config.state_dir())
        self._open.callback(backends.close)
        return backends.open("view")

    def _store_here(self, task: str) -> Backend | None:
        """The copy of a task on this machine that is furthest, None where there is none that can be read."""
        places = places_of(self._project.config.state_dir(), self._service)
        best: tuple[int, Backend] | None = None
        for place in places:
            try:
                store = glimpse(place / task)
            except StateError:  # none here, or its owner is just changing its files: the changelog has it all
                continue
            self._open.callback(store.close)
            meta = read_meta(store)
            if meta is not None and (best is None or meta.changelog_offset > best[0]):
                best = (meta.changelog_offset, store)
        return None if best is None else best[1]
