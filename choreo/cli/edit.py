"""`choreo dead-letters edit`: a dead letter's event is changed, checked against its class, shown, and redriven.
Where its class is not here the schema that its bytes name stands in for that.

The edited event is another fact: whoever has seen the old one, or derived ids from it, must not take the new one for
it. So it has an id of its own, made from the old one and from what it says, and the old event is its cause.
"""

import json
import os
from collections.abc import Callable, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from pydantic import ValidationError

from choreo.cli.dead_letters import one_letter
from choreo.cli.desk import Ordered, ordered
from choreo.cli.letters import Desk, letter_id
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.record_filters import RecordFilters
from choreo.cli.redrive import Order, carry_out
from choreo.cli.tasks import at_terminal
from choreo.clock import SystemClock
from choreo.config.sections import did_you_mean
from choreo.errors import ChoreoError, ConfigError, DecodeError, PublishError
from choreo.events.by_schema import BySchema
from choreo.events.cloudevents import PREFIX
from choreo.events.envelope import Ids
from choreo.events.event import Event, key_text
from choreo.events.faults import faults_of
from choreo.record import NewRecord
from choreo.replay.letters import Letter
from choreo.replay.redrive import Refused, edited_ids, obstacle, revalued, rewritten
from choreo.telemetry.privacy import MASK, masked

Rewrite = Callable[[Letter, Event, Ids], NewRecord]
"""The record of a letter with another event in it, under these ids. Raises Refused and other ChoreoErrors."""


@command("edit")
@click.argument("letter", metavar="ID")
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="Another value; JSON after [ or {.")
@click.option("--body", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="All fields, as JSON.")
@ordered
def edit_letter(project: Project, letter: str, fields: Sequence[str], body: Path | None, desk: Ordered) -> int:
    """Change the event of a dead letter and put it where it came from, for the service that gave up on it.

    Without --set and --body, $EDITOR opens it. Personal fields are masked there: one that stays masked stays as it is.
    """
    desk.expect_reason()
    letters = Desk(project)
    found = one_letter(letters, letter, ("open",))
    event, rewrite = _editable(letters, found)
    edited = _edited(event, fields, body)
    lines = difference(event, edited)
    if not lines:
        raise ConfigError("nothing is changed by this", hint="to put it back as it is: choreo dead-letters redrive ID")
    _check_key(found, event, edited)
    row = {"id": letter_id(found), "diff": lines}
    if desk.dry_run:
        project.output.thing(row, lines)
        return 0
    if not project.output.as_json and not project.output.quiet:
        click.echo("\n".join(lines), err=True)

    def written(one: Letter, operation: UUID) -> NewRecord:
        try:
            ids = edited_ids(one, edited, operation, SystemClock().now())
            return rewrite(one, edited, ids)
        except Refused:
            raise
        except ChoreoError as error:
            raise Refused(f"it can't be written: {error.message}") from error

    asked = {"event": letter_id(found), "changed": json.dumps(lines)}
    order = Order("edit", "edited", (), (str(found.place),), RecordFilters(), written, asked=asked)
    return carry_out(letters, order, desk)


def _editable(desk: Desk, letter: Letter) -> tuple[Event, Rewrite]:
    """Its event, by its class or by its schema alone, and how another one becomes its record."""
    topics, codec = desk.topics(), desk.contents.codec
    if why := obstacle(letter, topics):
        raise ConfigError(f"dead letter {letter_id(letter)} can't be edited: {why}", at=letter.place)
    try:
        if codec.event_class(letter.record) is None:
            return _by_schema(desk, letter)
        return codec.event(letter.record), lambda one, event, ids: rewritten(one, event, ids, codec, topics)
    except ChoreoError as error:
        raise ConfigError(
            f"dead letter {letter_id(letter)} can't be edited: {error.message}",
            at=letter.place,
            why=error.why or "an edited event is checked against its class",
            hint="give the command in the directory of the project that has its class; or drop the letter",
        ) from error


