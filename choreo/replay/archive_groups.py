"""Where the groups of Choreo's services stood: kept in an archive with their journals, and given back with them.

What a group has committed and what its journal says are one transaction, but an archive can't ask for both at one
instant. So the offsets are asked for after the end of the journal; what its pages from about there on took is added
when they are read. By that a group goes on behind just those inputs that the archived journal has.

    DIR/groups/GROUP.json   {"format": 1, "group", "offsets": [[topic, partition, offset]], "journal": [end, ...]}
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from choreo.log.interface import Log
from choreo.record import Record, TopicPartition
from choreo.replay.archive import FORMAT, Archive, Series, read_json
from choreo.replay.archive_volume import put_file
from choreo.runtime.journal import LAST_PAGE, Inputs, Page, page_number, read_pages

JOURNAL, CHANGELOG = ".journal", ".changelog"
BEFORE = 1_000
"""Offsets before the noted end of a journal from which its pages are read: on Kafka a commit is seen in a journal a
moment before it is seen in the offsets of its group.
"""


class Stood(NamedTuple):
    """What a group had committed, and where its journal ended, by partition, just before."""

    group: str
    offsets: Mapping[TopicPartition, int]
    journal: Sequence[int]


def stood(log: Log, journals: Iterable[str]) -> list[Stood]:
    """How the groups with these journals stand now."""
    known, found = log.topics(), []
    every = [TopicPartition(name, number) for name, topic in known.items() for number in range(topic.partitions)]
    for journal in journals:
        places = [TopicPartition(journal, number) for number in range(known[journal].partitions)]
        ends = log.settled(places)
        group = journal.removesuffix(JOURNAL)
        committed = log.committed(group, every)
        offsets = {place: offset for place, offset in committed.items() if offset is not None}
        found.append(Stood(group, offsets, [ends[place] for place in places]))
    return found


def keep(directory: Path, one: Stood) -> None:
    """Write it into an archive, in the place of what was known of this group before."""
    rows = [[*place, offset] for place, offset in sorted(one.offsets.items())]
    said = {"format": FORMAT, "group": one.group, "offsets": rows, "journal": list(one.journal)}
    place = _file(directory, one.group)
    place.parent.mkdir(parents=True, exist_ok=True)
    put_file(place, json.dumps(said, indent=2).encode() + b"\n")


def kept(archive: Archive, group: str) -> Stood:
    """What an archive has of a group; of one written before this was kept, that nothing is known but its journal."""
    place = _file(archive.directory, group)
    if not place.exists():
        return Stood(group, {}, ())
    said = read_json(place, "where a group stood can't be read")
    offsets = {TopicPartition(topic, number): offset for topic, number, offset in said["offsets"]}
    return Stood(group, offsets, said["journal"])


@dataclass
class Standpoint:
    """Where a group goes on by what an archive has: offsets of the archived log."""

    group: str
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    without: list[int] = field(default_factory=list)
    """Tasks of whose entries the archive has nothing: they are to be rebuilt before the group goes on."""
    torn: list[int] = field(default_factory=list)
    """Tasks whose changelog was archived at another checkpoint than their journal."""


def standpoint_of(archive: Archive, group: str) -> Standpoint:
    """Where the archived journal of a group ends. Raises ArchiveError and DecodeError for what can't be read."""
    was = kept(archive, group)
    found = Standpoint(group, dict(was.offsets))
    for number in range(archive.topics[group + JOURNAL].topic.partitions):
        series, last = archive.series(TopicPartition(group + JOURNAL, number)), 0
        noted = was.journal[number] if number < len(was.journal) else 0
        ends = (series.ends or 0) - BEFORE
        for page in _pages(series, max(min(noted - BEFORE, ends), 0)):
            last = page.checkpoint
            _add(found.offsets, page, number)
        known = _last_page_in_changelog(archive, group, number)
        if last != known:
            (found.torn if known else found.without).append(number)
    return found


def on_new_log(archive: Archive, offsets: Mapping[TopicPartition, int], keeps: bool) -> dict[TopicPartition, int]:
    """The same places on the log into which the archive was restored; `keeps`: whether it keeps offsets.

    What was deleted before it was archived and never handled is not passed over: where offsets are kept, the offset
    says so; where they are not, there is none.
    """
    found = {}
    for place, offset in offsets.items():
        series = archive.series(place)
        if keeps:
            found[place] = min(offset, series.ends or 0)
        elif offset >= (series.begins or 0):
            found[place] = series.count_before(offset)
    return found


def _add(offsets: dict[TopicPartition, int], page: Page, partition: int) -> None:
    for step in page.steps:
        if isinstance(step, Inputs):
            place = TopicPartition(page.topics[step.topic], partition)
            offsets[place] = max(offsets.get(place, 0), step.last + 1)


def _pages(series: Series, start: int) -> Iterable[Page]:
    return read_pages(record for batch in series.records(start) for record in batch)


def _last_page_in_changelog(archive: Archive, group: str, partition: int) -> int:
    topic = archive.topics.get(group + CHANGELOG)
    if topic is None or partition >= topic.topic.partitions:
        return 0
    last: Record | None = None
    for batch in archive.series(TopicPartition(group + CHANGELOG, partition)).records():
        last = next((record for record in reversed(batch) if record.key == LAST_PAGE), last)
    return 0 if last is None or last.value is None else page_number(last.value)


def _file(directory: Path, group: str) -> Path:
    return directory / "groups" / f"{group}.json"
