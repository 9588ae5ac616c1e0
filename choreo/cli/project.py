"""The project at hand: its settings, and its log and registry, opened on first use and closed at the end."""

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from choreo.cli.output import Output
from choreo.cli.progress import Progress
from choreo.config import Config, Sources, load
from choreo.errors import ConfigError

if TYPE_CHECKING:
    from choreo.events.registry import Registry
    from choreo.log.interface import Log

SPELLING = {"log.url": "--log", "log.archive": "--archive", "registry.url": "--registry"}


class Project:
    """What a command works on. Whatever it opens is closed when the command ends."""

    def __init__(self, config: Config, output: Output) -> None:
        self.config, self.output = config, output
        self._open = ExitStack()

    @property
    def progress(self) -> Progress:
        """Says on stderr how far something long is; nothing with --json or --quiet."""
        silent = self.output.as_json or self.output.quiet
        return Progress(sys.stderr, terminal=sys.stderr.isatty(), silent=silent)

    @cached_property
    def log(self) -> "Log":
        """The log of the settings. Raises LogUnavailableError, and ConfigError, also where `lacks_log` names a
        directory: whoever only looks makes nothing of a name that is mistyped.
        """
        if self.lacks_log:
            raise ConfigError(
                f"there is no log in {self.lacks_log}",
                at=self.config.origin("log.url"),
                why="this command works on a log that is there, and makes none",
                hint="is that the right directory? choreo run, dev, emit and topics apply make a log in it",
            )
        return self._opened()

    @property
    def lacks_log(self) -> str:
        """The directory that somebody named for an embedded log, and that has none; empty where there is one.

        The log of a project that names none is made by whoever comes first.
        """
        from choreo.log.open import lacks_log

        return "" if self.config.origin("log.url") == "default" else lacks_log(self.config.log.url)

    def make_log(self) -> "Log":
        """The same, for a command that puts something on it: made where there is none yet."""
        if "log" not in vars(self):
            self.log = self._opened()
        return self.log

    def _opened(self) -> "Log":
        from choreo.log.open import open_log
        from choreo.runtime.heap import share_one_arena

        share_one_arena()
        return self._open.enter_context(open_log(self.config.log.url, config=self.config.kafka))

    @cached_property
    def past(self) -> "Log":
        """The log with its archive before it, to read only; without an archive in the settings, the log itself.

        Raises ArchiveError besides.
        """
        if not self.config.log.archive:
            return self.log
        from choreo.replay.archive import Archive
        from choreo.replay.archived_log import ArchivedLog

        return ArchivedLog(self.log, Archive(Path(self.config.log.archive)))

    @cached_property
    def registry(self) -> "Registry":
        """The registry of the settings. Raises ConfigError."""
        from choreo.events.open import open_registry
        from choreo.events.registry import RegistryOptions

        said = asdict(self.config.registry)
        del said["url"]
        return open_registry(self.config.registry_url(), RegistryOptions(**said))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()


@dataclass(frozen=True)
class Asked:
    """The common options of one command, as they were given."""

    flags: Mapping[str, str]
    file: Path | None = None
    profile: str | None = None
    as_json: bool = False
    verbose: bool = False
    quiet: bool = False


def open_project(asked: Asked) -> Project:
    """Read the settings, from where the command was given. Raises ConfigError."""
    sources = Sources(Path.cwd(), os.environ, asked.flags, SPELLING, asked.file, asked.profile)
    return Project(load(sources), Output(asked.as_json, asked.verbose, sys.stdout, quiet=asked.quiet))
