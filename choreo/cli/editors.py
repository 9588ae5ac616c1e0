"""`choreo config schema` and `choreo sagas schema`: JSON Schemas for editors."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.targets import Finder, Targets
from choreo.config.schema import config_schema
from choreo.errors import ChoreoError, ConfigError
from choreo.saga.schema import calendars_schema, spec_schema


@command("schema")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def show_config_schema(project: Project, targets: Sequence[str]) -> None:
    """The JSON Schema (draft 2020-12) of choreo.toml.

    The settings of the services that the targets (none = the whole project) name are part of it.
    """
    _, found = _loaded(project, targets)
    models = {service.name: service.settings for service in found.services if service.settings is not None}
    _show(project, config_schema(models))


@command("schema")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option("--calendars", is_flag=True, help="That of calendars.yaml, which the specs of a folder share.")
def show_spec_schema(project: Project, targets: Sequence[str], calendars: bool) -> None:
    """The JSON Schema (draft 2020-12) of a saga spec.

    An editor offers the events of the services that the targets (none = the whole project) name; it refuses no other.
    """
    if calendars and targets:
        raise ConfigError("--calendars takes no targets", why="calendars.yaml names no events")
    if calendars:
        _show(project, calendars_schema())
        return
    finder, found = _loaded(project, targets)
    names = [*finder.catalogue(), *(event.contract.full_name for event in found.events)]
    _show(project, spec_schema(names))


def _loaded(project: Project, targets: Sequence[str]) -> tuple[Finder, Targets]:
    """What the targets name; nothing where the project's own code can't be loaded now: half-written code is what an
    editor has before it.
    """
    finder = Finder(project.config, Path.cwd())
    try:
        return finder, finder.find(targets) if targets or project.config.project.services else Targets()
    except ChoreoError as error:
        if targets:
            raise
        note(f"without what the project's own code would add: {error.message}")
        return finder, Targets()


def _show(project: Project, schema: dict[str, Any]) -> None:
    project.output.thing(schema, [json.dumps(schema, indent=2, ensure_ascii=False)])
