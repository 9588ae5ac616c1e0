"""Which record can be copied to let a key go on: one that its service is sure to take, in the same task."""

from collections.abc import Callable

from choreo.events.envelope import Ids
from choreo.log.interface import Log
from choreo.log.up_to import places_on, read_between
from choreo.record import Record
from choreo.replay.pages import Journal
from choreo.replay.points import event_id_of
from choreo.runtime.intake import STORY, read_story
from choreo.runtime.parking import PARKED, load
from choreo.state.backend import Backend

EARLIER_MS = 60_000
"""So much earlier than its service thinks it was emitted an event is looked for: clocks differ."""


def carrier_of(
    log: Log, entries: Backend, service: str, task: int, key: bytes, ids: Callable[[Record], Ids]
) -> Record | None:
    """A record of the line of `key` itself, else the one that set the timer at its head; None where none is left."""
    line = [load(data) for _, data in entries.scan(PARKED.prefix((key,)))]
    found = next((waiting.record for waiting in line if waiting.record is not None), None)
    if found is not None or not line:
        return found
    story = entries.get(STORY.encode(line[0].timer))
    if story is None:
        return None
    cause, at, _ = read_story(story)
    topics = _inputs(log, f"choreo.{service}", task)
    places = [place for place in places_on(log, topics) if place.partition == task]
    starts = log.offsets_at(places, max(0, at // 1000 - EARLIER_MS))
    for records in read_between(log, starts, log.ends(places)):
        for record in records:
            if record.key == key and event_id_of(record, ids) == cause:
                return record
    return None


def _inputs(log: Log, scope: str, task: int) -> tuple[str, ...]:
    """The topics that a service reads, as the last page of its journal has them."""
    journal = Journal(log, scope, task)
    page = next(journal.pages(max(journal.last() - 1, 0)), None)
    return () if page is None else page.topics
