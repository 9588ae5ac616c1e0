"""Where the stores of a project lie: STATE_DIR/SERVICE, or STATE_DIR/SERVICE@N for the N-th process of --workers."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

from choreo.cli.progress import Progress
from choreo.clock import SystemClock
from choreo.errors import ConfigError, StateError
from choreo.log.interface import Log
from choreo.record import TopicPartition
from choreo.replay.scratch import ScratchBackends
from choreo.runtime.options import RunOptions
from choreo.service.service import Service
from choreo.state.backend import Backend, Backends, Snapshots
from choreo.state.lock import DirectoryLock
from choreo.state.meta import TaskMeta, facts_of, fresh_meta, read_meta
from choreo.state.restore import Restore
from choreo.state.rocks import RocksBackends, glimpse

LOCK_WAIT_S = 2.0
RESTORE_STEP, WAIT_S = 20_000, 1.0
"""Changelog records applied at once, and how long the first of them is waited for: a transaction may be open."""


def place_of(state_dir: Path, service: str, worker: int = 0) -> Path:
    """The state directory of one worker: services may be grouped into processes in any way, and move between them."""
    return state_dir / (f"{service}@{worker}" if worker else service)


def places_of(state_dir: Path, service: str) -> list[Path]:
    """The directories in which stores of a service may lie: those of its workers, and one that many services share."""
    return [place_of(state_dir, service), *sorted(state_dir.glob(f"{service}@*")), state_dir]


def owned_places(state_dir: Path, service: str) -> list[Path]:
    """Those of them that are there; the shared one only where it holds something of this service."""
    *places, shared = places_of(state_dir, service)
    if any(shared.glob(f"{service}-[0-9]*")):
        places.append(shared)  # a program that embeds Choreo keeps all its services in one place
    return [place for place in places if place.is_dir()]


class ProjectBackends(Backends):
    """The stores of many services, for a process that runs all; each lies where `choreo run SERVICE` finds it."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._opened: dict[str, RocksBackends] = {}

    def open(self, task: str) -> Backend:
        service = task.rpartition("-")[0]
        return self._of(service).open(task)

    def snapshots(self, task: str) -> Snapshots:
        return self._of(task.rpartition("-")[0]).snapshots(task)

    def instance_id(self) -> str:
        return self._of("demo").instance_id()

    def close(self) -> None:
        for backends in self._opened.values():
            backends.close()

    def _of(self, service: str) -> RocksBackends:
        if service not in self._opened:
            self._opened[service] = RocksBackends(place_of(self._state_dir, service))
        return self._opened[service]


class LiveStores:
    """The stores of one service as its workers left them; where none is here, what its changelog says."""

    def __init__(self, state_dir: Path, service: Service, logs: Sequence[Log], progress: Progress) -> None:
        """The first of `logs` that has the changelog gives it. Raises StateInUseError while a worker runs."""
        self._state_dir, self._service, self._logs, self._progress = state_dir, service, logs, progress
        self._open = ExitStack()
        self._shown = self._open.enter_context(ExitStack())
        """What is looked at now: each store that is open holds memory."""
        self._places = owned_places(state_dir, service.name)
        for place in self._places:
            self._open.callback(DirectoryLock(place, LOCK_WAIT_S).close)
        self.restored: list[int] = []
        """Partitions that had no store of these logs here."""

    def __call__(self, partition: int) -> Backend:
        """The store of one task, to be looked at only, until another is asked for."""
        self._shown.close()
        task = f"{self._service.name}-{partition}"
        best: tuple[int, Backend] | None = None
        for place in self._places:
            try:
                backend = glimpse(place / quote(task, safe=""))
            except StateError:  # none here, or nothing that can be read: the changelog has it all
                continue
            self._shown.callback(backend.close)
            meta = read_meta(backend)
            if meta is not None and self._ours(meta) and (best is None or meta.checkpoint > best[0]):
                best = (meta.checkpoint, backend)
        return best[1] if best is not None else self._from_changelog(task, partition)

    def close(self) -> None:
        """Release them."""
        self._open.close()

    def _ours(self, meta: TaskMeta) -> bool:
        """Whether it is of one of the logs, as far as these can tell: a state directory may hold what ran on others."""
        name = f"{self._service.scope}.changelog"
        known = [(log.cluster_id(), topic.topic_id) for log in self._logs if (topic := log.topics().get(name))]
        return not known or (meta.cluster_id, meta.changelog_topic_id) in known

    def _from_changelog(self, task: str, partition: int) -> Backend:
        self.restored.append(partition)
        changelog = TopicPartition(f"{self._service.scope}.changelog", partition)
        log = self._log_with(changelog.topic)
        backends = ScratchBackends(self._state_dir)
        self._shown.callback(backends.close)
        backend = backends.open(task)
        now, kept_s = SystemClock().now(), RunOptions().tombstones_kept_s
        facts = facts_of(log, self._service.name, log.topics()[changelog.topic], partition, now, kept_s)
        restore = Restore(log, backend, changelog, fresh_meta(facts, build=""))
        try:
            with self._progress.of(f"restoring {task}", "changelog records") as told:
                done = False
                while not done:
                    done = restore.step(RESTORE_STEP, WAIT_S)
                    told(*restore.progress)
        finally:
            restore.close()
        return backend

    def _log_with(self, changelog: str) -> Log:
        for log in self._logs:
            if changelog in log.topics():
                return log
        raise ConfigError(
            f"there is nothing to compare {self._service.name} with",
            why=f"no store of it lies here, and {self._logs[-1].url} has no {changelog}",
            hint=f"choreo archives write {changelog} --to DIR takes a changelog into an archive",
        )
