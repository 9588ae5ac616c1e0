"""`choreo archives`: topics in files, kept after retention has deleted them, and put on a log again."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from cel_expr_python import cel

from choreo.cli.assembly import assemble
from choreo.cli.desk import Ordered, ordered
from choreo.cli.options import command
from choreo.cli.output import note
from choreo.cli.project import Project
from choreo.cli.record_filters import RecordFilters, filtered_by
from choreo.cli.row_filters import RowFilters
from choreo.cli.time_span import moment_of
from choreo.cli.topics import kind_of
from choreo.clock import SystemClock, to_datetime
from choreo.errors import ArchiveError, ConfigError
from choreo.events.codec import Codec
from choreo.replay.archive import Archive, Series
from choreo.replay.archive_events import TOPIC as RESTORES
from choreo.replay.archive_events import TOPIC_SPEC, RestoreBegan
from choreo.replay.archive_restore import Restore, give_schemas
from choreo.replay.archive_volume import CODECS, Volume, check_volume
from choreo.replay.archive_write import ArchiveWriter, Written
from choreo.service.client import fresh_ids

FOUND = 1
TOPICS = ["topic", "kind", "partitions", "records", "files", "bytes", "from", "until", "missing"]
FILES = ["partition", "file", "first", "last", "records", "bytes", "from", "until"]
AT_ONCE_SHOWN = 5
TYPES = {
    **dict.fromkeys(("topic", "kind"), cel.Type.STRING),
    **dict.fromkeys(("partitions", "records", "files", "missing"), cel.Type.INT),
    **dict.fromkeys(("from", "until"), cel.Type.TIMESTAMP),
}
"""What a condition may speak of; `bytes` is a word of CEL's."""


