"""Unread: records that the service read when it ran and that this replay can't, for its registry is another one.

Each would become a dead letter and everything after it would differ, which says nothing of the service.
"""

from collections.abc import Iterable
from itertools import chain

from choreo.errors import ConfigError
from choreo.log.interface import Log
from choreo.log.up_to import read_whole
from choreo.record import NewRecord, Position, Record
from choreo.replay.letters import topic_of
from choreo.resilience.dead_letter import read


class Unread:
    """The dead letters of one service on a log, read where a replay meets a schema that its registry lacks."""

    def __init__(self, log: Log, service: str) -> None:
        self._log, self._topic = log, topic_of(service)
        self._known: set[Position] | None = None
        """Where those lie that the live run could not read either."""

    def refuse(self, outputs: Iterable[NewRecord]) -> None:
        """Raises ConfigError where a record became a dead letter of the replay alone, since it can't be decoded."""
        for record in outputs:
            if record.topic != self._topic:
                continue
            letter = read(Record(record.topic, -1, -1, 0, None, None, tuple(record.headers)))
            if letter.door == "decode" and letter.origin not in self._origins():
                raise ConfigError(
                    "a record that the service read when it ran can't be read here",
                    at=letter.origin,
                    why=letter.error.splitlines()[0].removeprefix("DecodeError: "),
                    hint="name the registry that the service ran with: --registry URL, or registry.url in choreo.toml",
                )

    def _origins(self) -> set[Position]:
        if self._known is None:
            topics = [self._topic] if self._topic in self._log.topics() else []
            records = chain.from_iterable(read_whole(self._log, topics))
            self._known = {read(record).origin for record in records}
        return self._known