def _by_schema(desk: Desk, letter: Letter) -> tuple[Event, Rewrite]:
    if any(name.startswith(PREFIX) for name, _ in letter.record.headers):
        raise DecodeError("it is a CloudEvent, whose headers only its class can write")
    by_schema = BySchema(desk.project.registry)
    event = by_schema.event(letter.record)
    if not desk.project.output.quiet:
        note(f"{event.contract.full_name} has no class here: what is changed is checked against its schema alone")

    def rewrite(one: Letter, edited: Event, ids: Ids) -> NewRecord:
        return revalued(one, by_schema.value(edited, one.record), ids, desk.topics())

    return event, rewrite


def _edited(event: Event, fields: Sequence[str], body: Path | None) -> Event:
    cls = type(event)
    before = event.model_dump(mode="json")
    if fields and body:
        raise ConfigError("both --set and --body were given", hint="one of them")
    if body:
        after = parsed(body.read_text(encoding="utf-8"), str(body))
    elif fields:
        after = before | dict(_given(cls, field) for field in fields)
    else:
        if not (at_terminal() or {"EDITOR", "VISUAL"} & os.environ.keys()):
            raise ConfigError("nobody is here to edit it", hint="--set FIELD=VALUE, or --body FILE with all fields")
        text = click.edit(json.dumps(masked(event), indent=2, default=str, ensure_ascii=False), extension=".json")
        after = before if text is None else parsed(text, "what was written")
    try:
        return cls.model_validate_json(json.dumps(unmasked(after, before)))
    except ValidationError as error:
        faults = faults_of(cls, error)
    raise ConfigError(f"no {cls.__name__}: {faults}", hint=f"fields: {', '.join(cls.model_fields)}")


def _given(cls: type[Event], field: str) -> tuple[str, Any]:
    name, mark, text = field.partition("=")
    if not mark:
        raise ConfigError(f"--set {field} is not FIELD=VALUE", hint=f"--set {name}=...")
    if name not in cls.model_fields:
        raise ConfigError(f"{cls.__name__} has no field {name}", hint=did_you_mean(name, cls.model_fields))
    return name, parsed(text, name) if text[:1] in ("[", "{") or text == "null" else text


def parsed(text: str, where: str) -> Any:
    """JSON as somebody wrote it. Raises ConfigError."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{where} is not JSON: {error}", at=text.strip()[:80]) from None


def unmasked(after: Any, before: Any) -> Any:
    """What was written, with what stayed masked as it was."""
    if after == MASK:
        return before
    if isinstance(after, dict) and isinstance(before, dict):
        return {name: unmasked(part, before.get(name)) for name, part in after.items()}
    if isinstance(after, list) and isinstance(before, list) and len(after) == len(before):
        return [unmasked(*pair) for pair in zip(after, before, strict=True)]
    return after


def difference(before: Event, after: Event) -> list[str]:
    """The lines of two events that differ; of personal fields no more than that they do."""
    if before == after:
        return []
    old, new = (json.dumps(masked(one), indent=2, default=str, ensure_ascii=False) for one in (before, after))
    names = ("as it lies there", "as it is put back")
    shown = list(unified_diff(old.splitlines(), new.splitlines(), *names, n=0, lineterm=""))
    return shown or ["(only masked fields differ)"]


def _check_key(letter: Letter, before: Event, after: Event) -> None:
    names = before.contract.key or tuple(name for name in type(before).model_fields if _is_key(letter, before, name))
    if any(getattr(before, name) != getattr(after, name) for name in names):
        raise ConfigError(
            f"the key can't be changed: {', '.join(names)}",
            at=letter.place,
            why="its service keeps what it knows by the key, and in the order of the key",
            hint="drop this letter, and emit the event anew: choreo emit",
        )


def _is_key(letter: Letter, event: Event, name: str) -> bool:
    """Whether a field has the text of the record's key: a schema does not say which one is the key."""
    try:
        return key_text(getattr(event, name)) == letter.record.key
    except PublishError:
        return False
