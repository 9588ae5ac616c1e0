"""Dead letters as an operator sees them: which event it was, why it lies there, and what has become of it."""

from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
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
    `wrong` says why; `ids` are None where they can't be read. `reader` is the service that takes it up when it is put
    back: its own, or the relay before that one, which makes the key that it was read by; empty where nobody knows.
    """

    place: Position
    record: Record
    said: DeadLetter | None
    wrong: str
    ids: Ids | None
    standing: Standing
    reader: str = ""


Readers = Callable[[Record, DeadLetter], str]
"""Which service reads such a record from its topic for that of the letter; empty where that is not known."""


def nobody_knows(record: Record, said: DeadLetter) -> str:
    """The code of the service is not here."""
    return ""


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
    """The dead letters of one log. `ids` reads those of a record, as a codec does; `readers` is asked only where a
    letter holds what its service had kept for later and a relay stands before the service.
    """

    def __init__(
        self, log: Log, ids: Callable[[Record], Ids], settled: Settled, readers: Readers = nobody_knows
    ) -> None:
        self._log, self._read_ids, self._settled, self._readers = log, ids, settled, readers

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
        reader = "" if said is None else self._reader(its, said)
        return Letter(place, its, said, wrong, self._ids(its), self._settled.of(place), reader)

    def _reader(self, record: Record, said: DeadLetter) -> str:
        """A record that was kept is in the letter as its event is written: under its own key, at no position."""
        topic, _, offset = said.origin
        if not topic or offset >= 0 or not any(_relays(name, said.service, topic) for name in self._topics):
            return said.service
        return self._readers(record, said)

    @cached_property
    def _topics(self) -> list[str]:
        return list(self._log.topics())

    def _ids(self, record: Record) -> Ids | None:
        if not record.topic:  # a timer: its letter has neither bytes nor ids
            return None
        try:
            return self._read_ids(record)
        except DecodeError:
            return None


def _relays(name: str, service: str, topic: str) -> bool:
    """Whether a topic is that of a relay between `topic` and a service."""
    prefix = f"choreo.{service}.by-"
    return name.startswith(prefix) and name.removeprefix(prefix).partition(".")[2] == topic
