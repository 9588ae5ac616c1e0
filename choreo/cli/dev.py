"""`choreo dev`: the whole project at work while it is written. Each save starts it again; log and stores stay."""

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType

import click

from choreo.cli.dev_process import NOT_DRAINED, News, Run
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import SPELLING, Asked, Project
from choreo.cli.targets import Finder
from choreo.cli.watched import Look, WatchedFiles, changed
from choreo.errors import ConfigError

LOOK_EVERY_S = 0.25
LOOKING_SHARE = 0.05
"""Looking at the files takes at most this share of the time, however many there are."""
SETTLED_S = 0.1
"""What stays as it is for this long has been saved: editors and formatters write several files one after the other."""
SHOWN = 3
"""Of the changed files so many are named."""
HOW_TO_GO_ON = "a save starts it again, Ctrl-C ends it"


@command("dev")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def dev(project: Project, targets: Sequence[str]) -> int:
    """Run services and saga coordinators, and start them again with the new code when a file of the project is saved.

    TARGET is as for run; none means the whole project. Log and stores stay. What is wrong in the code is printed, and
    the next save is waited for. On the embedded log schemas are registered by running. Ctrl-C commits what is begun.
    """
    if project.config.log.url.startswith("memory:"):
        raise ConfigError(
            "choreo dev keeps its log from one start to the next", at="memory:", hint="--log embedded:DIR"
        )
    if not targets and not project.config.project.services:
        Finder(project.config, Path.cwd()).find([])  # says that there is nothing to run, where that is so
    return Development(_asked(project), targets, _files(project, targets), project.config.run.drain_s).run()


class Development:
    """Runs a project again and again, each time in a process of its own, until it is asked to end."""

    def __init__(self, asked: Asked, targets: Sequence[str], files: WatchedFiles, drain_s: float) -> None:
        self._asked, self._targets, self._files, self._drain_s = asked, targets, files, drain_s
        self._ending, self._hurry = threading.Event(), threading.Event()
        self._spare: Run | None = None
        """The next run: its process has made its imports by the time of the next save."""

    def run(self) -> int:
        """Until SIGTERM or Ctrl-C, a second of which does not wait; answers 0, or 1 where a run had to be killed."""
        with self._signals():
            try:
                return self._run()
            finally:
                if self._spare is not None:
                    self._spare.end(self._hurry)

    def _run(self) -> int:
        saved, began = "", monotonic()
        while True:
            seen = self._files.look()
            run = self._next()
            try:
                run.begin()
                self._attend(run, seen, saved, began)
            finally:
                began = monotonic()
                drained = run.end(self._hurry)
            if self._hurry.is_set():
                raise KeyboardInterrupt
            if self._ending.is_set():
                return 0 if drained else NOT_DRAINED
            saved = self._names(changed(seen, self._files.look()))

    def _next(self) -> Run:
        spare, self._spare = self._spare, None
        if spare is not None and spare.exit_code is None:
            return spare
        return Run(self._asked, self._targets, self._drain_s)

    def _attend(self, run: Run, seen: Look, saved: str, began: float) -> None:
        """Tell how the run goes, until something is saved or the end is asked for."""
        lives, pause = True, LOOK_EVERY_S
        while not self._ending.is_set():
            if not lives:
                self._ending.wait(pause)
            elif run.news(pause) is News.RUNNING:
                took = f"in {monotonic() - began:.1f} s"
                note(f"restarted {took}: {saved} changed" if saved else f"ready {took}: {HOW_TO_GO_ON}")
                saved, self._spare = "", self._next()
            elif run.exit_code is not None:
                lives, self._spare = False, self._next()
                how = f"ended by signal {-run.exit_code}" if run.exit_code < 0 else "not running"
                note(f"{f'{saved} changed; ' if saved else ''}{how}: waiting for the next save (Ctrl-C ends)")
            looked = monotonic()
            if changed(seen, self._files.look()):
                return self._settle()
            pause = max(LOOK_EVERY_S, (monotonic() - looked) / LOOKING_SHARE)

    def _settle(self) -> None:
        """Wait until nothing more is written."""
        before: Look = {}
        while changed(before, now := self._files.look()) and not self._ending.wait(SETTLED_S):
            before = now

    def _names(self, paths: Sequence[Path]) -> str:
        here = Path.cwd()
        names = [str(path.relative_to(here)) if path.is_relative_to(here) else str(path) for path in paths]
        more = [f"{len(names) - SHOWN} more"] if len(names) > SHOWN else []
        return " and ".join(part for part in [", ".join(names[:SHOWN]), *more])

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def ask(number: int, frame: FrameType | None) -> None:
            if self._ending.is_set():
                self._hurry.set()
            else:
                self._ending.set()
                note("stopping: committing what is begun")

        in_main = threading.current_thread() is threading.main_thread()
        before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)} if in_main else {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _asked(project: Project) -> Asked:
    """What was asked for on the command line, to be asked again: settings are read anew by each run."""
    config = project.config
    flags = {value.name: str(value.value) for value in config.values if value.origin in SPELLING.values()}
    return Asked(flags, config.file, config.profile, project.output.as_json, project.output.verbose)


def _files(project: Project, targets: Sequence[str]) -> WatchedFiles:
    """The project's files, and those beside targets that lie elsewhere; not what a run itself writes."""
    config, here = project.config, Path.cwd()
    beside = [path.parent for target in targets if (path := here / target.partition(":")[0]).is_file()]
    outer = [path for path in beside if not path.resolve().is_relative_to(config.directory.resolve())]
    kind, _, place = config.log.url.partition(":")
    written = [Path(place.partition("?")[0])] if kind == "embedded" else []
    kind, _, place = config.registry_url().partition(":")
    written += [Path(place) / "by-id"] if kind == "dir" else []
    return WatchedFiles([config.directory, *outer], [*written, config.state_dir()])
