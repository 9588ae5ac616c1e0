"""`choreo schemas import FILE.avsc`: the class of an event that someone else owns, to be kept beside one's own."""

from pathlib import Path

import click

from choreo.cli.options import NewFile, command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.errors import ConfigError
from choreo.events.importing import Place, event_source
from choreo.events.schema_files import record_in


@command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--topic", help="The topic where these events lie; default: the name of the event.")
@click.option("--key", "key", multiple=True, metavar="FIELD", help="A field of the key, as the schema names it.")
@click.option("--output", "-o", type=NewFile(), help="Write this file; else stdout.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def import_schema(
    project: Project, file: Path, topic: str | None, key: tuple[str, ...], output: Path | None, force: bool
) -> None:
    """Write the Python class for the record in FILE (.avsc, or an Avro container file), with all types inside of it.

    The class reads every body that was written with the schema. It is external: Choreo never writes such events.
    """
    schema = record_in(file)
    if topic is None:
        topic = str(schema["name"])
        note(f'topic="{topic}" is a guess: --topic names where these events lie')
    if not key:
        note("no --key: handlers need keyed_by to have stores")
    source = event_source(schema, Place(topic, key))
    if output is None:
        project.output.thing({"event": schema["name"], "source": source}, [source.rstrip("\n")])
        return
    if output.exists() and not force:
        raise ConfigError(f"{output} is there already", hint="--force writes over it, -o names another file")
    try:
        output.write_text(source, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{output} can't be written", why=error.strerror) from None
    project.output.thing({"event": schema["name"], "file": str(output)}, [f"{schema['name']} in {output}"])
