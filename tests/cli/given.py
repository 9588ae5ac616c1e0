"""Whether a command line could be given, without running it."""

import shlex

import click

from choreo.cli.main import cli


def can_be_given(line: str) -> None:
    """Its words, options and arguments are understood. Raises click's UsageError where they are not."""
    command: click.Command = cli
    words = shlex.split(line)[1:]
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words.pop(0))
        assert found is not None
        command = found
    command.make_context(line, words)
