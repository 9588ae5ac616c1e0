"""`choreo emit`: puts events on the log from outside: one from FIELD=VALUE, or one for each JSON line of stdin."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from pydantic import ValidationError

from choreo.cli.options import command
from choreo.cli.personal_keys import has_personal_key
from choreo.cli.progress import Told, untold
from choreo.cli.project import Project
from choreo.cli.targets import Finder
from choreo.clock import SystemClock
from choreo.config.sections import did_you_mean
from choreo.errors import ConfigError
from choreo.events.codec import Codec
from choreo.events.container import open_container
from choreo.events.event import Event, key_of
from choreo.events.faults import faults_of
from choreo.log.interface import TopicSpec
from choreo.runtime.topics import FOREVER
from choreo.service.client import fresh_ids
from choreo.telemetry.privacy import MASK

BATCH = 1000


@command("emit")
@click.argument("target")
@click.argument("fields", nargs=-1, metavar="[FIELD=VALUE...|FILE.avro|-]")
@click.option("--correlation-id", help="The story that the event belongs to; default: a story of its own.")
def emit(project: Project, target: str, fields: Sequence[str], correlation_id: str | None) -> None:
    """Put events of the class TARGET (shop.py:OrderPlaced) on the log; - reads one JSON object a line from stdin.

    FILE.avro in place of fields emits every row of an Avro container file.

    A value is text, or JSON where it begins with [ or {.
    """
    event = Finder(project.config, Path.cwd()).event(target)
    topic = event.contract.topic
    if topic not in project.make_log().topics():
        project.log.create_topics([TopicSpec(topic, project.config.topic(topic).partitions, FOREVER)])
    codec = Codec(project.registry, [event], project.log.cluster_id())
    # On a terminal the lines of the events themselves say how far it is.
    shown: AbstractContextManager[Told] = nullcontext(untold)
    if not sys.stdout.isatty():
        shown = project.progress.of(event.contract.full_name, "events")
    with shown as told:
        for number, batch in enumerate(_batches(_events(event, fields))):
            _put(project, codec, batch, correlation_id)
            told(number * BATCH + len(batch))


def _put(project: Project, codec: Codec, events: Sequence[Event], correlation_id: str | None) -> None:
    """Append these events in one go, and say where they lie."""
    clock = SystemClock()
    made = [(one, fresh_ids(clock.now(), correlation_id)) for one in events]
    positions = project.log.append([codec.encode(one, ids) for one, ids in made])
    for (one, ids), position in zip(made, positions, strict=True):
        event_id, key = str(UUID(bytes=ids.event_id)), (key_of(one) or b"").decode("utf-8", "backslashreplace")
        key = MASK if has_personal_key(type(one)) else key
        row = {
            "event": type(one).contract.full_name,
            "key": key,
            "event_id": event_id,
            "correlation_id": ids.correlation_id,
            "topic": position.topic,
            "partition": position.partition,
            "offset": position.offset,
        }
        project.output.thing(row, [f"{type(one).contract.full_name} {key} at {position}, event id {event_id}"])


def _events(event: type[Event], fields: Sequence[str]) -> Iterator[Event]:
    if len(fields) == 1 and fields[0].endswith(".avro"):
        for number, row in enumerate(open_container(Path(fields[0])).rows(), start=1):
            yield _made(event, row, f"row {number} of {fields[0]}")
        return
    if list(fields) != ["-"]:
        yield _made(event, _given(event, fields), " ".join(fields))
        return
    for number, line in enumerate(sys.stdin, start=1):
        if line.strip():
            yield _made(event, _parsed(line, f"line {number} of stdin"), f"line {number} of stdin")


def _given(event: type[Event], fields: Sequence[str]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for field in fields:
        name, mark, text = field.partition("=")
        if not mark:
            raise ConfigError(f"{field} is not FIELD=VALUE", hint=f"{name}=..., or - to read JSON lines from stdin")
        if name not in event.model_fields:
            raise ConfigError(f"{event.__name__} has no field {name}", hint=did_you_mean(name, event.model_fields))
        given[name] = _parsed(text, name) if text[:1] in ("[", "{") else text
    return given


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where} is not JSON: {error}", at=text.strip()[:80]) from None


def _made(event: type[Event], given: object, where: str) -> Event:
    try:
        return event.model_validate(given)
    except ValidationError as error:
        faults = faults_of(event, error)
    raise ConfigError(f"no {event.__name__}: {faults}", at=where, hint=f"fields: {', '.join(event.model_fields)}")


def _batches(events: Iterable[Event]) -> Iterator[list[Event]]:
    batch: list[Event] = []
    for event in events:
        batch.append(event)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
