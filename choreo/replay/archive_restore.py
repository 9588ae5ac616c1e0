"""Restoring an archive into a log that has none of its topics yet, or an earlier, interrupted restore of them.

What is there says how far it came: a restore goes on at the ends of the partitions, so a kill loses and doubles
nothing. Logs in this process and on this machine keep every offset, and the log's id; Kafka can't write at a chosen
offset: there the n-th record of a partition gets offset n, while a journal's offsets mean those of the archive: it is
replayed from there. Behind the records come the offsets of the groups whose journals are among them.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from choreo.errors import ArchiveError, PartitionCountError, UnknownSchemaError
from choreo.events.registry import DirectoryRegistry, Registry
from choreo.log.interface import Log
from choreo.record import Record, TopicPartition
from choreo.replay.archive import Archive, ArchivedTopic, Series
from choreo.replay.archive_groups import JOURNAL, on_new_log, standpoint_of
from choreo.told import Told

WRITE_AT_ONCE = 2000


class Due(NamedTuple):
    """What is still to be restored of one partition: all but `done` of its records; `end` is where the log stands."""

    partition: TopicPartition
    series: Series
    end: int
    done: int

    @property
    def left(self) -> int:
        return self.series.count - self.done


class GroupDue(NamedTuple):
    """What is still to be given back to one group: offsets of the log that is restored."""

    group: str
    offsets: Mapping[TopicPartition, int]
    without: Sequence[int]
    """Tasks whose stores are to be rebuilt before the group goes on: the archive does not have their changelog."""
    torn: Sequence[int]
    """Tasks whose changelog was archived while they were at work: it does not fit the journal, and nothing is due."""
    lost: Mapping[TopicPartition, int]
    """By partition, how many offsets were deleted before they were archived and before the group had come to them."""


class Restore:
    """Takes topics of an archive back. Raises ArchiveError where the log has other records in them already, and
    PartitionCountError.
    """

    def __init__(self, log: Log, archive: Archive, topics: Sequence[str]) -> None:
        self._log, self.archive = log, archive
        self._restorer = log.restorer(archive.cluster_id)
        self.keeps_offsets = self._restorer.keeps_offsets
        """Whether records come to lie where they lay."""
        self._topics = [archive.topics[name] for name in topics]
        known = log.topics()
        self._all_there = all(name in known for name in topics)
        self.due: list[Due] = []
        for topic in self._topics:
            there = known.get(topic.topic.name)
            if there is not None and there.partitions != topic.topic.partitions:
                raise PartitionCountError(
                    f"{there.name} has {there.partitions} partitions here, {topic.topic.partitions} in the archive",
                    at=log.url,
                )
            places = topic.partitions()
            starts = log.starts(places) if there is not None else {}
            ends = log.ends(places) if there is not None else {}
            self.due += [self._due(place, starts.get(place, 0), ends.get(place, 0)) for place in places]

    @property
    def left(self) -> int:
        """How many records are to be restored."""
        return sum(due.left for due in self.due)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do: every topic is there, with all of its records, and ends where it should."""
        there = self._all_there and not any(due.left or self._ends_early(due) for due in self.due)
        return there and not any(one.offsets for one in self.groups)

    @cached_property
    def groups(self) -> list[GroupDue]:
        """Every group whose journal is among the topics. What it has committed here already stays."""
        wanted = {topic.topic.name for topic in self._topics}
        known, found = self._log.topics(), []
        for journal in sorted(name for name in wanted if name.startswith("choreo.") and name.endswith(JOURNAL)):
            group = journal.removesuffix(JOURNAL)
            stands = standpoint_of(self.archive, group)
            its = {place: at for place, at in stands.offsets.items() if place.topic in wanted}
            begins = {place: self.archive.series(place).begins or 0 for place in its}
            lost = {place: begins[place] - at for place, at in its.items() if at < begins[place]}
            there = self._log.committed(group, [place for place in its if place.topic in known])
            due = on_new_log(self.archive, its, self.keeps_offsets)
            left = {place: at for place, at in due.items() if there.get(place) is None and not stands.torn}
            found.append(GroupDue(group, left, stands.without, stands.torn, lost))
        return found

    def give_back(self) -> None:
        """Let the groups go on where they were, once all records are back. Raises StaleMemberError for one at work."""
        for one in self.groups:
            if one.offsets:
                self._restorer.give_back(one.group, one.offsets)

    def make_topics(self) -> None:
        """Make the topics, as they were.

        One of which only the last value of a key counts gets an id of its own, so that no store that was restored from
        the former one is trusted.
        """
        for topic in self._topics:
            made = topic.topic if not _is_compacted(topic) else topic.topic._replace(topic_id="")
            begins = {place.partition: self.archive.series(place).begins or 0 for place in topic.partitions()}
            self._restorer.make(made, topic.config, begins)

    def run(self, told: Told) -> None:
        """Restore what is due. Interrupted at any point, the same again goes on there."""
        total, done = self.left, 0
        for due in self.due:
            for records in due.series.skipping(due.done):
                for batch in _cut(records):
                    self._restorer.write(batch, {due.partition: batch[-1].offset + 1})
                    done += len(batch)
                    told(done, total)
            if self._ends_early(due):
                self._restorer.write([], {due.partition: due.series.ends or 0})

    def _ends_early(self, due: Due) -> bool:
        """Whether markers are to come behind the last record: where offsets are kept, they count."""
        return self.keeps_offsets and due.end < (due.series.ends or 0)

    def _due(self, place: TopicPartition, start: int, end: int) -> Due:
        """How far a partition is restored already, if what it has is what the archive has."""
        series = self.archive.series(place)
        if end == start:
            done = 0
        elif self.keeps_offsets:
            done = series.count_before(end)
        else:
            done = end
        wanted_start = (series.begins or 0) if self.keeps_offsets else 0
        last_place = (series.ends or 0) if self.keeps_offsets else series.count
        if end > start and (start != wanted_start or end > last_place or not self._agrees(place, series, start, done)):
            raise ArchiveError(
                f"{place} is not empty",
                at=self._log.url,
                why=f"its records, offsets {start} to {end - 1}, are not those that the archive has first",
                hint="restore into a log without these topics",
            )
        return Due(place, series, end, done)

    def _agrees(self, place: TopicPartition, series: Series, start: int, done: int) -> bool:
        """Whether the last record that is there is the one of the archive: what is before came before it."""
        if not done:
            return True
        wanted = next(series.skipping(done - 1))[0]
        offset = wanted.offset if self.keeps_offsets else done - 1
        with self._log.reader({place: offset}) as reader:
            found = next(iter(reader.read(10.0, 1)), None)
        return found is not None and _content(found) == _content(wanted)


def give_schemas(archive: Archive, registry: Registry) -> list[int]:
    """Have the registry know every schema that archived values name; answers the ids that it can't know."""
    kept, lacking = DirectoryRegistry(archive.schemas), []
    for schema_id, subject in kept.ids().items():
        try:
            registry.schema(schema_id)
        except UnknownSchemaError:
            if not registry.keep(schema_id, subject, kept.schema(schema_id)):
                lacking.append(schema_id)
    return lacking


def _content(record: Record) -> object:
    return record.key, record.value, [(name, mark or b"") for name, mark in record.headers]


def _cut(records: list[Record]) -> Iterator[list[Record]]:
    for first in range(0, len(records), WRITE_AT_ONCE):
        yield records[first : first + WRITE_AT_ONCE]


def _is_compacted(topic: ArchivedTopic) -> bool:
    return "compact" in topic.config.get("cleanup.policy", "")
