"""Reading up to an end as of now, for somebody who only looks: what is committed, whoever is at work on the log."""

from collections.abc import Iterable, Iterator, Mapping

from choreo.errors import LogUnavailableError
from choreo.log.interface import Log
from choreo.record import Record, TopicPartition
from choreo.told import Told, untold

WAIT_S, MOST_SILENT = 10.0, 10
"""How long, and in how many reads, a record that should be there is waited for."""


def read_up_to(
    log: Log, start: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], limit: int = 5000
) -> Iterator[tuple[list[Record], Mapping[TopicPartition, int]]]:
    """The records from `start` to `ends` in batches of at most `limit`, each with how far every partition is read then.

    What an open transaction still holds back after a silent second is left out: its writer is dead, or slower than
    somebody who looks wants to wait. Raises LogUnavailableError where nothing comes.
    """
    waiting = {tp: ends[tp] for tp, offset in start.items() if offset < ends[tp]}
    if not waiting:
        return
    silence, started = Silence(log), len(waiting)
    with log.reader({tp: start[tp] for tp in waiting}) as reader:
        while waiting:
            before = {tp: reader.position(tp) for tp in waiting}
            records = reader.read(silence.wait_s, limit)
            reached = {tp: reader.position(tp) for tp in waiting}
            if len(waiting) < started or any(offset > ends[tp] for tp, offset in reached.items()):
                records = [record for record in records if record.offset < ends[record.topic_partition]]
            yield records, reached
            waiting = {tp: end for tp, end in waiting.items() if reached[tp] < end}
            if waiting and reached == before and silence.heard({tp: reached[tp] for tp in waiting}):
                return
            if reached != before:
                silence = Silence(log)


def places_on(log: Log, topics: Iterable[str]) -> list[TopicPartition]:
    """Every partition of these topics, in their order; a topic that is not there has none."""
    known = log.topics()
    return [TopicPartition(name, n) for name in topics if name in known for n in range(known[name].partitions)]


def read_between(
    log: Log, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], told: Told = untold
) -> Iterator[list[Record]]:
    """What `read_up_to` reads, batch by batch. `told` hears how many of all offsets are behind, once that batch is."""
    left = {tp: max(ends[tp] - start, 0) for tp, start in starts.items()}
    total = sum(left.values())
    for records, reached in read_up_to(log, starts, ends):
        yield records
        left |= {tp: max(ends[tp] - offset, 0) for tp, offset in reached.items()}
        told(total - sum(left.values()), total)


def read_whole(log: Log, topics: Iterable[str], told: Told = untold) -> Iterator[list[Record]]:
    """Every committed record of these topics that is there now, batch by batch, in order within a partition."""
    places = places_on(log, topics)
    return read_between(log, log.starts(places), log.ends(places), told)


class Silence:
    """Nothing came from partitions that are not at their ends yet; how often in a row."""

    wait_s = WAIT_S / MOST_SILENT

    def __init__(self, log: Log) -> None:
        self._log = log
        self._reads = 0

    def heard(self, reached: Mapping[TopicPartition, int]) -> bool:
        """Whether all that is committed was read, after another silent read of `wait_s`.

        Raises LogUnavailableError after the last.
        """
        self._reads += 1
        settled = self._log.settled(reached)
        if all(offset >= settled[tp] for tp, offset in reached.items()):
            return True
        if self._reads == MOST_SILENT:
            late = next(tp for tp, offset in reached.items() if offset < settled[tp])
            raise LogUnavailableError(f"nothing came from {late} for {WAIT_S:g} s", at=self._log.url)
        return False
