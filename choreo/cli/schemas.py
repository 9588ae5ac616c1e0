"""`choreo schemas list | show | check | export | register`: contracts in the project, schemas in the registry."""

import json
from collections.abc import Sequence
from pathlib import Path

import click

from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.schemas_project import breaks, named_schema, own_events
from choreo.cli.targets import Finder
from choreo.errors import SchemaError
from choreo.events.avro import schema_of
from choreo.events.contracts import drift, export
from choreo.events.event import Event
from choreo.events.json_schema import json_schema_of
from choreo.events.registered import subject_of
from choreo.events.schema import fingerprint

FOUND = 1


@command("list")
@click.option("--subject", help="This subject only.")
def list_schemas(project: Project, subject: str | None) -> None:
    """Every schema in the registry: its subject, version (where the registry counts them) and id."""
    rows = ({"subject": e.subject, "version": e.version, "id": e.schema_id} for e in project.registry.entries(subject))
    project.output.listing(rows, ["subject", "version", "id"], empty="no schema is registered")


@command("show")
@click.argument("reference")
@click.option("--json-schema", is_flag=True, help="The JSON Schema of an event class's body, for JSON topics.")
def show_schema(project: Project, reference: str, json_schema: bool) -> None:
    """One schema as JSON. REFERENCE is SUBJECT[@VERSION], an id, FILE.avsc, FILE.avro or module:Class.

    --json adds its fingerprint (CRC-64-AVRO of the parsing canonical form).
    """
    if json_schema:
        body = json_schema_of(Finder(project.config, Path.cwd()).event(reference))
        project.output.thing({"name": reference, "schema": body}, [json.dumps(body, indent=2, ensure_ascii=False)])
        return
    found = named_schema(project, reference)
    row = {"name": found.name, "fingerprint": fingerprint(found.schema).hex(), "schema": found.schema}
    project.output.thing(row, [json.dumps(found.schema, indent=2, ensure_ascii=False)])


@command("check")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def check_schemas(project: Project, targets: Sequence[str]) -> int:
    """Say where events differ from their published contracts or break readers of what is in the registry.

    Where nobody registers by running, events that are not registered are found too. Exit code 1 if anything was found.
    """
    events = own_events(project, targets)
    directory = project.config.path(project.config.project.schemas)
    findings = [finding for event in events for finding in _findings(project, event, directory)]
    project.output.listing(findings, ["event", "finding", "says", "try"], empty=f"{len(events)} events: all of it fits")
    return FOUND if findings else 0


@command("export")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
def export_schemas(project: Project, targets: Sequence[str]) -> None:
    """Write schemas/NAMESPACE/Name.avsc for every event class that these targets load; says which have changed."""
    finder = Finder(project.config, Path.cwd())
    finder.find(targets)
    directory = project.config.path(project.config.project.schemas)
    rows = []
    for name, event in sorted(finder.catalogue().items()):
        if event.contract.external or drift(event, directory) is None:
            continue
        rows.append({"event": name, "file": str(export(event, directory))})
    project.output.listing(rows, ["event", "file"], empty="every contract is up to date")


@command("register")
@click.argument("targets", nargs=-1, metavar="[TARGET...]")
@click.option("--dry-run", is_flag=True, help="Say what would be registered, and register nothing.")
def register_schemas(project: Project, targets: Sequence[str], dry_run: bool) -> None:
    """Put the schema of every event of these targets into the registry; what is there already keeps its id.

    Nothing is registered where any of them would break readers of an older version.
    """
    registry = project.registry
    events = own_events(project, targets)
    broken = [problem for event in events for problem in breaks(registry, event)]
    if broken:
        raise SchemaError(
            f"{len(broken)} changes would break readers; nothing was registered",
            at=project.config.file,
            why="; ".join(broken),
            hint="give new fields a default and renamed ones Formerly(...), or make a new class",
        )
    rows = []
    for event in events:
        subject, schema = subject_of(registry, event), schema_of(event)
        schema_id = registry.find(subject, schema)
        state = "there" if schema_id is not None else "missing" if dry_run else "registered"
        if schema_id is None and not dry_run:
            schema_id = registry.add(subject, schema)
        rows.append({"subject": subject, "id": schema_id, "state": state})
    project.output.listing(rows, ["subject", "id", "state"], empty="there is no event to register")
    if dry_run:
        note("nothing was registered: --dry-run")


def _findings(project: Project, event: type[Event], directory: Path) -> list[dict[str, str]]:
    registry, name = project.registry, event.contract.full_name
    found = []
    published = any(directory.glob(f"{event.contract.namespace}/*.avsc"))
    if published and (said := drift(event, directory)) is not None:
        found.append(("contract-drift", said, "choreo schemas export"))
    found += [("breaks-readers", said, "a default, Formerly(...), or a new class") for said in breaks(registry, event)]
    if not registry.adds and registry.find(subject_of(registry, event), schema_of(event)) is None:
        found.append(
            ("not-registered", f"nothing like it under {subject_of(registry, event)}", "choreo schemas register")
        )
    return [{"event": name, "finding": kind, "says": says, "try": cure} for kind, says, cure in found]
