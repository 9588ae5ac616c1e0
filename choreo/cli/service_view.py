"""What the stores of a service hold as of now, read beside whoever runs it, also on another machine."""

from contextlib import ExitStack
from typing import Self

from choreo.cli.project import Project
from choreo.cli.stores import place_of
from choreo.clock import SystemClock
from choreo.errors import StateError
from choreo.log.interface import Topic
from choreo.record import TopicPartition
from choreo.runtime.options import RunOptions
from choreo.state.backend import Backend
from choreo.state.meta import Facts, read_meta
from choreo.state.rocks import glimpse
from choreo.state.view import view


class ServiceView:
    """The tasks of one service; none where it has never run on this log."""

    def __init__(self, project: Project, service: str) -> None:
        self._project, self._service = project, service
        self._open = ExitStack()
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

    def _task(self, topic: Topic, partition: int) -> Backend:
        log, changelog = self._project.log, TopicPartition(topic.name, partition)
        facts = Facts(
            service=self._service,
            cluster_id=log.cluster_id(),
            changelog_topic_id=topic.topic_id,
            partitions=topic.partitions,
            changelog_end=log.ends([changelog])[changelog],
            now=SystemClock().now(),
            delete_retention_s=RunOptions().tombstones_kept_s,
        )
        made = view(log, changelog, self._store_here(f"{self._service}-{partition}"), facts)
        self._open.callback(made.close)
        return made

    def _store_here(self, task: str) -> Backend | None:
        """The copy of a task on this machine that is furthest, None where there is none that can be read."""
        state_dir = self._project.config.state_dir()
        places = [place_of(state_dir, self._service), *sorted(state_dir.glob(f"{self._service}@*")), state_dir]
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
