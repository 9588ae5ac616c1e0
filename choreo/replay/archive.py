"""Archives: topics of one log in files, kept after retention has deleted them. What lies where, and what it covers.

    DIR/archive.json             {"format": 1, "cluster_id": ...}: of which log this is
    DIR/topics/NAME/topic.json   {"format": 1, "topic", "topic_id", "partitions", "config"}
    DIR/topics/NAME/PARTITION/   the series of a partition: volumes (archive_volume.py)
    DIR/groups/GROUP.json        how far the groups had come whose journals are here (archive_groups.py)
    DIR/schemas/by-id/ID.avsc    the schemas that values name: the registry dir:DIR/schemas

Written by `archive_write.py`; to be read by any number of processes, also meanwhile.
"""

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from choreo.errors import ArchiveError, ConfigError
from choreo.log.interface import Topic
from choreo.record import Record, TopicPartition
from choreo.replay.archive_volume import Volume, read_volume, volume_of

FORMAT = 1


class Gap(NamedTuple):
    """Offsets that were gone when the archive was written. Not all of them need have been records."""

    begins: int
    ends: int


class ArchivedTopic(NamedTuple):
    """A topic as it was when it was last written to the archive."""

    topic: Topic
    config: Mapping[str, str]

    def partitions(self) -> list[TopicPartition]:
        return [TopicPartition(self.topic.name, number) for number in range(self.topic.partitions)]


class Series:
    """The volumes of one partition, in order."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        found = [volume_of(file) for file in directory.glob("[0-9]*.json")] if directory.is_dir() else []
        self.volumes = sorted(found, key=lambda volume: volume.begins)
        for before, after in pairwise(self.volumes):
            if after.begins < before.ends:
                why = f"{before.name} goes up to offset {before.ends}"
                raise ArchiveError(f"{after.name} begins within the one before it", at=directory, why=why)

    @property
    def begins(self) -> int | None:
        """The first offset that is covered; None where nothing is."""
        return self.volumes[0].begins if self.volumes else None

    @property
    def ends(self) -> int | None:
        """The offset after the last that is covered."""
        return self.volumes[-1].ends if self.volumes else None

    @property
    def count(self) -> int:
        """How many records there are."""
        return sum(volume.count for volume in self.volumes)

    @property
    def gaps(self) -> list[Gap]:
        """What is not covered below `ends`."""
        places = [0, *(place for volume in self.volumes for place in (volume.begins, volume.ends))]
        return [Gap(*pair) for pair in zip(places[::2], places[1::2], strict=False) if pair[0] < pair[1]]

    def records(self, start: int = 0, end: int | None = None) -> Iterator[list[Record]]:
        """The records from offset `start` up to `end`, in batches. Raises ArchiveError for a damaged file."""
        first = max(bisect_right(self.volumes, start, key=lambda volume: volume.begins) - 1, 0)
        for volume in self.volumes[first:]:
            if end is not None and volume.begins >= end:
                return
            for records in read_volume(self.directory, volume, start):
                if end is not None and records[-1].offset >= end:
                    if records := [record for record in records if record.offset < end]:
                        yield records
                    return
                yield records

    def skipping(self, count: int) -> Iterator[list[Record]]:
        """The records but for the first `count`, in batches."""
        for volume in self.volumes:
            if count >= volume.count:
                count -= volume.count
                continue
            for records in read_volume(self.directory, volume):
                if count < len(records):
                    yield records[count:]
                count = max(count - len(records), 0)

    def count_before(self, end: int) -> int:
        """How many records there are before offset `end`."""
        count = 0
        for volume in self.volumes:
            if volume.ends <= end:
                count += volume.count
            else:
                return count + sum(len(batch) for batch in self.records(volume.begins, end))
        return count

    def offset_at(self, timestamp_ms: int) -> int | None:
        """The first offset whose timestamp is at or after this one; None where there is none."""
        for volume in self.volumes:
            if volume.latest_ms >= timestamp_ms:
                start = next(block.first for block in volume.blocks if block.latest_ms >= timestamp_ms)
                for records in read_volume(self.directory, volume, start):
                    for record in records:
                        if record.timestamp_ms >= timestamp_ms:
                            return record.offset
        return None


class Archive:
    """An archive, to read. Raises ConfigError where there is none, ArchiveError where it can't be read."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        if not (directory / "archive.json").exists():
            raise ConfigError("there is no archive here", at=directory, hint="choreo archives write --to DIR makes one")
        said = read_json(directory / "archive.json", "the archive can't be read")
        self.cluster_id = str(said["cluster_id"])
        """Of the log that was archived."""
        self.schemas = directory / "schemas"
        """A registry of the schemas that values name: `dir:` this."""
        self._series: dict[TopicPartition, Series] = {}

    @cached_property
    def topics(self) -> Mapping[str, ArchivedTopic]:
        """Every topic that was written, by name."""
        found = {}
        for file in sorted(self.directory.glob("topics/*/topic.json")):
            said = read_json(file, "a topic of the archive can't be read")
            topic = Topic(said["topic"], said["partitions"], said["topic_id"])
            found[topic.name] = ArchivedTopic(topic, said["config"])
        return found

    def series(self, partition: TopicPartition) -> Series:
        """What there is of one partition: nothing, where nothing was written."""
        if partition not in self._series:
            self._series[partition] = Series(series_directory(self.directory, partition))
        return self._series[partition]

    def volumes(self, topic: str) -> list[tuple[Series, Volume]]:
        """Every file of a topic."""
        every = [self.series(partition) for partition in self.topics[topic].partitions()]
        return [(series, volume) for series in every for volume in series.volumes]


def topic_directory(directory: Path, topic: str) -> Path:
    """Where the files of a topic lie."""
    name = quote(topic, safe="")
    return directory / "topics" / (f"%2E{name[1:]}" if name.startswith(".") else name)


def series_directory(directory: Path, partition: TopicPartition) -> Path:
    """Where the volumes of a partition lie."""
    return topic_directory(directory, partition.topic) / str(partition.partition)


def read_json(file: Path, wrong: str) -> dict[str, Any]:
    """What a small file of the archive says. Raises ArchiveError, with `wrong` as what happened."""
    try:
        said: dict[str, Any] = json.loads(file.read_bytes())
        version = said["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArchiveError(wrong, at=file, why=str(error)) from error
    if version != FORMAT:
        raise ArchiveError(wrong, at=file, why=f"it is of format {version}", hint="run the Choreo that wrote it")
    return said