@command("write")
@click.argument("topics", nargs=-1, metavar="[TOPIC...]")
@click.option("--to", metavar="DIR", help="The directory of the archive. Default: [log] archive of the settings.")
@click.option("--until", metavar="TIME", help="Only what was written before: 2026-11-22T08:00, or 30d for so long ago.")
@click.option("--codec", type=click.Choice(CODECS), default=CODECS[0], help="How files are packed; null: not at all.")
def write_archive(project: Project, topics: Sequence[str], to: str | None, until: str | None, codec: str) -> None:
    """Write what these topics hold and the archive does not, none = all that a replay needs: events, journals,
    lifecycles, specs and dead letters. Changelogs are written where they are named.

    Given again, it goes on where it stopped.
    """
    until_ms = None if until is None else -(-moment_of("--until", until, SystemClock().now()) // 1000)
    writer = ArchiveWriter(_directory(project, to, "--to"), project.log, project.registry, codec)
    rows: list[Written] = []
    try:
        portions = writer.portions(topics or _needed(project), until_ms)
        with project.progress.of("archiving", "offsets") as told:
            rows += writer.write(portions, told)
    finally:
        writer.close()
    for row in rows:
        if row.missing:
            note(f"{row.topic}: {row.missing} offsets were gone before they could be written")
    shown = [row._asdict() | {"files": row.volumes} for row in rows if row.records or project.output.verbose]
    project.output.listing(shown, ["topic", "records", "files", "bytes", "missing"], empty="nothing new on the log")


@command("list")
@click.option("--from", "source", metavar="DIR", help="The archive. Default: [log] archive of the settings.")
@filtered_by("missing > 0")
def list_archive(project: Project, source: str | None, filters: RecordFilters) -> None:
    """Every topic of an archive: how far it goes, and what it lacks.

    With TIMEs those of which anything was written then. Conditions speak of topic, kind, partitions, records, files,
    from, until and missing.
    """
    archive = Archive(_directory(project, source, "--from"))
    wanted = RowFilters(filters, TYPES)
    rows = list(wanted.chosen((_topic_row(archive, name) for name in sorted(archive.topics)), "from", "until"))
    project.output.listing(rows, TOPICS, empty=f"nothing in {archive.directory}")
    for row in rows:
        for gap in row["gaps"][:AT_ONCE_SHOWN]:
            note(f"{row['topic']}: {gap}")


@command("show")
@click.argument("topic")
@click.option("--from", "source", metavar="DIR", help="The archive. Default: [log] archive of the settings.")
@click.option("--check", is_flag=True, help="Read every file of it. Exit code 1 where one is damaged.")
def show_archive(project: Project, topic: str, source: str | None, check: bool) -> int:
    """The files of one topic, partition by partition, and their digests (--json)."""
    archive = Archive(_directory(project, source, "--from"))
    _expect_known(archive, [topic])
    found, rows, faults = archive.volumes(topic), [], []
    with project.progress.of("reading", "files") as told:
        for number, (series, volume) in enumerate(found, 1):
            row = _file_row(series, volume)
            if check:
                try:
                    check_volume(series.directory, volume)
                except ArchiveError as error:
                    faults.append(str(error))
                    row["fault"] = error.at
            rows.append(row)
            told(number, len(found))
    project.output.listing(rows, FILES, empty=f"nothing of {topic}")
    for fault in faults:
        note(fault)
    return FOUND if faults else 0


@command("restore")
@click.argument("topics", nargs=-1, metavar="[TOPIC...]")
@click.option("--from", "source", metavar="DIR", help="The archive. Default: [log] archive of the settings.")
@ordered
def restore_archive(project: Project, topics: Sequence[str], source: str | None, desk: Ordered) -> None:
    """Put these topics (none = all) of an archive on a log that does not have them, with their keys, headers, times and
    event ids. Given again after an interruption, it goes on where it stopped.

    An embedded log gets every offset back. Kafka numbers records anew, from 0.
    """
    desk.expect_reason()
    archive = Archive(_directory(project, source, "--from"))
    _expect_known(archive, topics)
    wanted = list(topics or archive.topics)
    restore = Restore(project.make_log(), archive, wanted)
    rows = [_due_row(restore, name) for name in sorted(wanted)]
    if not desk.dry_run and not restore.complete:
        desk.confirm(project, f"{restore.left:,} records of {len(wanted)} topics, to be put on {project.log.url}")
        restore.make_topics()
        _tell(project, restore, archive, wanted, *desk.by)
        with project.progress.of("restoring", "records") as told:
            restore.run(told)
        restore.give_back()
        _tell_groups(restore)
    project.output.listing(rows, ["topic", "partitions", "there", "restored"], empty="nothing in the archive")


def _tell_groups(restore: Restore) -> None:
    """What whoever starts the services has to know."""
    for one in restore.groups:
        service = one.group.removeprefix("choreo.")
        for place, count in sorted(one.lost.items()):
            note(f"{service}: {count:,} offsets of {place} were deleted before it had come to them, and not archived")
        if one.torn:
            note(f"{service}: its changelog does not fit its journal, it was at work while they were archived")
            note(f"{service} gets no offsets back: restore it without its changelog, and rebuild it")
        elif one.without:
            beside = "" if restore.keeps_offsets else f" --archive {restore.archive.directory}"
            note(f"{service} has no stores here: before it is started, choreo replay rebuild {service}{beside}")


def _tell(project: Project, restore: Restore, archive: Archive, topics: Sequence[str], who: str, why: str) -> None:
    """Put on the log what is restored, by whom and why; and into the registry what it lacks to read it."""
    now = SystemClock().now()
    began = RestoreBegan(
        cluster_id=archive.cluster_id,
        archive=str(archive.directory.absolute()),
        topics=tuple(sorted(topics)),
        records=restore.left,
        who=who,
        why=why,
        at=to_datetime(now),
    )
    if unknown := give_schemas(archive, project.registry):
        shown = ", ".join(map(str, unknown))
        note(f"the registry gives ids of its own and lacks {shown}: read with --registry dir:{archive.schemas}")
    project.log.create_topics([TOPIC_SPEC])
    project.log.append([Codec(project.registry, (), project.log.cluster_id()).encode(began, fresh_ids(now))])


def _directory(project: Project, given: str | None, option: str) -> Path:
    directory = given or project.config.log.archive
    if not directory:
        raise ConfigError("which archive?", hint=f'{option} DIR, or [log] archive = "DIR" in choreo.toml')
    return Path(directory)


def _needed(project: Project) -> list[str]:
    """What a replay reads: of a log that others use too, the topics of this project and Choreo's own; no changelogs.

    Raises ConfigError where there is no project that says which these are.
    """
    known = [name for name in project.log.topics() if kind_of(name) != "changelog" and name != RESTORES]
    if not project.log.url.startswith("kafka:"):
        return known
    plans = assemble(project, ()).plans()
    named = {name for plan in plans for name in plan.topics}
    named |= {event.contract.topic for plan in plans for event in plan.classes if event.contract.topic}
    return [name for name in known if name in named or name.startswith("choreo.")]


def _expect_known(archive: Archive, topics: Sequence[str]) -> None:
    for name in topics:
        if name not in archive.topics:
            known = ", ".join(sorted(archive.topics)) or "none"
            raise ConfigError(f"there is no topic {name} in the archive", at=archive.directory, hint=f"known: {known}")


def _topic_row(archive: Archive, name: str) -> dict[str, Any]:
    topic = archive.topics[name]
    found = archive.volumes(name)
    return {
        "topic": name,
        "kind": kind_of(name),
        "partitions": topic.topic.partitions,
        "records": sum(volume.count for _, volume in found),
        "files": len(found),
        "bytes": sum(volume.size for _, volume in found),
        "from": min((_moment_of(volume.first_ms) for _, volume in found), default=None),
        "until": max((_moment_of(volume.latest_ms) for _, volume in found), default=None),
        "missing": sum(gap.ends - gap.begins for place in topic.partitions() for gap in archive.series(place).gaps),
        "gaps": [text for place in topic.partitions() for text in _gaps(place.partition, archive.series(place))],
        "topic_id": topic.topic.topic_id,
        "config": dict(topic.config),
        "cluster_id": archive.cluster_id,
    }


def _gaps(partition: int, series: Series) -> Iterator[str]:
    for gap in series.gaps:
        yield f"offsets {gap.begins} to {gap.ends - 1} of partition {partition} were gone before they could be written"


def _file_row(series: Series, volume: Volume) -> dict[str, Any]:
    return {
        "topic": volume.topic,
        "partition": volume.partition,
        "file": volume.name,
        "path": series.directory / volume.name,
        "begins": volume.begins,
        "ends": volume.ends,
        "first": volume.first,
        "last": volume.last,
        "records": volume.count,
        "blocks": len(volume.blocks),
        "bytes": volume.size,
        "codec": volume.codec,
        "sha256": volume.sha256,
        "from": _moment_of(volume.first_ms),
        "until": _moment_of(volume.last_ms),
        "strange_schemas": list(volume.strange),
    }


def _due_row(restore: Restore, name: str) -> dict[str, Any]:
    its = [due for due in restore.due if due.partition.topic == name]
    there, left = sum(due.done for due in its), sum(due.left for due in its)
    return {"topic": name, "partitions": len(its), "there": there, "restored": left}


def _moment_of(timestamp_ms: int) -> datetime:
    return to_datetime(timestamp_ms * 1000)
