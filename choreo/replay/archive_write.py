"""Writing an archive: what is settled on the log and not in the archive yet, topic by topic, volume by volume.

Finished volumes stay whatever happens; what was begun is written anew by the next run, which goes on where the last
finished volume of each partition ends. So no offset is ever written twice.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from choreo.errors import ArchiveError, SchemaError, StateInUseError, UnknownSchemaError, UnknownTopicError
from choreo.events.registry import Registry
from choreo.log.interface import Log, Topic
from choreo.log.up_to import read_up_to
from choreo.record import Record, TopicPartition
from choreo.replay.archive import FORMAT, Archive, Series, read_json, series_directory, topic_directory
from choreo.replay.archive_groups import JOURNAL, Stood, keep, stood
from choreo.replay.archive_volume import VOLUME_BYTES, VolumeWriter, put_file
from choreo.state.lock import DirectoryLock
from choreo.told import Told

READ_AT_ONCE = 2000
_MAGIC, _FRAME = 0, 5
"""Confluent's frame: 0, then the schema's id in four bytes."""


class Portion(NamedTuple):
    """What is to be written of one partition, and where the archive ended before: less than `start` is a gap."""

    partition: TopicPartition
    covered: int
    start: int
    end: int


class Written(NamedTuple):
    """What one run wrote of one topic. `missing`: offsets that were gone already, markers counted."""

    topic: str
    records: int
    volumes: int
    bytes: int
    missing: int


class ArchiveWriter:
    """Writes the archive in a directory, alone. Raises ArchiveError where another process does, or for another log."""

    def __init__(
        self, directory: Path, log: Log, registry: Registry, codec: str, volume_bytes: int = VOLUME_BYTES
    ) -> None:
        self._directory, self._log, self._codec, self._volume_bytes = directory, log, codec, volume_bytes
        try:
            self._lock = DirectoryLock(directory, 0)
        except StateInUseError as error:
            raise ArchiveError("another process writes this archive", at=directory, why=error.why) from error
        try:
            self._archive = self._opened()
        except BaseException:
            self._lock.close()
            raise
        self._schemas = KeptSchemas(directory / "schemas", registry)
        self._packing = ThreadPoolExecutor(1, "archive")
        self._stood: list[Stood] = []

    def portions(self, topics: Iterable[str], until_ms: int | None = None) -> list[Portion]:
        """What is new in these topics: up to the first record at or after `until_ms`, and to what is settled.

        Journals are asked for their ends before what they name: so an archive has the inputs of each page that it has.
        How far their groups have come is asked before that.
        Raises UnknownTopicError, and ArchiveError for a topic that is another one than the one in the archive.
        """
        known = self._log.topics()
        places: list[TopicPartition] = []
        for name in sorted(topics, key=lambda name: not name.endswith(JOURNAL)):
            if name not in known:
                raise UnknownTopicError(f"there is no topic {name}", at=self._log.url, hint="choreo topics list")
            self._expect_same(known[name])
            places += [TopicPartition(name, number) for number in range(known[name].partitions)]
        journals = [place for place in places if place.topic.endswith(JOURNAL)]
        own = dict.fromkeys(place.topic for place in journals if place.topic.startswith("choreo."))
        self._stood = stood(self._log, own)
        ends = self._log.settled(journals)
        ends |= self._log.settled(place for place in places if place not in ends)
        if until_ms is not None:
            until = self._log.offsets_at(places, until_ms)
            ends = {place: min(end, until[place]) for place, end in ends.items()}
        starts = self._log.starts(places)
        covered = {place: Series(series_directory(self._directory, place)).ends or 0 for place in places}
        return [Portion(place, covered[place], max(covered[place], starts[place]), ends[place]) for place in places]

    def write(self, portions: Sequence[Portion], told: Told) -> Iterable[Written]:
        """Write them, topic by topic, and then how far the groups had come whose journals are among them.

        Raises LogUnavailableError, DiskFullError and ArchiveError; what is finished by then stays.
        """
        known = self._log.topics()
        total = sum(max(portion.end - portion.start, 0) for portion in portions)
        done = 0
        for name in dict.fromkeys(portion.partition.topic for portion in portions):
            its = [portion for portion in portions if portion.partition.topic == name]
            self._note(known[name])
            with ExitStack() as discarded:
                work = _TopicWork(self, its, discarded)
                starts = {portion.partition: portion.start for portion in its if portion.start < portion.end}
                ends = {portion.partition: portion.end for portion in its}
                for records, reached in read_up_to(self._log, starts, ends, READ_AT_ONCE):
                    work.take(records, {place: min(at, ends[place]) for place, at in reached.items()})
                    told(done + work.passed, total)
                work.finish()
            done += sum(max(portion.end - portion.start, 0) for portion in its)
            told(done, total)
            yield work.written(name)
        written = {portion.partition: portion.end for portion in portions}
        for one in self._stood:
            places = [TopicPartition(one.group + JOURNAL, number) for number in range(len(one.journal))]
            if all(written[place] >= noted for place, noted in zip(places, one.journal, strict=True)):  # else cut off
                keep(self._directory, one)

    def close(self) -> None:
        """Let others write it."""
        self._packing.shutdown()
        self._lock.close()

    def begin(self, portion: Portion, begins: int) -> VolumeWriter:
        """A new volume of a partition."""
        directory = series_directory(self._directory, portion.partition)
        return VolumeWriter(directory, portion.partition, begins, self._codec, self._packing)

    def end(self, volume: VolumeWriter, ends: int, named: set[bytes]) -> None:
        """Finish a volume, once the schemas that its values name are kept."""
        volume.finish(ends, self._schemas.keep(named))

    def is_full(self, volume: VolumeWriter) -> bool:
        return volume.reaches(self._volume_bytes)

    def _opened(self) -> Archive:
        mark = self._directory / "archive.json"
        cluster_id = self._log.cluster_id()
        if not mark.exists():
            put_file(mark, _as_json({"format": FORMAT, "cluster_id": cluster_id}))
        archive = Archive(self._directory)
        if archive.cluster_id != cluster_id:
            raise ArchiveError(
                f"this archive is of log {archive.cluster_id}",
                at=self._directory,
                why=f"{self._log.url} is log {cluster_id}",
                hint="a log has an archive of its own: --to ANOTHER_DIR",
            )
        for place in ("", "groups/", "topics/*/", "topics/*/*/", "schemas/by-id/"):
            for draft in self._directory.glob(f"{place}.*.part"):
                draft.unlink(missing_ok=True)  # of a run that was killed
        return archive

    def _expect_same(self, topic: Topic) -> None:
        archived = self._archive.topics.get(topic.name)
        if archived is not None and archived.topic.topic_id != topic.topic_id:
            raise ArchiveError(
                f"topic {topic.name} was deleted and made again since it was archived",
                at=self._directory,
                why="its offsets stand for other records now",
                hint="write it to another directory, or leave it out",
            )

    def _note(self, topic: Topic) -> None:
        place = topic_directory(self._directory, topic.name) / "topic.json"
        said = {
            "format": FORMAT,
            "topic": topic.name,
            "topic_id": topic.topic_id,
            "partitions": topic.partitions,
            "config": dict(self._log.config(topic.name)),
        }
        if not place.exists() or read_json(place, "a topic of the archive can't be read") != said:
            place.parent.mkdir(parents=True, exist_ok=True)
            put_file(place, _as_json(said))


class _TopicWork:
    """The volumes of one topic that are being written, one a partition."""

    def __init__(self, writer: ArchiveWriter, portions: Sequence[Portion], discarded: ExitStack) -> None:
        self._writer, self._discarded = writer, discarded
        self._topic = portions[0].partition.topic
        self._portions = {portion.partition: portion for portion in portions}
        self._begins = {portion.partition: portion.start for portion in portions}
        self._reached = dict(self._begins)
        self._open: dict[TopicPartition, VolumeWriter] = {}
        self._named: dict[TopicPartition, set[bytes]] = {}
        self._records = self._volumes = self._bytes = 0

    @property
    def passed(self) -> int:
        """How many offsets were gone through."""
        return sum(self._reached[place] - portion.start for place, portion in self._portions.items())

    def take(self, records: Sequence[Record], reached: Mapping[TopicPartition, int]) -> None:
        """Write these; all before `reached` was read then."""
        sorted_out: dict[int, list[Record]] = defaultdict(list)
        for record in records:
            sorted_out[record[1]].append(record)
        self._reached |= reached
        for number, its in sorted_out.items():
            place = TopicPartition(self._topic, number)
            if place not in self._open:
                volume = self._open[place] = self._writer.begin(self._portions[place], self._begins[place])
                self._discarded.callback(volume.discard)
                self._named[place] = set()
            volume = self._open[place]
            volume.add(its)
            frames = {value[:_FRAME] for record in its if (value := record[5])}
            self._named[place] |= {frame[1:] for frame in frames if frame[0] == _MAGIC and len(frame) == _FRAME}
            if self._writer.is_full(volume):
                self._end(place, volume.next_offset)

    def finish(self) -> None:
        """Finish what is open, as far as it was read."""
        for place in list(self._open):
            self._end(place, max(self._reached[place], self._open[place].next_offset))

    def written(self, topic: str) -> Written:
        """What came of it."""
        missing = sum(max(portion.start - portion.covered, 0) for portion in self._portions.values())
        return Written(topic, self._records, self._volumes, self._bytes, missing)

    def _end(self, place: TopicPartition, ends: int) -> None:
        volume = self._open.pop(place)
        self._writer.end(volume, ends, self._named[place])
        self._begins[place] = ends
        self._records += volume.count
        self._volumes += 1
        self._bytes += volume.size


class KeptSchemas:
    """The schemas that archived values name, kept so that they can be read when the registry is gone."""

    def __init__(self, directory: Path, registry: Registry) -> None:
        self._directory, self._registry = directory / "by-id", registry
        self._kept: set[int] = set()
        self._strange: set[int] = set()
        self._subjects: Mapping[int, str] | None = None

    def keep(self, named: Iterable[bytes]) -> list[int]:
        """Keep those that these bytes (four each) name; answers the ids that the registry does not know.

        Raises RegistryUnavailableError: a volume without its schemas is not finished.
        """
        ids = {int.from_bytes(one, "big") for one in named}
        for schema_id in ids - self._kept - self._strange:
            if not (self._directory / f"{schema_id}.avsc").exists():
                try:
                    schema = self._registry.schema(schema_id)
                except UnknownSchemaError:
                    self._strange.add(schema_id)
                    continue
                entry = {"subject": self._subject(schema_id, schema), "schema": schema}
                self._directory.mkdir(parents=True, exist_ok=True)
                put_file(self._directory / f"{schema_id}.avsc", json.dumps(entry, indent=2).encode())
            self._kept.add(schema_id)
        return sorted(ids & self._strange)

    def _subject(self, schema_id: int, schema: Mapping[str, object]) -> str:
        if self._subjects is None:
            try:
                self._subjects = self._registry.ids()
            except SchemaError:  # a registry may give schemas and no listing
                self._subjects = {}
        named = f"{schema.get('namespace', '')}.{schema.get('name', '')}".strip(".")
        return self._subjects.get(schema_id, named)


def _as_json(said: Mapping[str, object]) -> bytes:
    return json.dumps(said, indent=2).encode() + b"\n"
