"""`choreo operations list`: what operators changed on the log, who did it, why, and how far it has come."""

from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from cel_expr_python import cel

from choreo.cli.options import command
from choreo.cli.project import Project
from choreo.cli.record_filters import RecordFilters, filtered_by
from choreo.cli.records import read_to_end, uuid_text
from choreo.cli.row_filters import RowFilters
from choreo.clock import SystemClock
from choreo.errors import DecodeError
from choreo.events.codec import Codec
from choreo.replay.archive_events import TOPIC as RESTORES
from choreo.replay.archive_events import RestoreBegan
from choreo.replay.operations import Operations, Told

COLUMNS = ["operation", "at", "kind", "subjects", "who", "why", "state", "letters", "emitted"]
TEXT, NUMBER, MOMENT = cel.Type.STRING, cel.Type.INT, cel.Type.TIMESTAMP
TYPES = {
    **dict.fromkeys(("operation", "kind", "who", "why", "state"), TEXT),
    "subjects": cel.Type.List(TEXT),
    "at": MOMENT,
    "ended_at": MOMENT,
    "letters": NUMBER,
    "emitted": NUMBER,
    "asked": cel.Type.Map(TEXT, TEXT),
    "counts": cel.Type.Map(TEXT, NUMBER),
}


@command("list")
@filtered_by("kind == 'redrive' && who == 'ada'")
def list_operations(project: Project, filters: RecordFilters) -> None:
    """What operators did, in the order in which it began: redrives, edits, drops, releases, records once more,
    rebuilds, restores of archives.

    TIMEs are about when it began. Conditions speak of operation, kind, subjects, who, why, state (`ended`, or `began`:
    under way or interrupted), at, ended_at, letters, emitted, asked and counts.
    """
    wanted = RowFilters(filters, TYPES)
    rows = sorted([*_operations(project), *_restores(project)], key=itemgetter("at"))
    project.output.listing(wanted.chosen(rows, "at", "at"), COLUMNS, empty="no operator has changed anything here")


def _operations(project: Project) -> Iterator[dict[str, Any]]:
    operations = Operations(project.log, project.registry, SystemClock().now, project.past)
    return map(_row, operations.all())


def _row(told: Told) -> dict[str, Any]:
    began, ended = told.began, told.ended
    return {
        "operation": str(began.operation),
        "kind": began.kind,
        "subjects": list(began.subjects),
        "who": began.who,
        "why": began.why,
        "state": "began" if ended is None else "ended",
        "at": began.at,
        "ended_at": None if ended is None else ended.at,
        "letters": told.letters,
        "emitted": told.last.emitted if told.last else 0,
        "asked": began.asked,
        "counts": {} if ended is None else ended.counts,
    }


def _restores(project: Project) -> Iterator[dict[str, Any]]:
    """Restores of archives stand on a topic of their own: that of operations is among what they restore."""
    codec = Codec(project.registry, (RestoreBegan,), project.log.cluster_id())
    for record in read_to_end(project.log, [RESTORES]):
        try:
            began, ids = codec.event(record), codec.ids(record)
        except DecodeError:
            continue  # of a later release
        assert isinstance(began, RestoreBegan)
        asked = {"archive": began.archive, "cluster_id": began.cluster_id}
        yield {
            "operation": uuid_text(ids.event_id),
            "kind": "restore",
            "subjects": list(began.topics),
            "who": began.who,
            "why": began.why,
            "state": "began",
            "at": began.at,
            "ended_at": None,
            "letters": 0,
            "emitted": began.records,
            "asked": asked,
            "counts": {},
        }
