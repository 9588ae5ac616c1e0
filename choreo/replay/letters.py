"""Dead letters as an operator sees them: which event it was, why it lies there, and what has become of it."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import NamedTuple

from choreo.errors import DecodeError
from choreo.events.envelope import Ids
from choreo.log.interface import Log
from choreo.log.up_to import read_whole
from choreo.record import Position, Record
from choreo.replay.operations import Settled, Standing
from choreo.resilience.dead_letter import HEADER, DeadLetter, read, whole
from choreo.told import Told, untold

SUFFIX = ".dead-letters"


class Letter(NamedTuple):
    """One dead letter. `record` is as its service got it, at its origin; `said` is None for what is no dead letter, and
    `wrong` says why; `ids` are None where they can't be read.
    """

    place: Position
    record: Record
    said: DeadLetter | None
    wrong: str
    ids: Ids | None
    standing: Standing


def topic_of(service: str) -> str:
    """Where the dead letters of a service lie."""
    return f"choreo.{service}{SUFFIX}"


def services_with_letters(log: Log) -> list[str]:
    """The services that have a topic for dead letters."""
    names = (name for name in log.topics() if name.startswith("choreo.") and name.endswith(SUFFIX))
    return sorted(name.removeprefix("choreo.").removesuffix(SUFFIX) for name in names)


def sources_of(log: Log) -> dict[str, str]:
    """Which topic the events of each internal topic of a relay belong to."""
    relayed = (name for name in log.topics() if name.startswith("choreo.") and ".by-" in name)
    return {name: name.partition(".by-")[2].partition(".")[2] for name in relayed}


class Letters:
    """The dead letters of one log. `ids` reads those of a record, as a codec does."""

    def __init__(self, log: Log, ids: Callable[[Record], Ids], settled: Settled) -> None:
        self._log, self._read_ids, self._settled = log, ids, settled

    def of(self, services: Iterable[str], told: Told = untold) -> Iterator[Letter]:
        """Those of these services, in order within a partition. `told`: offsets read, of how many."""
        for record in whole(chain.from_iterable(read_whole(self._log, map(topic_of, services), told))):
            yield self._letter(record)

    def _letter(self, record: Record) -> Letter:
        place, said, wrong = record.position, None, ""
        try:
            said = read(record)
        except DecodeError as error:
            wrong = error.message
        headers = tuple(pair for pair in record.headers if pair[0] != HEADER)
        origin = said.origin if said else place
        its = record._replace(topic=origin.topic, partition=origin.partition, offset=origin.offset, headers=headers)
        return Letter(place, its, said, wrong, self._ids(its), self._settled.of(place))

    def _ids(self, record: Record) -> Ids | None:
        if not record.topic:  # a timer: its letter has neither bytes nor ids
            return None
        try:
            return self._read_ids(record)
        except DecodeError:
            return None
