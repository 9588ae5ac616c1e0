"""A log and its archive, read as one: what retention has deleted comes from the archive, the rest from the log.

Read only: whatever would write raises. A log that has none of the archive's topics, or has them as `archives restore`
put them there, is not looked at for these: the archive alone is what was.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

from choreo.errors import ArchiveError, LogError
from choreo.log.interface import (
    Listener,
    Log,
    Member,
    Membership,
    Reader,
    Restorer,
    Topic,
    TopicSpec,
    Writer,
)
from choreo.log.local import unknown_topic
from choreo.record import NewRecord, Position, Record, TopicPartition
from choreo.replay.archive import Archive, ArchivedTopic


class ArchivedLog(Log):
    """The past of a log, as far as its archive goes back. Closing it leaves the log open.

    Raises ArchiveError where the archive is of another log than this one and holds topics that this one has too.
    """

    def __init__(self, live: Log, archive: Archive) -> None:
        self.url = f"{live.url} and {archive.directory}"
        self._live, self._archive = live, archive
        self._continues = live.cluster_id() == archive.cluster_id
        """Whether the log is the one that was archived: then it goes on where the archive ends."""
        self._on_log: Mapping[str, Topic] = {}
        self._look()
        if not self._continues:
            for name in archive.topics.keys() & self._on_log.keys():
                self._expect_restored(name)

    def cluster_id(self) -> str:
        return self._live.cluster_id() if self._continues else self._archive.cluster_id

    def topics(self) -> Mapping[str, Topic]:
        self._look()
        archived = {name: there.topic for name, there in self._archive.topics.items()}
        return archived | dict(self._on_log) if self._continues else dict(self._on_log) | archived

    def config(self, topic: str) -> Mapping[str, str]:
        if self._from_log(topic):
            return self._live.config(topic)
        return dict(self._archived(topic).config)

    def starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked = list(partitions)
        live = self._live.starts(self._there(asked))
        return {name: self._start(name, live.get(name)) for name in asked}

    def ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked = list(partitions)
        live = self._live.ends(self._there(asked))
        return {name: self._end(name, live.get(name)) for name in asked}

    def settled(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        asked = list(partitions)
        live = self._live.settled(self._there(asked))
        return {name: self._end(name, live.get(name)) for name in asked}

    def offsets_at(self, partitions: Iterable[TopicPartition], timestamp_ms: int) -> dict[TopicPartition, int]:
        asked = list(partitions)
        live = self._live.offsets_at(self._there(asked), timestamp_ms)
        found = {}
        for name in asked:
            old, new = self._archived_at(name, timestamp_ms), live.get(name)
            found[name] = min((at for at in (old, new) if at is not None), default=self._end(name, new))
        return found

    def reader(self, start: Mapping[TopicPartition, int]) -> Reader:
        there = self._there(start)
        starts = self._live.starts(there)
        places = {}
        for name, offset in start.items():
            goes_on = starts[name] if name in starts else self._end(name, None)
            places[name] = Place(name, self.archived(name, offset, goes_on), offset, max(offset, goes_on))
        return ArchivedReader(self, self._live, places, there)

    def archived(self, name: TopicPartition, start: int, end: int) -> Iterator[list[Record]]:
        """What the archive has of a partition from `start` up to `end`."""
        return iter(()) if start >= end else self._archive.series(name).records(start, end)

    def committed(self, group: str, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int | None]:
        asked = list(partitions)
        live = self._live.committed(group, self._there(asked))
        return {name: live.get(name) for name in asked}

    def append(self, records: Sequence[NewRecord]) -> list[Position]:
        self._refuse("append")

    def create_topics(self, specs: Iterable[TopicSpec]) -> None:
        self._refuse("create topics")

    def writer(self, transactional_id: str) -> Writer:
        self._refuse("write transactions")

    def join(self, membership: Membership, listener: Listener) -> Member:
        self._refuse("join a group")

    def restorer(self, cluster_id: str) -> Restorer:
        self._refuse("restore")

    def close(self) -> None:
        """Nothing of its own to release: whoever opened the log closes it."""

    def _refuse(self, what: str) -> NoReturn:
        raise LogError(f"to {what} is not for a log that is read with its archive", at=self.url)

    def _look(self) -> None:
        self._on_log = self._live.topics()

    def _from_log(self, topic: str) -> bool:
        """Whether the log goes on with this topic. Raises ArchiveError where that is another one of the same name."""
        known = self._on_log.get(topic)
        if known is None:
            self._look()
            known = self._on_log.get(topic)
        archived = self._archive.topics.get(topic)
        if known is None or archived is None:
            return known is not None
        if self._continues and known.topic_id != archived.topic.topic_id:
            raise ArchiveError(
                f"topic {topic} was deleted and made again since it was archived",
                at=self.url,
                why="the same offsets stand for other records now",
                hint="read the log without this archive, or the archive alone: --log memory: --archive DIR",
            )
        return self._continues

    def _there(self, partitions: Iterable[TopicPartition]) -> list[TopicPartition]:
        """Those that the log goes on with. Raises UnknownTopicError for one that nobody knows."""
        found = []
        for name in partitions:
            if self._from_log(name.topic) and name.partition < self._on_log[name.topic].partitions:
                found.append(name)
            elif name.partition >= self._archived(name.topic).topic.partitions:
                raise unknown_topic(str(name))
        return found

    def _archived(self, topic: str) -> ArchivedTopic:
        found = self._archive.topics.get(topic)
        if found is None:
            raise unknown_topic(topic)
        return found

    def _start(self, name: TopicPartition, live: int | None) -> int:
        old = self._archive.series(name).begins
        known = [offset for offset in (old, live) if offset is not None]
        return min(known, default=0)

    def _end(self, name: TopicPartition, live: int | None) -> int:
        return max(self._archive.series(name).ends or 0, live or 0)

    def _archived_at(self, name: TopicPartition, timestamp_ms: int) -> int | None:
        return self._archive.series(name).offset_at(timestamp_ms)

    def _expect_restored(self, topic: str) -> None:
        """Raises ArchiveError where a topic of another log is not what `archives restore` made of this archive."""
        archived = self._archived(topic)
        ends = self._live.ends([TopicPartition(topic, number) for number in range(self._on_log[topic].partitions)])
        for name, end in ends.items():
            if name.partition >= archived.topic.partitions or end > self._archive.series(name).count:
                raise ArchiveError(
                    f"this archive is of log {self._archive.cluster_id}, not of the log here",
                    at=self.url,
                    why=f"{name} has records here that the archive does not have",
                    hint="name the archive of this log, or read the archive alone: --log memory: --archive DIR",
                )


class Place:
    """How far a partition is read: first what the archive gives, from `goes_on` on the log."""

    def __init__(self, name: TopicPartition, batches: Iterator[list[Record]], position: int, goes_on: int) -> None:
        self.name, self.batches, self.position, self.goes_on = name, batches, position, goes_on


class ArchivedReader(Reader):
    """First what the archive has of all partitions, one after the other, then the log."""

    def __init__(
        self, log: ArchivedLog, live: Log, places: Mapping[TopicPartition, Place], there: Sequence[TopicPartition]
    ) -> None:
        self._log, self._live, self._places, self._there = log, live, places, there
        self._waiting = list(places.values())
        self._ahead: list[Record] = []
        self._reader: Reader | None = None

    def read(self, timeout_s: float, limit: int = 5000) -> list[Record]:
        while self._waiting or (self._reader is None and self._has_moved()):
            place = self._waiting[0]
            ahead = self._ahead or next(place.batches, [])
            if not ahead:
                place.position = place.goes_on
                del self._waiting[0]
                continue
            records, self._ahead = ahead[:limit], ahead[limit:]
            place.position = records[-1].offset + 1
            return records
        if not self._there:
            return []
        if self._reader is None:
            self._reader = self._live.reader({name: self._places[name].goes_on for name in self._there})
        return self._reader.read(timeout_s, limit)

    def position(self, partition: TopicPartition) -> int:
        place = self._places.get(partition)
        if place is None:
            raise LogError(f"{partition} is not read here", at=partition)
        if self._reader is not None and partition in self._there:
            return max(place.position, self._reader.position(partition))
        return place.position

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _has_moved(self) -> bool:
        """Whether retention has taken, while the archive was read, what was to come from the log: then the archive is
        asked for that too.
        """
        for name, start in self._live.starts(self._there).items():
            place = self._places[name]
            if start > place.goes_on:
                place.batches = self._log.archived(name, place.goes_on, start)
                place.goes_on = start
                self._waiting.append(place)
        return bool(self._waiting)
