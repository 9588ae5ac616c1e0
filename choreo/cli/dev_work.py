"""What one run of `choreo dev` does in its process: load, check, prepare, run; tells how far it has come."""

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from time import monotonic
from typing import Self

from choreo.cli.assembly import assemble
from choreo.cli.limits import limited
from choreo.cli.main import answer_to
from choreo.cli.news import telling
from choreo.cli.project import Asked, Project, open_project
from choreo.cli.run import prepare, run_here, run_options
from choreo.cli.schemas_project import require_readable
from choreo.errors import ChoreoError, StateInUseError
from choreo.runtime.worker import Worker
from choreo.telemetry.log_lines import WithoutRoutine

OWNER_WAIT_S = 5.0
"""So long another process may own the embedded log before that is an error: `choreo emit` does while nothing runs."""
LOOK_EVERY_S = 0.02

Tell = Callable[[], None]


def work(asked: Asked, targets: Sequence[str], stop: threading.Event, loaded: Tell, running: Tell) -> int:
    """Run until `stop` is set; answers the exit code. What is wrong with the project is printed.

    `loaded` is called before work begins, `running` when every task is open.
    """
    until, only = monotonic() + OWNER_WAIT_S, () if asked.verbose else (WithoutRoutine(),)
    while True:
        try:
            # What handlers raise is shown: live it would be noise, since attempts go on; here one looks for it.
            with _for_development(open_project(asked)) as project, telling("debug", only=only):
                return _run(project, targets, stop, loaded, running)
        except StateInUseError as error:
            if stop.is_set() or monotonic() >= until:
                return answer_to(error, asked.verbose)
            stop.wait(LOOK_EVERY_S)
        except ChoreoError as error:
            return answer_to(error, asked.verbose)


def _run(project: Project, targets: Sequence[str], stop: threading.Event, loaded: Tell, running: Tell) -> int:
    found = limited(project, assemble(project, targets, project.make_log()))
    require_readable(project.registry, found.plans())
    prepare(project, found)
    loaded()

    def watch(workers: Sequence[Worker], ending: threading.Event) -> AbstractContextManager[object]:
        return _Readiness(workers, running, ending)

    return run_here(project, found, run_options(project, None, 0), stop, watch)


def _for_development(project: Project) -> Project:
    """The same project, whose registry takes what is missing; beside Kafka it stays as the settings say."""
    if project.config.log.url.startswith("kafka:"):
        return project
    registry = replace(project.config.registry, auto_register=True)
    return Project(replace(project.config, registry=registry), project.output)


class _Readiness:
    """While it is entered: tells once that every worker's tasks are open."""

    def __init__(self, workers: Sequence[Worker], tell: Tell, ending: threading.Event) -> None:
        self._workers, self._tell, self._ending = tuple(workers), tell, ending
        self._thread = threading.Thread(target=self._watch, name="readiness", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ending.set()
        self._thread.join()

    def _watch(self) -> None:
        while not all(worker.ready for worker in self._workers):
            if self._ending.wait(LOOK_EVERY_S):
                return
        self._tell()
