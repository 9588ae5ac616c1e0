"""What can be typed: every command with its options and arguments, read off the commands themselves."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import click

Kind = Literal["nothing", "anything", "file", "directory", "targets", "services", "sagas"]
"""What may follow: no value at all, a value that nobody can guess, a path, or names of the project."""
BY_NAME: dict[str, Kind] = {
    "targets": "targets",
    "target": "targets",
    "services": "services",
    "sagas": "sagas",
    "saga": "sagas",
    "config_file": "file",
    "reference": "file",
    "old": "file",
    "new": "file",
}
"""By the name of a parameter, where its type does not say."""


class Value(NamedTuple):
    """What an option or an argument takes."""

    kind: Kind
    choices: tuple[str, ...] = ()


class Word(NamedTuple):
    """An option, in each of its spellings, with what it takes."""

    spellings: tuple[str, ...]
    value: Value
    help: str


class Typed(NamedTuple):
    """One command: the words that lead to it, the commands below it with their help, its options, its argument."""

    path: tuple[str, ...]
    below: dict[str, str]
    options: tuple[Word, ...]
    argument: Value


def grammar(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[Typed]:
    """The command and all below it; loads every one of them."""
    context = click.Context(command, info_name=" ".join(path) or None)
    below: dict[str, click.Command] = {}
    if isinstance(command, click.Group):
        found = {name: command.get_command(context, name) for name in command.list_commands(context)}
        below = {name: one for name, one in found.items() if one is not None and not one.hidden}
    options = [
        Word((*param.opts, *param.secondary_opts), _value(param), (param.help or "").partition("\n")[0])
        for param in command.get_params(context)
        if isinstance(param, click.Option) and not param.hidden
    ]
    arguments = [_value(param) for param in command.params if isinstance(param, click.Argument)]
    said = {name: one.get_short_help_str(80) for name, one in below.items()}
    yield Typed(path, said, tuple(options), arguments[0] if arguments else Value("nothing"))
    for name, one in below.items():
        yield from grammar(one, (*path, name))


def _value(param: click.Parameter) -> Value:
    if isinstance(param, click.Option) and (param.is_flag or param.count):
        return Value("nothing")
    if isinstance(param.type, click.Choice):
        return Value("anything", tuple(map(str, param.type.choices)))
    if isinstance(param.type, click.Path):
        return Value("file" if param.type.file_okay else "directory")
    return Value(BY_NAME.get(str(param.name), "anything"))
