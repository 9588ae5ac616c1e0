"""Which partitions are a worker's, and from where it reads them: pure decisions about an assignment."""

from collections.abc import Iterable, Mapping

from choreo.errors import StartError
from choreo.record import TopicPartition
from choreo.runtime.options import StartFrom


class Assignment:
    """The partitions of one worker. A task may open only when it is complete: its number, of every topic."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._topics = frozenset(topics)
        self._ours: dict[TopicPartition, int] = {}
        self.epoch = 0

    def add(self, offsets: Mapping[TopicPartition, int]) -> None:
        """These are ours, to be read from these offsets."""
        self.epoch += 1
        self._ours.update(offsets)

    def remove(self, partitions: Iterable[TopicPartition]) -> None:
        """These are no longer ours."""
        self.epoch += 1
        for tp in partitions:
            self._ours.pop(tp, None)

    def complete(self) -> dict[int, dict[TopicPartition, int]]:
        """The tasks that may be open: inputs and where they were to be read from, by partition number."""
        return {number: tps for number, tps in self._by_number().items() if len(tps) == len(self._topics)}

    def incomplete(self) -> dict[int, list[str]]:
        """Tasks that must stay closed, and the topics whose partition somebody else has."""
        return {
            number: sorted(self._topics - {tp.topic for tp in tps})
            for number, tps in self._by_number().items()
            if len(tps) < len(self._topics)
        }

    def _by_number(self) -> dict[int, dict[TopicPartition, int]]:
        found: dict[int, dict[TopicPartition, int]] = {}
        for tp, offset in sorted(self._ours.items()):
            found.setdefault(tp.partition, {})[tp] = offset
        return found


def start_offsets(
    committed: Mapping[TopicPartition, int | None],
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    start_from: StartFrom,
    at_time: Mapping[TopicPartition, int],
) -> dict[TopicPartition, int]:
    """Where to read each partition from.

    Raises StartError for a group that has committed nothing on a topic that is not empty and was not told where to
    begin: nobody mails two years of customers by accident. And for records that were deleted before they were read.
    """
    offsets = {tp: offset for tp, offset in committed.items() if offset is not None}
    gone = {tp: (offset, starts[tp]) for tp, offset in offsets.items() if tp in starts and offset < starts[tp]}
    if gone:
        tp, (offset, start) = next(iter(gone.items()))
        raise StartError(
            f"{sum(start - offset for offset, start in gone.values()):,} records were deleted before they were read",
            at=f"{tp}: committed {offset}, the log begins at {start}",
            why="the retention of the topic is shorter than the time that this service was away",
            hint="restore them from an archive, or reset the group's offsets on purpose",
        )
    fresh = [tp for tp, offset in committed.items() if offset is None]
    waiting = sum(ends[tp] - starts[tp] for tp in fresh)
    if waiting and start_from is None:
        raise StartError(
            f"first start on topics that hold {waiting:,} records: {', '.join(sorted({tp.topic for tp in fresh}))}",
            why="nothing is committed, so it is not known whether these are old news or work to do",
            hint="--start-from earliest to handle them, latest to begin after them, or a time",
        )
    for tp in fresh:
        if isinstance(start_from, int):
            offsets[tp] = at_time[tp]
        else:
            offsets[tp] = ends[tp] if start_from == "latest" else starts[tp]
    return offsets
