"""The options that every command takes, before or after its name, and the project that they describe."""

import functools
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from choreo.cli.project import Project

AnyCommand = TypeVar("AnyCommand", bound=click.Command)
Function = Callable[..., int | None]
"""What a command does; answers its exit code, None for 0."""

COMMON = (
    click.Option(["--log", "log_url"], metavar="URL", help="memory:, embedded:DIR or kafka://HOST:PORT,..."),
    click.Option(["--archive", "archive_dir"], metavar="DIR", help="What the log no longer has is read from there."),
    click.Option(
        ["--registry", "registry_url"], metavar="URL", help="The schema registry: memory:, dir:DIR or https://HOST."
    ),
    click.Option(["--profile"], metavar="NAME", help="Lay [profile.NAME] over the settings."),
    click.Option(["--config", "config_file"], metavar="FILE", help="Another choreo.toml or pyproject.toml."),
    click.Option(["--json", "as_json"], is_flag=True, help="One JSON object a line on stdout."),
    click.Option(["--quiet", "-q", "quiet"], is_flag=True, help="No progress on stderr."),
    click.Option(["--verbose", "-v", "verbose"], count=True, help="More on stderr; errors with their traceback."),
)
COMMON_NAMES = tuple(str(option.name) for option in COMMON)


class NewFile(click.Path):
    """A file that a command is to write: that it can be is known before the work begins."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        super().convert(value, param, ctx)
        file = Path(value)
        if not file.parent.is_dir():
            self.fail(f"there is no directory {file.parent}", param, ctx)
        if not os.access(file.parent, os.W_OK):
            self.fail(f"the directory {file.parent} can't be written to", param, ctx)
        return file


def everywhere(command: AnyCommand) -> AnyCommand:
    """Give a command the common options."""
    command.params.extend(COMMON)
    return command


def gathered(
    name: str, made: Callable[..., Any], options: Sequence[Callable[[Any], Any]]
) -> Callable[[Function], Function]:
    """Gives a command these options, and hands over as `name` what `made` makes of them: it has a parameter for each of
    them, called as the option is.
    """
    parameters = list(inspect.signature(made).parameters)

    def given(function: Function) -> Function:
        @functools.wraps(function)
        def packed(*arguments: Any, **said: Any) -> int | None:
            one = made(**{parameter: said.pop(parameter) for parameter in parameters})
            return function(*arguments, **said, **{name: one})

        for option in reversed(options):
            packed = option(packed)
        return packed

    return given


def command(name: str) -> Callable[[Function], click.Command]:
    """A command of the project: takes the common options, is given the `Project`, answers its exit code."""

    def made(function: Function) -> click.Command:
        @functools.wraps(function)
        def run(**arguments: Any) -> int | None:
            common = {key: arguments.pop(key) for key in COMMON_NAMES}
            before = click.get_current_context().find_root().params
            with _project({key: value or before.get(key) for key, value in common.items()}) as project:
                return function(project, **arguments)

        return everywhere(click.command(name)(run))

    return made


def _project(common: dict[str, Any]) -> "Project":
    from choreo.cli.project import Asked, open_project  # reading settings is for commands, not for --help

    flags = {
        "log.url": common["log_url"],
        "log.archive": common["archive_dir"],
        "registry.url": common["registry_url"],
    }
    return open_project(
        Asked(
            {name: value for name, value in flags.items() if value},
            Path(common["config_file"]) if common["config_file"] else None,
            common["profile"],
            bool(common["as_json"]),
            bool(common["verbose"]),
            bool(common["quiet"]),
        )
    )
