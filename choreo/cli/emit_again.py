"""`choreo replay emit`: selected records of topics once more, to the same topic or to another, marked as no news."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

import click

from choreo.cli.assembly import assemble
from choreo.cli.desk import Ordered, ordered
from choreo.cli.letters import Desk
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.record_filters import RecordFilters, filtered
from choreo.cli.redrive import RATE, at_once, counted, pace
from choreo.cli.story_code import services_on
from choreo.errors import ChoreoError, ConfigError, DecodeError, UnknownSchemaError, UnknownTopicError
from choreo.events.envelope import Ids
from choreo.record import Record
from choreo.replay.again import BATCH_RECORDS, Emission, Selection, Span, Window, span_of
from choreo.replay.selection import Condition
from choreo.runtime.plan import Plan

COLUMNS = ["topic", "event", "records", "to", "handled_by"]
UNREADABLE = "(no event)"


@command("emit")
@click.argument("topics", nargs=-1, metavar="TOPIC...")
@click.option("--to", metavar="TOPIC", help="Another topic than the one where they lie.")
@click.option("--from", "offset", type=click.IntRange(min=0), help="Only from this offset of each partition on.")
@click.option("--resume", metavar="OPERATION", help="Go on with one that was interrupted; it needs nothing else.")
@RATE
@filtered
@ordered
def emit_again(
    project: Project, topics: Sequence[str], filters: RecordFilters, desk: Ordered, resume: str | None, **options: Any
) -> int:
    """Put selected records of these topics on the log once more, marked, in order within a partition.

    TIMEs are about when a record was written. Records that were put there again themselves are left out. Who handles
    an event once more handles it as news, unless it looks at ctx.again: look with --dry-run.
    """
    place = Desk(project)
    if resume:
        if topics or filters.given or filters.limit or options["to"] or options["offset"] is not None:
            raise ConfigError(
                "--resume goes on with what was asked for then", hint=f"--resume {resume}, and nothing else"
            )
        return _resumed(place, resume, options["rate"])
    _check(place, topics, options["to"])
    window = _window(filters, options["offset"])
    span = span_of(project.past, topics, window)
    asked = filters.asked | {"topics": " ".join(topics), "span": span.dump()}
    asked |= {"to": options["to"]} if options["to"] else {}
    if desk.dry_run:
        return _looked_at(place, span, asked)
    desk.expect_reason()
    desk.confirm(
        project,
        f"up to {counted(span.records, 'record')} of {', '.join(topics)} to {options['to'] or 'the same topics'}",
    )
    operation = uuid4()
    place.operations.begin(operation, "emit", topics, desk.by, asked)
    return _emitted(place, operation, asked, span, options["rate"])


def _emitted(desk: Desk, operation: UUID, asked: Mapping[str, str], span: Span, rate: float | None) -> int:
    project = desk.project
    if not project.output.as_json and not project.output.quiet:
        click.echo(
            f"operation {operation}; where this is interrupted: choreo replay emit --resume {operation}", err=True
        )
    condition = _condition(desk, asked)
    selection = _selection(desk, asked, condition, at_once(rate, BATCH_RECORDS))
    emission = Emission(project.log, desk.operations, operation, asked.get("to"), pace(rate))
    with project.progress.of("replay emit", "records") as told:
        emitted = emission.run(selection, span, told)
    desk.operations.end(operation, {"emitted": emitted, "copies": selection.copies, "unread": selection.unread})
    row = {"operation": str(operation), "emitted": emitted, "copies": selection.copies, "unread": selection.unread}
    left_out = (
        f"; left out {counted(selection.copies, 'record')} that had been put there again" if selection.copies else ""
    )
    project.output.thing(row, [f"emitted {counted(emitted, 'record')} again (operation {operation}){left_out}"])
    return 0


def _resumed(desk: Desk, wanted: str, rate: float | None) -> int:
    told = desk.operations.told(wanted)
    began = told.began
    if began.kind != "emit":
        raise ConfigError(f"{began.operation} is no emission: {began.kind}", hint="give the same command once more")
    if told.ended:
        raise ConfigError(f"{began.operation} has ended: all that it was to emit is emitted")
    return _emitted(desk, began.operation, began.asked, Span.load(began.asked["span"]), rate)


def _condition(desk: Desk, asked: Mapping[str, str]) -> Condition | None:
    return Condition(asked["where"], desk.contents) if "where" in asked else None


def _selection(desk: Desk, asked: Mapping[str, str], condition: Condition | None, most: int) -> Selection:
    def wanted(record: Record, ids: Ids) -> bool:
        return condition is None or condition.holds(record, ids)

    limit = int(asked["limit"]) if "limit" in asked else None
    return Selection(desk.project.past, desk.ids, wanted, limit, most)


def _looked_at(desk: Desk, span: Span, asked: Mapping[str, str]) -> int:
    """How many records of which events would go where, and who of the project handles them."""
    condition = _condition(desk, asked)
    selection, counted = _selection(desk, asked, condition, BATCH_RECORDS), Counter[tuple[str, str]]()
    with desk.project.progress.of("replay emit", "records") as told:
        for batch, reached in selection.batches(span):
            counted.update((one.record.topic, _name(desk, one.record)) for one in batch)
            told(span.records - Span(reached, span.end).records, span.records)
    if condition is not None:
        condition.require_sense()
    plans = _plans(desk.project)
    rows = [
        {
            "topic": topic,
            "event": event,
            "records": number,
            "to": asked.get("to", topic),
            "handled_by": None if plans is None else _handlers(plans, asked.get("to", topic), event),
        }
        for (topic, event), number in sorted(counted.items())
    ]
    desk.project.output.listing(rows, COLUMNS, empty="no records like this")
    others = set(services_on(desk.topics())) - {plan.service.name for plan in plans or ()}
    if rows and others:
        note(f"whether {', '.join(sorted(others))} handle them is not known: their code is not here")
    return 0


def _name(desk: Desk, record: Record) -> str:
    try:
        return desk.contents.name(record)
    except (DecodeError, UnknownSchemaError):
        return UNREADABLE


def _plans(project: Project) -> list[Plan] | None:
    """Who handles what in the project; None where it can't be loaded here."""
    try:
        return assemble(project, []).plans()
    except ChoreoError:
        return None


def _handlers(plans: Sequence[Plan], topic: str, event: str) -> list[str]:
    return [
        plan.service.name
        for plan in plans
        if any(one.contract.full_name == event for one in plan.routes.get(topic, ()))
    ]


def _window(filters: RecordFilters, offset: int | None) -> Window:
    since, until = (None if micros is None else micros // 1000 for micros in filters.bounds())
    return Window(offset, since, until)


def _check(desk: Desk, topics: Sequence[str], to: str | None) -> None:
    """Raises ConfigError and UnknownTopicError for topics that can't be meant."""
    if not topics:
        raise ConfigError("which topics?", hint="choreo replay emit TOPIC..., or --resume OPERATION")
    known = desk.topics()
    for topic in [*topics, *([to] if to else [])]:
        if topic not in known:
            hint = f"choreo topics create {topic}" if topic == to else "choreo topics list"
            raise UnknownTopicError(f"there is no topic {topic}", at=desk.project.log.url, hint=hint)
    for topic in [to] if to else topics:
        if topic.startswith("choreo."):
            raise ConfigError(
                f"{topic} is a topic of Choreo's own: nothing is emitted to it",
                why="its records are what services have decided, in order; a second copy would be another history",
                hint="--to another topic",
            )
